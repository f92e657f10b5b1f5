//! Tests.

use super::*;

fn fd() -> Arc<OwnedFd> {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    Arc::new(nix::sys::memfd::memfd_create(c"out", flags).unwrap())
}

#[test]
fn small_messages_leave_together_and_one_with_descriptors_alone() {
    let mut outbox = Outbox::default();
    outbox.push(vec![1; 10], Vec::new());
    outbox.push(vec![2; 10], Vec::new());
    outbox.push(vec![3; 10], vec![fd()]);
    outbox.push(vec![4; 10], Vec::new());
    assert_eq!(outbox.queued(), 40);
    assert_eq!(outbox.front().unwrap().bytes.len(), 20);
    outbox.advance(20);
    let front = outbox.front().unwrap();
    assert_eq!((front.bytes, front.fds.len()), (&[3; 10][..], 1));
    outbox.advance(10);
    assert_eq!(outbox.front().unwrap().bytes, [4; 10]);
    outbox.advance(10);
    assert!(outbox.front().is_none() && outbox.queued() == 0);
}

#[test]
fn descriptors_go_with_the_first_byte_only() {
    let mut outbox = Outbox::default();
    outbox.push(vec![3; 10], vec![fd()]);
    outbox.advance(1);
    let front = outbox.front().unwrap();
    assert_eq!((front.bytes.len(), front.fds.len()), (9, 0));
}

#[test]
fn large_messages_are_not_copied_together() {
    let mut outbox = Outbox::default();
    outbox.push(vec![1; GATHER], Vec::new());
    outbox.push(vec![2; 1], Vec::new());
    assert_eq!(outbox.front().unwrap().bytes.len(), GATHER);
}
