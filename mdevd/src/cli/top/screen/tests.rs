use std::io::Read;
use std::os::fd::OwnedFd;

use nix::pty::openpty;
use rustix::termios::LocalModes;

use super::*;

/// Echo and lines: what a shell needs.
fn modes(terminal: &OwnedFd) -> LocalModes {
    tcgetattr(terminal).expect("a terminal").local_modes
        & (LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
}

/// One test, for there is one terminal in a process.
#[test]
fn the_terminal_is_given_back_when_dropped_and_when_something_panics() {
    let pty = openpty(None, None).expect("a pty");
    let usual = modes(&pty.slave);
    assert!(!usual.is_empty());
    let take = || Screen::take(pty.slave.try_clone().expect("a descriptor")).expect("taken");
    let mut screen = take();
    assert!(modes(&pty.slave).is_empty());
    screen
        .show(&["one".to_owned(), "two".to_owned()])
        .expect("shown");
    screen.give_back();
    assert_eq!(modes(&pty.slave), usual);
    screen.take_again().expect("taken");
    screen.take_again().expect("taken");
    assert!(modes(&pty.slave).is_empty());
    drop(screen);
    assert_eq!(modes(&pty.slave), usual);
    // The hook gives it back, not the unwinding: the screen is out of its reach.
    let screen = take();
    std::thread::spawn(|| panic!("as a test"))
        .join()
        .expect_err("a panic");
    assert_eq!(modes(&pty.slave), usual);
    drop(screen);
    drop(pty.slave);
    let mut seen = Vec::new();
    // Ends with an error once nobody has the other end.
    let _ = File::from(pty.master).read_to_end(&mut seen);
    let seen = String::from_utf8(seen).expect("text");
    assert!(
        seen.contains("\x1b[Kone\r\n\x1b[Ktwo\r\n\x1b[J"),
        "{seen:?}"
    );
    assert!(seen.ends_with(GIVE_BACK), "{seen:?}");
}
