//! Tests of what the conformance suite cannot reach: tokens, limits, phases.

use super::*;
use crate::wire::Command;

fn session() -> Session {
    let description = Description::pci()
        .region(0, crate::Region::read_write(1 << 20))
        .unwrap();
    Session::new(Config::default(), Arc::new(description), Observer::new())
}

fn message(command: Command, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Header::command(1, command, body.len()).write_to(&mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

fn read(count: u32) -> Vec<u8> {
    let body = [&[0; 12][..], &count.to_ne_bytes()].concat();
    message(Command::RegionRead, &body)
}

fn negotiated() -> Session {
    let mut session = session();
    session.receive(Chunk {
        bytes: &message(Command::Version, &[0; 4]),
        ..Chunk::default()
    });
    assert!(session.next_request().is_none());
    let sent = session.output().unwrap().bytes.len();
    session.sent(sent);
    session
}

#[test]
fn a_token_answers_once() {
    let mut session = negotiated();
    session.receive(Chunk {
        bytes: &read(1),
        ..Chunk::default()
    });
    let request = session.next_request().unwrap();
    session.complete(Token(999), Ok(Reply::Done));
    assert!(session.output().is_none());
    session.complete(request.token, Ok(Reply::Data(vec![1])));
    let length = session.output().unwrap().bytes.len();
    session.complete(request.token, Err(Errno::EIO));
    assert_eq!(session.output().unwrap().bytes.len(), length);
}

#[test]
fn an_answer_of_the_wrong_kind_is_an_io_error() {
    let mut session = negotiated();
    session.receive(Chunk {
        bytes: &read(1),
        ..Chunk::default()
    });
    let request = session.next_request().unwrap();
    session.complete(request.token, Ok(Reply::Done));
    let reply = Header::parse(session.output().unwrap().bytes.first_chunk().unwrap());
    assert_eq!((reply.error, reply.errno), (true, Errno::EIO.raw()));
}

#[test]
fn promised_replies_count_against_the_output_limit() {
    let mut session = negotiated();
    for _ in 0..10 {
        session.receive(Chunk {
            bytes: &read(1 << 20),
            ..Chunk::default()
        });
    }
    let mut tokens = Vec::new();
    while let Some(request) = session.next_request() {
        tokens.push(request.token);
    }
    assert_eq!(tokens.len(), limits::MAX_QUEUED_OUTPUT >> 20);
    for token in tokens {
        session.complete(token, Ok(Reply::Data(vec![0; 1 << 20])));
    }
    assert!(
        session.next_request().is_none(),
        "nothing more until something is sent"
    );
    let sent = session.output().unwrap().bytes.len();
    session.sent(sent);
    assert!(session.next_request().is_some());
}

#[test]
fn input_stops_at_each_of_its_limits() {
    let mut session = negotiated();
    for taken in 0..limits::DEFAULT_MAX_REQUESTS {
        assert!(session.wants_input(), "{taken}");
        session.receive(Chunk {
            bytes: &read(1),
            ..Chunk::default()
        });
    }
    assert!(!session.wants_input());
    let mut session = negotiated();
    let write = {
        let count = 1u32 << 20;
        let body = [&[0; 12][..], &count.to_ne_bytes(), &vec![0; count as usize]].concat();
        message(Command::RegionWrite, &body)
    };
    for _ in 0..4 {
        assert!(session.wants_input());
        session.receive(Chunk {
            bytes: &write,
            ..Chunk::default()
        });
    }
    assert!(!session.wants_input());
    assert!(session.buffered() >= limits::MAX_QUEUED_INPUT);
}

#[test]
fn lost_descriptors_refuse_their_message_only() {
    let mut session = negotiated();
    session.receive(Chunk {
        bytes: &read(1),
        fds: Vec::new(),
        fds_lost: true,
    });
    assert!(session.next_request().is_none());
    let reply = Header::parse(session.output().unwrap().bytes.first_chunk().unwrap());
    assert_eq!(reply.errno, Errno::EMFILE.raw());
    session.receive(Chunk {
        bytes: &read(1),
        ..Chunk::default()
    });
    assert!(session.next_request().is_some());
}

#[test]
fn after_a_violation_what_is_deferred_is_still_answered_first() {
    let mut session = negotiated();
    session.receive(Chunk {
        bytes: &read(1),
        ..Chunk::default()
    });
    let request = session.next_request().unwrap();
    let mut bad = message(Command::DeviceReset, &[]);
    bad[4] = 3;
    session.receive(Chunk {
        bytes: &bad,
        ..Chunk::default()
    });
    assert!(!session.wants_input());
    assert!(session.next_request().is_none());
    assert!(session.output().is_none() && session.ended().is_none());
    session.complete(request.token, Ok(Reply::Data(vec![9])));
    assert!(session.ended().is_none());
    while let Some(output) = session.output() {
        let length = output.bytes.len();
        session.sent(length);
    }
    assert!(matches!(
        session.ended(),
        Some(Violation::MessageSize { size: 3, .. })
    ));
    session.receive(Chunk {
        bytes: &read(1),
        ..Chunk::default()
    });
    assert!(session.next_request().is_none());
}

#[test]
fn dma_limits() {
    let mut session = negotiated();
    let map = [
        &32u32.to_ne_bytes()[..],
        &3u32.to_ne_bytes(),
        &0u64.to_ne_bytes(),
        &0u64.to_ne_bytes(),
        &(1u64 << 30).to_ne_bytes(),
    ]
    .concat();
    session.receive(Chunk {
        bytes: &message(Command::DmaMap, &map),
        ..Chunk::default()
    });
    let request = session.next_request().unwrap();
    session.complete(request.token, Ok(Reply::Done));
    assert_eq!(
        session.dma_table().iter().collect::<Vec<_>>(),
        [(0, 1 << 30)]
    );
    assert_eq!(
        session.dma_read(0, limits::MAX_DMA_TRANSFER + 1),
        Err(Errno::EMSGSIZE)
    );
    for _ in 0..limits::MAX_DMA_PENDING_BYTES / limits::MAX_DMA_TRANSFER {
        session.dma_read(0, limits::MAX_DMA_TRANSFER).unwrap();
    }
    assert_eq!(session.dma_write(0, vec![1]), Err(Errno::ENOBUFS));
    assert!(session.next_dma_done().is_none());
}

#[test]
fn input_stops_when_too_many_descriptors_wait() {
    let mut session = negotiated();
    let fd = || {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        nix::sys::memfd::memfd_create(c"fd", flags).unwrap()
    };
    for _ in 0..limits::MAX_QUEUED_FDS {
        assert!(session.wants_input());
        session.receive(Chunk {
            bytes: &read(1),
            fds: vec![fd()],
            fds_lost: false,
        });
    }
    assert!(!session.wants_input());
    // Refused, and their descriptors closed.
    assert!(session.next_request().is_none());
    assert!(session.wants_input());
}

#[test]
fn the_entries_of_an_io_fds_reply_are_limited() {
    for (count, ok) in [(limits::MAX_IO_FDS, true), (limits::MAX_IO_FDS + 1, false)] {
        let mut session = negotiated();
        let mut body = (1u32 << 20).to_ne_bytes().to_vec();
        body.extend([0; 12]);
        let bytes = message(Command::DeviceGetRegionIoFds, &body);
        session.receive(Chunk {
            bytes: &bytes,
            ..Chunk::default()
        });
        let request = session.next_request().unwrap();
        let entry = crate::wire::IoFd {
            offset: 0,
            size: 4,
            fd: None,
            kind: crate::wire::IoFdKind::Ioeventfd {
                flags: 0,
                datamatch: 0,
            },
        };
        session.complete(request.token, Ok(Reply::IoFds(vec![entry; count])));
        let reply = Header::parse(session.output().unwrap().bytes.first_chunk().unwrap());
        assert_eq!(!reply.error, ok);
    }
}
