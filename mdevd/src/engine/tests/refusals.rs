//! Every refusal says what was attempted, on what, why, and what to do.

use super::*;
use libcvf::limits::MAX_QUEUE_PAIRS;
use libcvf::pf::Capabilities;

type Attempt = Box<dyn Fn(&Catalog) -> EngineError>;

fn refused<T: std::fmt::Debug>(
    attempt: impl Fn(&Catalog) -> Result<T, EngineError> + 'static,
) -> Attempt {
    Box::new(move |catalog| attempt(catalog).expect_err("refused"))
}

fn set(key: &str, value: &str) -> SetRequest {
    let one = [(key.to_owned(), value.into())].into_iter().collect();
    serde_json::from_value(serde_json::Value::Object(one)).expect("a request")
}

fn asked(change: impl Fn(&mut CreateRequest)) -> CreateRequest {
    let mut request = named("x");
    change(&mut request);
    request
}

fn define(device: CreateRequest) -> DefineRequest {
    DefineRequest {
        device,
        ..DefineRequest::default()
    }
}

#[test]
fn what_was_attempted_on_what_and_what_to_do() {
    let house = house_with(4);
    let create = |change: fn(&mut CreateRequest)| refused(move |c| c.create(asked(change)));
    let mac = |r: &mut CreateRequest| r.mac = Some("02:00:00:00:00:01".to_owned());
    house
        .catalog
        .create(CreateRequest {
            mac: Some("02:00:00:00:00:01".to_owned()),
            ..named("web1")
        })
        .expect("created");
    house
        .catalog
        .define(define(named("off1")))
        .expect("defined");
    house.backend.connect("web1", QEMU);
    let explain =
        |text: &'static str, about: ExplainRequest| refused(move |c| c.explain(text, &about));
    // What was attempted, of which kind, what to do.
    let table: Vec<(&str, ErrorKind, &str, Attempt)> = vec![
        (
            "create 'x'",
            ErrorKind::InvalidArgument,
            "from 68",
            create(|r| r.mtu = Some(1)),
        ),
        (
            "create 'x'",
            ErrorKind::InvalidArgument,
            "give vlan, too",
            create(|r| r.vlan_qos = Some(3.into())),
        ),
        (
            "create 'x'",
            ErrorKind::InvalidArgument,
            "policy list",
            create(|r| r.profile = Some("x".into())),
        ),
        (
            "create 'x'",
            ErrorKind::NotFound,
            "pf list",
            create(|r| r.pf = Some("x".into())),
        ),
        (
            "create 'x'",
            ErrorKind::NoResources,
            "ask for less",
            create(|r| r.queue_pairs = Some(4)),
        ),
        (
            "create 'x' with MAC",
            ErrorKind::DuplicateMac,
            "give another",
            create(mac),
        ),
        (
            "create 'web1'",
            ErrorKind::AlreadyExists,
            "cvfctl set",
            refused(|c| {
                c.create(CreateRequest {
                    mtu: Some(1400),
                    ..named("web1")
                })
            }),
        ),
        (
            "define 'x'",
            ErrorKind::InvalidArgument,
            "from 68",
            refused(move |c| c.define(define(asked(|r| r.mtu = Some(1))))),
        ),
        (
            "define 'x' with MAC",
            ErrorKind::DuplicateMac,
            "give another",
            refused(move |c| c.define(define(asked(mac)))),
        ),
        (
            "define 'off1'",
            ErrorKind::AlreadyExists,
            "--replace",
            refused(|c| {
                c.define(define(CreateRequest {
                    mtu: Some(1400),
                    ..named("off1")
                }))
            }),
        ),
        (
            "undefine 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.undefine("x")),
        ),
        (
            "start 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.start("x")),
        ),
        (
            "stop 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.stop_device("x", false)),
        ),
        (
            "stop 'web1'",
            ErrorKind::Busy,
            "--force",
            refused(|c| c.stop_device("web1", false)),
        ),
        (
            "destroy 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.destroy("x", false)),
        ),
        (
            "destroy 'web1'",
            ErrorKind::Busy,
            "--force",
            refused(|c| c.destroy("web1", false)),
        ),
        (
            "change 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.set("x", set("mtu", "1400"))),
        ),
        (
            "change 'web1'",
            ErrorKind::InvalidArgument,
            "from 68",
            refused(|c| c.set("web1", set("mtu", "1"))),
        ),
        (
            "change 'web1'",
            ErrorKind::InvalidArgument,
            "one of",
            refused(|c| c.set("web1", SetRequest::default())),
        ),
        (
            "announce 'off1'",
            ErrorKind::NotReady,
            "start it first",
            refused(|c| c.announce("off1")),
        ),
        (
            "announce 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.announce("x")),
        ),
        (
            "capture 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.capture("x", &CaptureRequest::default(), "")),
        ),
        (
            "show 'web2'",
            ErrorKind::NotFound,
            "did you mean 'web1'",
            refused(|c| c.show("web2")),
        ),
        (
            "show counters of 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.stats("x")),
        ),
        (
            "show 'soft9'",
            ErrorKind::NotFound,
            "did you mean 'soft0'",
            refused(|c| c.pf("soft9")),
        ),
        (
            "show 'labb'",
            ErrorKind::NotFound,
            "did you mean 'lab'",
            refused(|c| c.profile("labb")),
        ),
        (
            "explain a guest's request",
            ErrorKind::InvalidArgument,
            "write one of",
            explain("x=3", ExplainRequest::default()),
        ),
        (
            "explain a guest's request",
            ErrorKind::InvalidArgument,
            "from 1 to",
            explain(
                "vlan=3",
                ExplainRequest {
                    vlan: Some(0),
                    ..ExplainRequest::default()
                },
            ),
        ),
        (
            "explain a request of 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            explain(
                "vlan=3",
                ExplainRequest {
                    device: Some("x".to_owned()),
                    ..ExplainRequest::default()
                },
            ),
        ),
        (
            "export 'x'",
            ErrorKind::NotFound,
            "cvfctl list",
            refused(|c| c.export(&["x".to_owned()], "", 1)),
        ),
        (
            "export definitions",
            ErrorKind::InvalidArgument,
            "in parts",
            refused(|c| c.export(&vec!["x".to_owned(); MAX_PAGE + 1], "", 1)),
        ),
        (
            "import the document",
            ErrorKind::InvalidArgument,
            "cvfctl export",
            refused(|c| c.import("{}", ImportOptions::default())),
        ),
        (
            "tell what fits",
            ErrorKind::InvalidArgument,
            "from 1 to",
            refused(|c| c.types(u64::from(MAX_QUEUE_PAIRS) + 1)),
        ),
    ];
    for (attempted, kind, cure, attempt) in table {
        let error = attempt(&house.catalog);
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.starts_with(&format!("cannot {attempted}")), "{text}");
        assert!(text.contains(cure), "{text}");
    }
    house.store.break_writes(true);
    let error = house.catalog.create(named("y")).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::StoreFailed);
    let text = error.to_string();
    assert!(
        text.starts_with("cannot create 'y': ") && text.contains("repeat"),
        "{text}"
    );
    house.store.break_writes(false);
    house.catalog.shut_down();
    let error = house.catalog.create(named("y")).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "cannot create 'y': the daemon is stopping; repeat when it runs again"
    );
}

/// What a PF's hardware cannot is said before anything is made, also by a dry run, a definition and a change.
#[test]
fn more_than_one_device_of_a_pf_can_have_is_refused_everywhere() {
    let house = house();
    house.backend.give_each(Capabilities {
        most_pairs: Some(1),
        filters: Some(3),
        most_mtu: Some(2030),
        ..Capabilities::default()
    });
    let engine = &house.catalog;
    let pairs = CreateRequest {
        queue_pairs: Some(2),
        ..named("vm1")
    };
    let mtu = CreateRequest {
        mtu: Some(2031),
        ..named("vm1")
    };
    let why = [
        "cannot create 'vm1': queue-pairs \"2\" cannot be: a device of PF 'soft0' has 1 queue pair at most; ask for no \
         more, or give another PF ('cvfctl pf show' tells what each can)",
        "cannot create 'vm1': mtu \"2031\" cannot be: frames of PF 'soft0' have an MTU of 2030 at most; ask for no more, \
         or give another PF ('cvfctl pf show' tells what each can)",
    ];
    for (request, why) in [pairs, mtu].into_iter().zip(why) {
        let dry = CreateRequest {
            dry_run: true,
            ..request.clone()
        };
        for request in [request.clone(), dry] {
            let error = engine.create(request).expect_err("refused");
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (ErrorKind::InvalidArgument, why)
            );
        }
        let define = DefineRequest {
            device: request,
            ..DefineRequest::default()
        };
        let error = engine.define(define).expect_err("refused").to_string();
        assert_eq!(error, why.replace("create", "define"));
    }
    assert_eq!(free_pairs(engine), 64);
    let most = CreateRequest {
        mtu: Some(2030),
        ..named("vm1")
    };
    engine.create(most).expect("created");
    for dry_run in [true, false] {
        let set = SetRequest {
            mtu: Some("2031".into()),
            dry_run,
            ..SetRequest::default()
        };
        let error = engine.set("vm1", set).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(error.to_string(), why[1].replace("create", "change"));
    }
    let shown = engine.show("vm1").expect("shown");
    assert_eq!(shown.summary.mtu, 2030, "nothing has changed");
}
