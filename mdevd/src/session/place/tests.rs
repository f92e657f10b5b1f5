use std::os::unix::net::UnixStream;

use nix::unistd::{Gid, Uid};
use tempfile::{TempDir, tempdir};

use super::*;

const OPEN: Access = Access {
    owner: None,
    group: None,
    mode: 0o640,
};

fn entries(dir: &TempDir) -> usize {
    fs::read_dir(dir.path()).expect("a directory").count()
}

#[test]
fn nobody_can_connect_before_it_opens_and_nothing_stays_after() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let mut place = Place::prepare(&path, OPEN).expect("a place");
    assert!(!path.exists());
    let listener = place.open().expect("open");
    UnixStream::connect(&path).expect("a listener");
    assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o640);
    assert_eq!(entries(&dir), 1, "the temporary name is gone");
    drop((listener, place));
    assert_eq!(entries(&dir), 0);
}

#[test]
fn a_prepared_place_that_never_opens_leaves_nothing() {
    let dir = tempdir().expect("a directory");
    drop(Place::prepare(&dir.path().join("a.sock"), OPEN).expect("a place"));
    assert_eq!(entries(&dir), 0);
}

#[test]
fn a_stale_socket_is_replaced() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    drop(UnixListener::bind(&path).expect("bind"));
    assert!(path.exists(), "closing does not remove");
    let mut place = Place::prepare(&path, OPEN).expect("a place");
    let _listener = place.open().expect("open");
    UnixStream::connect(&path).expect("ours now");
}

#[test]
fn a_live_socket_and_a_foreign_file_are_left_alone() {
    let dir = tempdir().expect("a directory");
    let live = dir.path().join("live.sock");
    let _listener = UnixListener::bind(&live).expect("bind");
    let error = Place::prepare(&live, OPEN).expect_err("taken");
    assert!(
        error.is_taken() && error.to_string().contains("another process listens"),
        "{error}"
    );

    let file = dir.path().join("file.sock");
    fs::write(&file, "mine").expect("write");
    let error = Place::prepare(&file, OPEN).expect_err("taken");
    assert!(
        error.is_taken() && error.to_string().contains("not a socket"),
        "{error}"
    );
    assert_eq!(fs::read(&file).expect("read"), b"mine");

    let link = dir.path().join("link.sock");
    std::os::unix::fs::symlink(&live, &link).expect("link");
    assert!(matches!(
        Place::prepare(&link, OPEN),
        Err(PlaceError::Foreign(_))
    ));
    assert_eq!(entries(&dir), 3, "no temporary names");
}

#[test]
fn a_path_taken_between_prepare_and_open_is_not_overwritten() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let mut place = Place::prepare(&path, OPEN).expect("a place");
    fs::write(&path, "mine").expect("write");
    assert!(place.open().expect_err("taken").is_taken());
    drop(place);
    assert_eq!(fs::read(&path).expect("read"), b"mine");
    assert_eq!(entries(&dir), 1);
}

#[test]
fn only_our_own_socket_is_removed() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let mut place = Place::prepare(&path, OPEN).expect("a place");
    let _listener = place.open().expect("open");
    fs::remove_file(&path).expect("remove");
    let _other = UnixListener::bind(&path).expect("bind");
    drop(place);
    UnixStream::connect(&path).expect("the other's socket stays");
}

#[test]
fn the_longest_path_works_and_one_more_byte_is_refused() {
    let dir = tempdir().expect("a directory");
    let room = MAX_SOCKET_PATH - dir.path().as_os_str().len() - 1;
    let longest = dir.path().join("x".repeat(room));
    let mut place = Place::prepare(&longest, OPEN).expect("a place");
    let _listener = place.open().expect("open");
    UnixStream::connect(&longest).expect("connect");
    let error = Place::prepare(&dir.path().join("x".repeat(room + 1)), OPEN).expect_err("long");
    assert!(error.to_string().contains("108 bytes"), "{error}");
}

#[test]
fn owner_and_group_are_set_when_the_process_may() {
    let dir = tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let access = Access {
        owner: Some(Uid::from_raw(4242)),
        group: Some(Gid::from_raw(4343)),
        mode: 0o600,
    };
    match Place::prepare(&path, access) {
        Ok(mut place) => {
            let _listener = place.open().expect("open");
            let meta = fs::metadata(&path).expect("a file");
            assert_eq!(
                (meta.uid(), meta.gid(), meta.mode() & 0o777),
                (4242, 4343, 0o600)
            );
        }
        Err(error) => assert!(
            !Uid::effective().is_root() && matches!(error, PlaceError::MayNotGive(_)),
            "{error}"
        ),
    }
}

#[test]
fn unknown_accounts_are_named() {
    let access = |owner: Option<&str>, group: Option<&str>| crate::engine::SocketAccess {
        owner: owner.map(str::to_owned),
        group: group.map(str::to_owned),
        mode: 0o660,
    };
    let error = Access::resolve(&access(Some("no-such-user-here"), None)).expect_err("unknown");
    assert!(
        error.to_string().contains("no user 'no-such-user-here'"),
        "{error}"
    );
    let error = Access::resolve(&access(None, Some("no-such-group"))).expect_err("unknown");
    assert!(error.to_string().contains("no group"), "{error}");
    let resolved = Access::resolve(&access(Some("root"), Some("17"))).expect("known");
    assert_eq!(resolved.owner, Some(Uid::from_raw(0)));
    assert_eq!(resolved.group, Some(Gid::from_raw(17)));
}
