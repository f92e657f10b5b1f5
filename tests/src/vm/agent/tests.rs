use super::*;

/// A guest that answers in the order that `order` makes of two requests.
fn fake(reverse: bool) -> Agent {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut out = theirs.try_clone().unwrap();
        // Half a line from a previous life, then the greeting.
        out.write_all(b"{\"done\":{\"id\":1,\n").unwrap();
        let hello = Reply::Hello {
            kernel: "7".into(),
            uptime_ms: 1,
        };
        writeln!(out, "{}", serde_json::to_string(&hello).unwrap()).unwrap();
        let mut got: Vec<Request> = BufReader::new(theirs)
            .lines()
            .take(2)
            .map(|l| serde_json::from_str(&l.unwrap()).unwrap())
            .collect();
        if reverse {
            got.reverse();
        }
        for request in got {
            let Request::Run { id, argv, .. } = request else {
                panic!("{request:?}")
            };
            let stdout = argv[0].clone();
            let done = Reply::Done {
                id,
                outcome: Outcome::Exit(0),
                stdout,
                stderr: String::new(),
            };
            writeln!(out, "{}", serde_json::to_string(&done).unwrap()).unwrap();
        }
    });
    Agent::new(ours).unwrap()
}

#[test]
fn answers_find_their_questions_in_any_order() {
    for reverse in [false, true] {
        let agent = fake(reverse);
        agent.wait_greeting(1, limits::SETTLE).unwrap();
        let first = agent.start(&["one"], limits::SETTLE).unwrap();
        let second = agent.start(&["two"], limits::SETTLE).unwrap();
        assert_eq!(first.check().unwrap(), "one");
        assert_eq!(second.check().unwrap(), "two");
    }
}

#[test]
fn a_vanished_guest_ends_the_wait() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let agent = Agent::new(ours).unwrap();
    let job = agent.start(&["x"], limits::SETTLE).unwrap();
    drop(theirs);
    assert!(job.wait().is_err());
    assert!(agent.wait_greeting(1, limits::SETTLE).is_err());
}
