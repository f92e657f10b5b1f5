//! `cvfctl top` on a real terminal and without one.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use support::House;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// `cvfctl top` on a terminal of 100 columns and 20 lines.
struct Screen {
    child: Child,
    master: File,
    slave: OwnedFd,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn start(house: &House, args: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 20,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("a pty");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_cvfctl"))
            .arg("top")
            .args(args)
            .env("MDEVD_ADDRESS", house.bus())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("cvfctl runs");
        let master = File::from(pty.master);
        let mut reader = master.try_clone().expect("a descriptor");
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                if send.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            master,
            slave: pty.slave,
            output,
            seen: String::new(),
        }
    }

    /// Waits until `text` was shown since the last call.
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!("'{text}' was not shown ({error}): {:?}", self.seen),
            }
        }
        self.seen.clear();
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("a terminal");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).expect("it is there");
    }

    /// Whether the terminal is as a shell has it.
    fn is_usual(&self) -> bool {
        let modes = tcgetattr(self.slave.as_fd())
            .expect("a terminal")
            .local_flags;
        modes.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    /// Waits for the end; the code, and the last that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("it ends");
        assert!(self.is_usual(), "the terminal is given back");
        // Not until there is no more: others that were started meanwhile may have the terminal, too.
        while !self.seen.ends_with("\x1b[?1049l") {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.seen += &String::from_utf8_lossy(&bytes),
                Err(error) => panic!(
                    "the first screen was not shown again ({error}): {:?}",
                    self.seen
                ),
            }
        }
        (status.code(), self.seen)
    }
}

#[test]
fn keys_work_and_q_gives_the_terminal_back() {
    let house = House::new();
    let daemon = house.start(&[]);
    for n in 0..3 {
        daemon.json(&["create", &format!("web{n}"), "--queue-pairs", "2"]);
    }
    daemon.json(&["create", "db"]);
    let mut screen = Screen::start(&house, &["--interval", "0.1"]);
    screen.wait_for("\x1b[?1049h");
    screen.wait_for("web2");
    assert!(!screen.is_usual());
    screen.wait_for("4 devices");
    screen.press("s");
    screen.wait_for("by tx");
    screen.press("\x1b[D\x1b[D");
    screen.wait_for("by name");
    screen.press("/web1");
    screen.wait_for("names with: web1_");
    screen.press("\r");
    screen.wait_for("names with 'web1'");
    screen.press("p");
    screen.wait_for("PAIR");
    screen.press("?");
    screen.wait_for("control-Z");
    screen.press("xx");
    screen.wait_for("by name");
    screen.press("q");
    let (code, last) = screen.end();
    assert_eq!(code, Some(0));
    assert!(last.ends_with("\x1b[?25h\x1b[?1049l"), "{last:?}");
}

#[test]
fn signals_give_the_terminal_back() {
    let house = House::new();
    let _daemon = house.start(&[]);
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let mut screen = Screen::start(&house, &[]);
        screen.wait_for("0 devices");
        screen.signal(signal);
        let (ended, last) = screen.end();
        assert_eq!(ended, Some(code), "{signal}");
        assert!(last.ends_with("\x1b[?1049l"), "{last:?}");
    }
    let mut screen = Screen::start(&house, &[]);
    screen.wait_for("0 devices");
    screen.press("\x03");
    assert_eq!(screen.end().0, Some(0), "control-C is a key");
}

#[test]
fn it_stops_goes_on_and_follows_the_size() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "web1"]);
    for key in [false, true] {
        let mut screen = Screen::start(&house, &[]);
        screen.wait_for("TX FRAME/S");
        if key {
            screen.press("\x1a");
        } else {
            screen.signal(Signal::SIGTSTP);
        }
        let pid = Pid::from_raw(i32::try_from(screen.child.id()).expect("a pid"));
        let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("a child");
        assert_eq!(status, WaitStatus::Stopped(pid, Signal::SIGSTOP));
        assert!(screen.is_usual(), "while it is stopped");
        screen.wait_for("\x1b[?1049l");
        screen.signal(Signal::SIGCONT);
        screen.wait_for("\x1b[?1049h");
        screen.wait_for("web1");
        assert!(!screen.is_usual());
        let narrow = rustix::termios::Winsize {
            ws_row: 10,
            ws_col: 40,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&screen.slave, narrow).expect("a size");
        screen.signal(Signal::SIGWINCH);
        screen.wait_for(&format!(
            "{:<9}{:>10}{:>11}{:>10}",
            "NAME", "RX BIT/S", "RX DROP/S", "TX BIT/S"
        ));
        screen.press("q");
        assert_eq!(screen.end().0, Some(0));
    }
}

#[test]
fn a_daemon_that_goes_and_comes_back_is_followed() {
    let house = House::new();
    let daemon = house.start(&[]);
    daemon.json(&["create", "web1"]);
    let mut screen = Screen::start(&house, &["--interval", "0.1"]);
    screen.wait_for("1 device ");
    daemon.stop();
    let gone = Instant::now();
    screen.wait_for("trying again");
    let _daemon = house.start(&[]);
    screen.wait_for("by rx");
    assert!(
        gone.elapsed() < PATIENCE / 2,
        "no call waits for a daemon that is gone"
    );
    screen.press("q");
    assert_eq!(screen.end().0, Some(0));
}

#[test]
fn without_a_terminal_there_are_tables() {
    let house = House::new();
    let daemon = house.start(&[]);
    let empty = daemon.cvfctl(&["top", "--once", "--interval", "0.1"]);
    assert!(empty.out.contains("no devices"), "{empty:?}");
    daemon.json(&["create", "web1", "--queue-pairs", "2"]);
    daemon.json(&["create", "db1"]);
    let said = daemon.cvfctl(&["top", "--batch", "2", "--interval", "0.1"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(said.out.matches("NAME").count(), 2, "{said:?}");
    assert!(!said.out.contains('\x1b'), "{said:?}");
    let args = [
        "--json",
        "top",
        "--batch",
        "2",
        "--interval",
        "0.1",
        "--pairs",
    ];
    let said = daemon.cvfctl(&args);
    let looks: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(looks.len(), 2);
    assert_eq!(looks[1]["rows"].as_array().expect("rows").len(), 3);
    assert_eq!(looks[1]["rows"][0]["rx"]["frames"], 0.0);
    let said = daemon.cvfctl(&["top", "--once", "--interval", "0.1", "--filter", "web"]);
    assert!(
        said.out.contains("web1") && !said.out.contains("db1"),
        "{said:?}"
    );
    for wrong in [
        &["top", "--interval", "0"][..],
        &["top", "--batch", "0"],
        &["top", "--sort", "size"],
        &["top", "--once", "--batch", "3"],
    ] {
        assert_eq!(daemon.cvfctl(wrong).code, 2, "{wrong:?}");
    }
}
