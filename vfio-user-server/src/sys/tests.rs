//! Tests.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::*;

fn fd() -> Arc<OwnedFd> {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    Arc::new(nix::sys::memfd::memfd_create(c"sys", flags).unwrap())
}

#[test]
fn bytes_and_as_many_descriptors_as_the_kernel_allows() {
    let (a, b) = UnixStream::pair().unwrap();
    for count in [0, 1, 2, 16, SCM_MAX_FD] {
        let fds: Vec<_> = (0..count).map(|_| fd()).collect();
        assert_eq!(send(a.as_fd(), b"hello", &fds).unwrap(), 5);
        let mut buffer = [0; 64];
        let received = recv(b.as_fd(), &mut buffer).unwrap();
        assert_eq!(
            (received.bytes, received.fds.len(), received.fds_lost),
            (5, count, false)
        );
        for fd in &received.fds {
            assert_eq!(
                nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap(),
                libc::FD_CLOEXEC
            );
        }
    }
    let too_many: Vec<_> = (0..=SCM_MAX_FD).map(|_| fd()).collect();
    assert!(send(a.as_fd(), b"hello", &too_many).is_err());
}

#[test]
fn a_read_ends_where_descriptors_do() {
    let (a, b) = UnixStream::pair().unwrap();
    send(a.as_fd(), b"one", &[]).unwrap();
    send(a.as_fd(), b"two", &[fd()]).unwrap();
    send(a.as_fd(), b"three", &[]).unwrap();
    let mut buffer = [0; 64];
    let first = recv(b.as_fd(), &mut buffer).unwrap();
    // The kernel may join what comes before descriptors, never what comes after.
    assert!(first.fds.is_empty() || first.bytes == 6);
    let mut bytes = first.bytes;
    let mut fds = first.fds.len();
    while bytes < 11 {
        let more = recv(b.as_fd(), &mut buffer).unwrap();
        assert!(more.fds.is_empty() || bytes + more.bytes == 6);
        bytes += more.bytes;
        fds += more.fds.len();
    }
    assert_eq!(fds, 1);
}

#[test]
fn nothing_there_would_block_and_a_closed_peer_reads_nothing() {
    let (a, b) = UnixStream::pair().unwrap();
    let error = recv(b.as_fd(), &mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(a);
    assert_eq!(recv(b.as_fd(), &mut [0; 8]).unwrap().bytes, 0);
    assert_eq!(
        send(b.as_fd(), b"x", &[]).unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
}
