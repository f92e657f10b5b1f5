use super::*;

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn output_is_complete_and_separate() {
    let out = output(
        sh("echo a; echo b >&2; exit 3"),
        Surroundings::default(),
        limits::SETTLE,
    );
    let out = out.unwrap();
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("a\n", "b\n"));
    assert_eq!(out.status.code(), Some(3));
}

#[test]
fn a_failing_command_tells_its_stderr() {
    let error = check(sh("echo because >&2; false"), Surroundings::default()).unwrap_err();
    assert!(error.to_string().contains("because"), "{error}");
}

#[test]
fn a_command_that_does_not_end_is_killed() {
    let error = output(
        sh("exec sleep 1000"),
        Surroundings::default(),
        Duration::from_millis(50),
    );
    assert!(error.unwrap_err().to_string().contains("in vain"));
}

#[test]
fn a_dropped_process_is_gone() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let process = Process::start(
        "sleeper",
        sh("exec sleep 1000"),
        Surroundings::default(),
        log.path(),
    );
    let process = process.unwrap();
    let pid = process.pid();
    assert!(process.ended().unwrap().is_none());
    drop(process);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_child_outlives_the_thread_that_asked_for_it() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().to_owned();
    let process = thread::spawn(move || {
        Process::start(
            "sleeper",
            sh("exec sleep 1000"),
            Surroundings::default(),
            &path,
        )
        .unwrap()
    });
    let process = process.join().unwrap();
    assert!(process.ended().unwrap().is_none());
}

#[test]
fn the_tail_of_a_missing_log_is_empty() {
    assert_eq!(tail(Path::new("/nonexistent")), "");
}

#[test]
fn a_child_takes_the_signals_that_its_parent_blocks() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().to_owned();
    // If this test comes first, the spawning thread starts here and has them blocked too.
    let process = thread::spawn(move || {
        crate::sys::block_stop_signals().unwrap();
        Process::start(
            "sleeper",
            sh("exec sleep 1000"),
            Surroundings::default(),
            &path,
        )
        .unwrap()
    });
    let process = process.join().unwrap();
    process.signal(Signal::SIGTERM).unwrap();
    assert!(!process.wait(limits::SETTLE).unwrap().success());
}
