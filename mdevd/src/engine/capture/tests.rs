use super::*;

fn checked(request: &CaptureRequest) -> Result<Capture, EngineError> {
    let place = Places::default().take("web0").expect("a place");
    request.check("uid 0", place)
}

#[test]
fn what_is_absent_has_its_default() {
    let capture = checked(&CaptureRequest::default()).expect("allowed");
    let wanted = Wanted {
        snaplen: 256,
        ..Wanted::default()
    };
    assert_eq!(capture.wanted, wanted);
    assert_eq!((capture.count, capture.time), (None, None));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let default = CaptureRequest::default;
    let direction = |text: &str| CaptureRequest {
        direction: Some(text.to_owned()),
        ..default()
    };
    let snaplen = |snaplen| CaptureRequest {
        snaplen: Some(snaplen),
        ..default()
    };
    let seconds = |seconds| CaptureRequest {
        seconds: Some(seconds),
        ..default()
    };
    let count = CaptureRequest {
        count: Some(0),
        ..default()
    };
    for (request, named) in [
        (direction("up"), "direction"),
        (snaplen(0), "snaplen"),
        (snaplen(65_536), "snaplen"),
        (seconds(0.0), "seconds"),
        (seconds(-1.0), "seconds"),
        (seconds(f64::NAN), "seconds"),
        (seconds(1e300), "seconds"),
        (count, "count"),
    ] {
        let error = checked(&request).expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
    }
    for request in [direction("in"), snaplen(65_535), snaplen(1), seconds(0.1)] {
        assert!(checked(&request).is_ok(), "{request:?}");
    }
}

#[test]
fn places_are_counted_and_come_back() {
    let places = Places::default();
    let mut taken: Vec<_> = (0..MAX_CAPTURES)
        .map(|_| places.take("web0").expect("one more"))
        .collect();
    let error = places.take("web0").expect_err("one too many");
    assert_eq!(error.kind(), crate::engine::ErrorKind::NoResources);
    assert!(
        error.to_string().starts_with("cannot capture 'web0': 16 "),
        "{error}"
    );
    taken.pop();
    assert!(places.take("web0").is_ok());
}
