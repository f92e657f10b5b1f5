use super::*;

#[test]
fn a_message_is_one_line() {
    let request = Request::Run {
        id: 7,
        argv: vec!["sh".into(), "-c".into(), "echo a\necho b".into()],
        stdin: None,
        timeout_ms: 10,
    };
    let line = serde_json::to_string(&request).unwrap();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
}

#[test]
fn output_that_is_no_text_survives_as_replacement() {
    let reply = Reply::Done {
        id: 1,
        outcome: Outcome::Signal(9),
        stdout: String::from_utf8_lossy(&[0xff, b'x']).into_owned(),
        stderr: String::new(),
    };
    let line = serde_json::to_string(&reply).unwrap();
    assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
}
