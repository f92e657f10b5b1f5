//! Tests.

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_socket_has_its_mode_and_goes_with_its_listener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    for bits in [0o600, 0o660, 0o666] {
        let listener = Listener::bind(&path, bits).unwrap();
        assert_eq!(mode(&path), bits);
        let client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        drop((client, listener));
        assert!(!path.exists());
    }
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = Listener::bind(&path, 0o600).unwrap();
    let error = Listener::bind(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(listener.path().exists());
}

#[test]
fn other_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "precious").unwrap();
    let error = Listener::bind(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_successor_at_the_same_path_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let first = Listener::bind(&path, 0o600).unwrap();
    fs::remove_file(&path).unwrap();
    let second = Listener::bind(&path, 0o600).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn a_path_that_is_too_long_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Listener::bind(dir.path().join("x".repeat(200)), 0o600).is_err());
}
