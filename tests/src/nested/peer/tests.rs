use super::*;
use crate::nested::wire::Stream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

const GUEST: [u8; 6] = [2, 0, 0, 0, 0, 7];

fn run(count: u64) -> Run {
    Run {
        number: 4,
        count,
        size: 100,
        window: 8,
    }
}

fn made(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    frame::write(&mut bytes, MAC, GUEST, north(4), number, false);
    bytes
}

/// What the peer makes of these frames, of which there should have been `count`, and the `answered` that it sends.
fn told(frames: &[Vec<u8>], count: u64, answered: usize) -> (Account, Vec<Vec<u8>>) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut near = Wire::stream("near", Stream::new(near));
    let mut far = Wire::stream("far", Stream::new(far));
    let course = Course::default();
    let soon = || Instant::now() + Duration::from_secs(10);
    thread::scope(|scope| {
        let peer = scope.spawn(|| answer(&mut far, &run(count), &course).unwrap());
        for frame in frames {
            near.send(frame, soon()).unwrap();
        }
        let answers = (0..answered).map(|_| near.receive(soon()).unwrap().expect("an answer"));
        let answers = answers.collect();
        course.stop();
        assert_eq!(course.answered(), answered as u64);
        (peer.join().unwrap(), answers)
    })
}

#[test]
fn each_frame_is_answered_to_its_sender_with_its_number() {
    let frames: Vec<_> = (0..20).map(made).collect();
    let (account, answers) = told(&frames, 20, 20);
    assert!(account.is_perfect(20), "{account:?}");
    let mut watch = Watch::new(south(4));
    for (number, answer) in (0..).zip(&answers) {
        assert_eq!((&answer[..6], &answer[6..12]), (&GUEST[..], &MAC[..]));
        assert_eq!(watch.look(answer), Some(number));
    }
    assert!(watch.account(20, 20).is_perfect(20));
}

#[test]
fn what_is_missing_or_changed_is_not_answered_and_is_told() {
    let mut frames: Vec<_> = (0..20).map(made).collect();
    frames[5][60] ^= 1;
    frames.remove(9);
    let (account, _) = told(&frames, 20, 18);
    assert_eq!((account.lost, account.wrong, account.sent), (2, 1, 18));
}
