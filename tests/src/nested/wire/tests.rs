use super::*;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn pair() -> (Wire, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Wire::stream("test", Stream::new(ours)), theirs)
}

fn within(time: Duration) -> Instant {
    Instant::now() + time
}

const SOON: Duration = Duration::from_secs(10);
const BRIEFLY: Duration = Duration::from_millis(20);

#[test]
fn both_ends_understand_each_other() {
    let (mut near, far) = pair();
    let mut far = Wire::stream("far", Stream::new(far));
    near.send(&[1; 60], within(SOON)).unwrap();
    near.send(&[2; 1514], within(SOON)).unwrap();
    assert_eq!(far.receive(within(SOON)).unwrap(), Some(vec![1; 60]));
    assert_eq!(far.receive(within(SOON)).unwrap(), Some(vec![2; 1514]));
    assert_eq!(far.receive(within(BRIEFLY)).unwrap(), None);
}

#[test]
fn a_frame_that_is_not_there_as_a_whole_is_waited_for() {
    let (mut near, mut far) = pair();
    far.write_all(&[0, 0, 0, 3, 7]).unwrap();
    assert_eq!(near.receive(within(BRIEFLY)).unwrap(), None);
    far.write_all(&[8, 9]).unwrap();
    assert_eq!(near.receive(within(SOON)).unwrap(), Some(vec![7, 8, 9]));
}

#[test]
fn an_end_that_is_gone_or_mad_is_an_error_and_names_the_wire() {
    let (mut near, mut far) = pair();
    far.write_all(&[0xff; 4]).unwrap();
    let error = format!("{:#}", near.receive(within(SOON)).unwrap_err());
    assert!(
        error.contains("wire test") && error.contains("4294967295"),
        "{error}"
    );
    let (mut near, far) = pair();
    drop(far);
    let error = format!("{:#}", near.receive(within(SOON)).unwrap_err());
    assert!(
        error.contains("wire test") && error.contains("closed"),
        "{error}"
    );
}

#[test]
fn nobody_who_takes_nothing_is_waited_for_longer_than_was_agreed() {
    let (mut near, _far) = pair();
    let frame = [0; 9000];
    let refused = (0..10_000).find_map(|_| near.send(&frame, within(BRIEFLY)).err());
    let error = format!("{:#}", refused.expect("a socket's buffer ends somewhere"));
    assert!(error.contains("send 9000 bytes on wire test"), "{error}");
}
