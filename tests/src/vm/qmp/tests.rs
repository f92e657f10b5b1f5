use super::*;

/// A QEMU of few words: answers every command with what `answer` makes of it.
fn fake(answer: impl Fn(&Value) -> Vec<Value> + Send + 'static) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut out = theirs.try_clone().unwrap();
        writeln!(out, "{}", json!({"QMP": {}})).unwrap();
        for line in BufReader::new(theirs).lines() {
            let Ok(line) = line else { return };
            for value in answer(&serde_json::from_str(&line).unwrap()) {
                if writeln!(out, "{value}").is_err() {
                    return;
                }
            }
        }
    });
    ours
}

fn ok(command: &Value) -> Value {
    json!({"return": {}, "id": command["id"]})
}

#[test]
fn refusals_carry_qemus_words() {
    let qmp = Qmp::connect(fake(|c| match c["execute"].as_str() {
        Some("qmp_capabilities") => vec![ok(c)],
        _ => {
            vec![json!({"error": {"class": "GenericError", "desc": "no such bus"}, "id": c["id"]})]
        }
    }));
    let error = qmp.unwrap().execute("device_add", &json!({})).unwrap_err();
    assert!(error.to_string().contains("no such bus"), "{error}");
}

#[test]
fn an_event_that_came_before_the_reply_is_found() {
    let deleted = json!({"event": "DEVICE_DELETED", "data": {"device": "x"}});
    let qmp = Qmp::connect(fake(move |c| match c["execute"].as_str() {
        Some("device_del") => vec![deleted.clone(), ok(c)],
        _ => vec![ok(c)],
    }));
    qmp.unwrap().device_del("x").unwrap();
}

#[test]
fn an_ended_qemu_is_told_at_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(Qmp::connect(ours).is_err());
}
