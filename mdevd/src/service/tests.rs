use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};

use super::activation::{ActivationError, Offer, listener};
use super::watchdog::{asked, prove};
use super::{Part, Prepared, Reloader};
use crate::config::{Args, Config};

fn offer(pid: &str, fds: &str, names: Option<&str>) -> Offer {
    Offer {
        pid: Some(pid.into()),
        fds: Some(fds.into()),
        names: names.map(str::to_owned),
    }
}

#[test]
fn sockets_are_taken_only_when_they_are_meant_for_us() {
    assert_eq!(Offer::default().control(7), Ok(None));
    assert_eq!(
        offer("8", "1", Some("control")).control(7),
        Ok(None),
        "somebody else's"
    );
    assert_eq!(offer("7", "0", None).control(7), Ok(None));
    assert_eq!(
        offer("7", "1", None).control(7),
        Ok(Some((1, 0))),
        "one needs no name"
    );
    assert_eq!(
        offer("7", "2", Some("a:control")).control(7),
        Ok(Some((2, 1)))
    );
    for (offer, part) in [
        (offer("x", "1", None), "LISTEN_PID is 'x'"),
        (offer("7", "-1", None), "LISTEN_FDS is '-1'"),
        (offer("7", "1", Some("unknown")), "LISTEN_FDNAMES=unknown"),
        (offer("7", "2", None), "none of the 2 sockets"),
        (offer("7", "1", Some("a:control")), "none of the 1 sockets"),
    ] {
        let why = offer.control(7).expect_err("refused").to_string();
        assert!(why.contains(part), "{part}: {why}");
    }
}

#[test]
fn only_a_listening_unix_stream_socket_is_a_control_socket() {
    let dir = TempDir::new().expect("a directory");
    let good = UnixListener::bind(dir.path().join("s")).expect("a socket");
    let taken = listener(good.into()).expect("taken over");
    assert_eq!(
        taken.accept().expect_err("nobody").kind(),
        std::io::ErrorKind::WouldBlock
    );
    let refused = |socket: OwnedFd, part: &str| {
        let why = listener(socket).expect_err("refused");
        assert!(
            matches!(&why, ActivationError::NotListening { why } if why.contains(part)),
            "{part}: {why}"
        );
    };
    refused(UnixDatagram::unbound().expect("a socket").into(), "type");
    refused(
        UnixStream::pair().expect("a pair").0.into(),
        "does not listen",
    );
    refused(
        TcpListener::bind("127.0.0.1:0").expect("a socket").into(),
        "family",
    );
    let file = std::fs::File::open(dir.path()).expect("a directory");
    refused(file.into(), "");
}

#[test]
fn the_watchdogs_time_is_half_of_what_the_manager_waits() {
    let asked =
        |usec: Option<&str>, pid: Option<&str>| asked(usec.map(Into::into), pid.map(Into::into), 7);
    assert_eq!(asked(None, None), None);
    assert_eq!(asked(Some("30000000"), None), Some(Duration::from_secs(15)));
    assert_eq!(
        asked(Some("30000000"), Some("7")),
        Some(Duration::from_secs(15))
    );
    for (usec, pid) in [
        ("30000000", Some("8")),
        ("0", None),
        ("x", None),
        ("1", Some("x")),
    ] {
        assert_eq!(asked(Some(usec), pid), None, "{usec} {pid:?}");
    }
}

#[test]
fn a_runtime_or_an_engine_that_hangs_is_not_called_alive() {
    let patience = Duration::from_millis(50);
    let works = |_| Some("fine".to_owned());
    // Nobody drives it.
    let stuck = Builder::new_current_thread().build().expect("a runtime");
    let why = prove(patience, stuck.handle(), &works).expect_err("it hangs");
    assert!(why.contains("runtime"), "{why}");
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    assert_eq!(
        prove(Duration::from_secs(10), runtime.handle(), &works).as_deref(),
        Ok("fine")
    );
    let locked = |_: Duration| None::<String>;
    let why = prove(patience, runtime.handle(), &locked).expect_err("it is locked");
    assert!(why.contains("engine"), "{why}");
}

#[test]
fn a_watchdog_ends_when_it_is_dropped() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let handle: Handle = runtime.handle().clone();
    let watchdog =
        super::Watchdog::start(Duration::from_secs(3600), handle, |_| None).expect("a thread");
    drop(watchdog);
}

struct Counting(&'static [&'static str], AtomicUsize);

impl Part for Arc<Counting> {
    fn keys(&self) -> &'static [&'static str] {
        self.0
    }

    fn prepare(&self, _: &Config) -> Result<Prepared, String> {
        let part = self.clone();
        Ok(Prepared::to(move |outcome| {
            part.1.fetch_add(1, Ordering::Relaxed);
            outcome.changed.push("profile x".to_owned());
        }))
    }
}

struct Refusing;

impl Part for Refusing {
    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn prepare(&self, new: &Config) -> Result<Prepared, String> {
        match new.log.as_str() {
            "error" => Err("x.toml:1: no".to_owned()),
            _ => Ok(Prepared::default()),
        }
    }
}

#[test]
fn a_reload_is_whole_or_not_at_all_and_tells_what_waits() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("m.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    write("log = \"info\"\n");
    let args = Args {
        config: Some(file.clone()),
        state_dir: Some("/s".into()),
        runtime_dir: Some("/r".into()),
        ..Args::default()
    };
    let config = Config::load(&args).expect("good");
    let counting = Arc::new(Counting(&["log"], AtomicUsize::new(0)));
    let reloader = Reloader::new(
        args,
        config,
        vec![Arc::new(counting.clone()), Arc::new(Refusing)],
    );
    let done = || counting.1.load(Ordering::Relaxed);

    let same = reloader.reload().expect("good");
    assert_eq!(
        (same.changed, same.restart),
        (vec!["profile x".to_owned()], vec![])
    );
    assert_eq!((done(), same.file), (1, Some(file.display().to_string())));

    write("log = \"debug\"\nmetrics-listen = \"127.0.0.1:1\"\n[[pf]]\nname = \"other\"\n");
    let other = reloader.reload().expect("good");
    assert_eq!(other.changed, ["log", "profile x"]);
    assert_eq!(other.restart, ["metrics-listen", "pf"]);
    let again = reloader.reload().expect("good");
    assert_eq!(again.changed, ["profile x"], "the level is in force");
    assert_eq!(again.restart, ["metrics-listen", "pf"], "these still wait");
    assert_eq!(done(), 3);

    write("log = \"debug\"\n\nlogg = \"x\"\n");
    let why = reloader.reload().expect_err("broken");
    assert!(why.contains("m.toml:3: there is no key 'logg'"), "{why}");
    write("log = \"error\"\n");
    assert_eq!(
        reloader.reload().expect_err("refused by a part"),
        "x.toml:1: no"
    );
    assert_eq!(done(), 3, "nothing was put in force");
    write("log = \"debug\"\n");
    assert!(
        reloader.reload().expect("good").restart.is_empty(),
        "as it was started with"
    );
}
