//! Chunking against a model: how a stream is cut changes nothing but where descriptors end up, and
//! that is decided by last bytes alone.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::OwnedFd;

use proptest::prelude::*;

use super::*;
use crate::wire::{Command, MessageType};

const LIMIT: usize = 4096;
const MAX_FDS: usize = 4;

fn framer() -> Framer {
    Framer::new(LIMIT, LIMIT, MAX_FDS)
}

fn message(id: u16, body: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header::command(id, Command::RegionWrite, body).write_to(&mut bytes);
    bytes.extend((0..body).map(|n| n as u8));
    bytes
}

/// A descriptor that can be told from others: its file position is its number.
fn tagged(tag: u64) -> OwnedFd {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let mut file = File::from(nix::sys::memfd::memfd_create(c"tag", flags).unwrap());
    file.seek(SeekFrom::Start(tag)).unwrap();
    file.into()
}

fn tag(fd: OwnedFd) -> u64 {
    File::from(fd).stream_position().unwrap()
}

fn feed(framer: &mut Framer, bytes: &[u8], fds: Vec<OwnedFd>) -> Vec<Message> {
    let mut out = Vec::new();
    framer
        .feed(
            Chunk {
                bytes,
                fds,
                fds_lost: false,
            },
            |message| out.push(message),
        )
        .unwrap();
    out
}

#[test]
fn descriptors_of_a_large_read_belong_to_its_last_message() {
    // QEMU pipelines UNMAP and MAP; one read returns both, with the fd of the MAP.
    let bytes = [message(1, 24), message(2, 32)].concat();
    let out = feed(&mut framer(), &bytes, vec![tagged(9)]);
    assert!(out[0].fds.fds.is_empty());
    assert_eq!(out[1].fds.fds.len(), 1);
}

#[test]
fn descriptors_of_a_read_that_ends_inside_a_message_wait_for_its_rest() {
    let bytes = [message(1, 24), message(2, 32)].concat();
    let mut framer = framer();
    for cut in [41, 50, 87] {
        let out = feed(&mut framer, &bytes[..cut], vec![tagged(9)]);
        assert_eq!(out.len(), 1);
        assert!(out[0].fds.fds.is_empty());
        let out = feed(&mut framer, &bytes[cut..], Vec::new());
        assert_eq!(out[0].fds.fds.len(), 1);
    }
}

#[test]
fn too_many_and_lost_descriptors_are_remembered() {
    let bytes = message(1, 0);
    let out = feed(
        &mut framer(),
        &bytes,
        (0..MAX_FDS as u64).map(tagged).collect(),
    );
    assert!(!out[0].fds.excess);
    let out = feed(
        &mut framer(),
        &bytes,
        (0..=MAX_FDS as u64).map(tagged).collect(),
    );
    assert!(out[0].fds.excess && out[0].fds.fds.len() == MAX_FDS);
    let mut framer = framer();
    let mut out = Vec::new();
    let chunk = Chunk {
        bytes: &bytes,
        fds: Vec::new(),
        fds_lost: true,
    };
    framer.feed(chunk, |message| out.push(message)).unwrap();
    assert!(out[0].fds.lost);
}

#[test]
fn sizes_at_the_limit() {
    let largest = message(1, LIMIT - HEADER_SIZE);
    assert_eq!(feed(&mut framer(), &largest, Vec::new()).len(), 1);
    for size in [0, 15, LIMIT as u32 + 1, u32::MAX] {
        let mut bytes = message(1, 0);
        bytes[4..8].copy_from_slice(&size.to_ne_bytes());
        let chunk = Chunk {
            bytes: &bytes,
            ..Chunk::default()
        };
        let bad = framer()
            .feed(chunk, |_| panic!("not a message"))
            .unwrap_err();
        assert_eq!(
            (bad.header.size, bad.header.kind),
            (size, MessageType::Command)
        );
    }
}

#[test]
fn the_first_message_has_a_limit_of_its_own() {
    let mut framer = Framer::new(64, LIMIT, MAX_FDS);
    assert_eq!(
        feed(
            &mut framer,
            &[message(1, 48), message(2, 400)].concat(),
            vec![]
        )
        .len(),
        2
    );
    let mut framer = Framer::new(64, LIMIT, MAX_FDS);
    let bytes = message(1, 49);
    assert!(
        framer
            .feed(
                Chunk {
                    bytes: &bytes,
                    ..Chunk::default()
                },
                |_| ()
            )
            .is_err()
    );
}

/// A stream, where it is cut, and how many descriptors come with each piece.
fn streams() -> impl Strategy<Value = (Vec<usize>, Vec<(usize, usize)>)> {
    let bodies = prop::collection::vec(0usize..80, 1..12);
    let pieces = prop::collection::vec((1usize..120, 0usize..3), 1..40);
    (bodies, pieces)
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_messages_and_descriptors_by_last_byte(
        (bodies, pieces) in streams()
    ) {
        let mut stream = Vec::new();
        let mut ends = Vec::new();
        for (id, &body) in bodies.iter().enumerate() {
            stream.extend(message(id as u16, body));
            ends.push(stream.len());
        }
        // The model: for each message the tags of chunks whose last byte it holds.
        let mut expected: Vec<Vec<u64>> = vec![Vec::new(); bodies.len()];
        let mut framer = framer();
        let mut got = Vec::new();
        let (mut at, mut next_tag) = (0, 0u64);
        let mut pieces = pieces.into_iter();
        while at < stream.len() {
            let (length, fds) = pieces.next().unwrap_or((stream.len(), 0));
            let end = (at + length).min(stream.len());
            let tags: Vec<_> = (next_tag..next_tag + fds as u64).collect();
            next_tag += fds as u64;
            let owner = ends.iter().position(|&stop| end <= stop).unwrap();
            expected[owner].extend(&tags);
            let fds = tags.into_iter().map(tagged).collect();
            got.extend(feed(&mut framer, &stream[at..end], fds));
            at = end;
        }
        prop_assert_eq!(got.len(), bodies.len());
        prop_assert_eq!(framer.buffered(), 0);
        for (index, message) in got.into_iter().enumerate() {
            prop_assert_eq!(message.header.id as usize, index);
            let body: Vec<_> = (0..bodies[index]).map(|n| n as u8).collect();
            prop_assert_eq!(message.body, body);
            prop_assert_eq!(message.fds.excess, expected[index].len() > MAX_FDS);
            expected[index].truncate(MAX_FDS);
            let tags: Vec<_> = message.fds.fds.into_iter().map(tag).collect();
            prop_assert_eq!(&tags, &expected[index]);
        }
    }
}
