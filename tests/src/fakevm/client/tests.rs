//! The client against a server that says exactly what it is told to say.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use super::*;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::memory::{Backing, MemoryPlan};
use crate::fakevm::sys::{Mapping, send_with_fds};
use crate::fakevm::wire::{FLAG_ERROR, FLAG_REPLY, Writer};

type Script = Vec<Box<dyn FnOnce(&UnixStream, Header, Vec<u8>) + Send>>;

/// A client whose server answers each command by the next step of a script.
fn scripted(script: Script) -> (Client, JoinHandle<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = spawn(move || {
        for step in script {
            let (header, payload) = take(&theirs);
            step(&theirs, header, payload);
        }
        // Open until the test is over.
        theirs
    });
    let mut client = Client::new(Socket::from_stream(ours));
    client.set_deadline(Duration::from_secs(10));
    (client, server)
}

fn take(mut stream: &UnixStream) -> (Header, Vec<u8>) {
    let mut head = [0; HEADER];
    stream.read_exact(&mut head).unwrap();
    let header = Header::decode(&head);
    let mut payload = vec![0; header.size as usize - HEADER];
    stream.read_exact(&mut payload).unwrap();
    (header, payload)
}

fn answer(mut stream: &UnixStream, header: Header, payload: &[u8]) {
    let size = (HEADER + payload.len()) as u32;
    let reply = Header {
        size,
        flags: FLAG_REPLY,
        ..header
    };
    stream
        .write_all(&[&reply.encode(), payload].concat())
        .unwrap();
}

fn refuse(mut stream: &UnixStream, header: Header, error: u32) {
    let reply = Header {
        size: HEADER as u32,
        flags: FLAG_REPLY | FLAG_ERROR,
        error,
        ..header
    };
    stream.write_all(&reply.encode()).unwrap();
}

macro_rules! script {
    ($($step:expr),* $(,)?) => { vec![$(Box::new($step)),*] };
}

#[test]
fn version_is_what_qemu_sends_and_capabilities_are_read() {
    let (mut client, server) = scripted(script![|s: &UnixStream, h: Header, p: Vec<u8>| {
        assert_eq!(h.size, 214);
        assert_eq!(p.last(), Some(&0));
        answer(
            s,
            h,
            b"\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{}}}\0",
        );
    }]);
    client.negotiate(QEMU_CAPABILITIES).unwrap();
    assert_eq!(client.capabilities().max_msg_fds, 8);
    assert_eq!(client.capabilities().max_data_xfer_size, 1 << 20);
    server.join().unwrap();
}

#[test]
fn versions_and_json_that_qemu_refuses_are_refused() {
    for payload in [
        &b"\x01\0\0\0"[..],
        b"\0\0\x01\0",
        b"\0\0",
        b"\0\0\0\0{}",
        b"\0\0\0\0{\0",
    ] {
        let (mut client, server) = scripted(script![
            move |s: &UnixStream, h: Header, _: Vec<u8>| answer(s, h, payload)
        ]);
        let outcome = client.negotiate("");
        assert!(
            matches!(outcome, Err(Error::Protocol(_))),
            "{payload:?}: {outcome:?}"
        );
        server.join().unwrap();
    }
}

#[test]
fn refusals_carry_their_error_number() {
    let (mut client, server) = scripted(script![
        |s: &UnixStream, h: Header, _: Vec<u8>| refuse(s, h, 22),
        |s: &UnixStream, h: Header, _: Vec<u8>| refuse(s, h, 0),
    ]);
    assert_eq!(client.reset().unwrap_err().refused(), Some(22));
    assert!(
        matches!(client.reset(), Err(Error::Protocol(_))),
        "errno 0 is no error"
    );
    server.join().unwrap();
}

#[test]
fn region_info_takes_two_steps_and_keeps_the_descriptor() {
    let fixed = |argsz: u32, flags: u32, cap: u32| {
        Writer::new()
            .put_u32(argsz)
            .put_u32(flags)
            .put_u32(2)
            .put_u32(cap)
            .put_u64(0x4000)
            .put_u64(0x8000)
    };
    let (mut client, server) = scripted(script![
        move |s: &UnixStream, h: Header, p: Vec<u8>| {
            assert_eq!(p[..4], 32_u32.to_le_bytes());
            answer(s, h, &fixed(64, flags::REGION_MMAP, 0).finish());
        },
        move |s: &UnixStream, h: Header, p: Vec<u8>| {
            assert_eq!((p.len(), &p[..4]), (32, &64_u32.to_le_bytes()[..]));
            let all = fixed(64, flags::REGION_MMAP | flags::REGION_CAPS, 32)
                .put_u16(1)
                .put_u16(1)
                .put_u32(0)
                .put_u32(1)
                .put_u32(0)
                .put_u64(0x1000)
                .put_u64(0x2000)
                .finish();
            let head = Header {
                size: 80,
                flags: FLAG_REPLY,
                ..h
            }
            .encode();
            let file = File::open("/dev/null").unwrap();
            let data = [std::io::IoSlice::new(&head), std::io::IoSlice::new(&all)];
            let none = nix::sys::socket::MsgFlags::empty();
            assert_eq!(
                send_with_fds(s, &data, &[file.as_raw_fd()], none).unwrap(),
                80
            );
        },
    ]);
    let info = client.region_info(2).unwrap();
    assert_eq!(
        info.areas,
        [MmapArea {
            offset: 0x1000,
            size: 0x2000
        }]
    );
    assert!(info.mappable(0x1000, 0x2000).is_some());
    assert!(info.mappable(0x2fff, 2).is_none());
    assert!(info.mappable(0xfff, 1).is_none());
    assert!(info.mappable(u64::MAX, 2).is_none());
    server.join().unwrap();
}

#[test]
fn broken_region_capabilities_are_noticed() {
    let payload = |next: u32, count: u32| {
        let mut bytes = vec![0; 32];
        let cap = Writer::new()
            .put_u16(1)
            .put_u16(1)
            .put_u32(next)
            .put_u32(count)
            .put_u32(0);
        bytes.extend_from_slice(&cap.put_u64(0).put_u64(4096).finish());
        bytes
    };
    assert_eq!(
        RegionInfo::parse_areas(&payload(0, 1), 32).unwrap().len(),
        1
    );
    assert!(
        RegionInfo::parse_areas(&payload(0, u32::MAX), 32).is_err(),
        "count past the end"
    );
    assert!(
        RegionInfo::parse_areas(&payload(32, 1), 32).is_err(),
        "a loop"
    );
    assert!(
        RegionInfo::parse_areas(&payload(0, 1), 1000).is_err(),
        "offset past the end"
    );
    assert!(
        RegionInfo::parse_areas(&payload(0, 1), 60).is_err(),
        "cut short"
    );
}

#[test]
fn replies_out_of_order_are_noticed() {
    let (mut client, server) = scripted(script![|s: &UnixStream, h: Header, _: Vec<u8>| {
        answer(
            s,
            Header {
                id: h.id.wrapping_add(1),
                ..h
            },
            &[],
        );
    }]);
    assert!(matches!(client.reset(), Err(Error::Protocol(_))));
    server.join().unwrap();
}

#[test]
fn several_commands_can_be_under_way() {
    let step = |s: &UnixStream, h: Header, _: Vec<u8>| answer(s, h, &[]);
    let (mut client, server) = scripted(script![step, step, step]);
    let tickets: Vec<_> = (0..3)
        .map(|_| client.begin(command::RESET, &[], &[]).unwrap())
        .collect();
    for ticket in tickets {
        client.finish(ticket).unwrap();
    }
    server.join().unwrap();
}

#[test]
fn posted_writes_ask_for_no_reply() {
    let (mut client, server) = scripted(script![|_: &UnixStream, h: Header, p: Vec<u8>| {
        assert!(h.no_reply());
        assert_eq!(h.command, command::REGION_WRITE);
        assert_eq!(
            p,
            Writer::new()
                .put_u64(0x3000)
                .put_u32(2)
                .put_u32(2)
                .put(&[7, 0])
                .finish()
        );
    }]);
    client.region_post(2, 0x3000, &[7, 0]).unwrap();
    server.join().unwrap();
}

#[test]
fn server_commands_wait_for_the_reply_and_are_then_answered() {
    let memory = GuestMemory::new(&MemoryPlan::single(8192, Backing::Memfd)).unwrap();
    memory.view(16, 4).unwrap().store32(0, 0xfeed);
    let (mut client, server) = scripted(script![|s: &UnixStream, h: Header, _: Vec<u8>| {
        let mut stream = s;
        let ask = |command, payload: Vec<u8>| {
            [
                &Header::command(9, command, payload.len()).encode()[..],
                &payload,
            ]
            .concat()
        };
        let read = Writer::new().put_u64(16).put_u64(4).finish();
        let write = Writer::new().put_u64(4096).put_u64(2).put(&[1, 2]).finish();
        let outside = Writer::new().put_u64(8190).put_u64(4).finish();
        stream.write_all(&ask(command::DMA_READ, read)).unwrap();
        stream.write_all(&ask(command::DMA_WRITE, write)).unwrap();
        answer(s, h, &[]);
        let (header, payload) = take(s);
        assert!(header.is_reply() && !header.is_error());
        assert_eq!(payload[16..], 0xfeed_u32.to_le_bytes());
        assert_eq!(take(s).1.len(), 16);
        stream.write_all(&ask(command::DMA_READ, outside)).unwrap();
        let (header, _) = take(s);
        assert_eq!(
            (header.is_error(), header.error),
            (true, nix::libc::ENODEV as u32)
        );
    }]);
    client.reset().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut served = 0;
    while served < 3 {
        served += client.serve(&memory, deadline).unwrap();
    }
    assert_eq!(memory.view(4096, 2).unwrap().load16(0), 0x0201);
    server.join().unwrap();
}

#[test]
fn a_map_carries_its_file() {
    let memory = GuestMemory::new(&MemoryPlan::single(4096, Backing::Memfd)).unwrap();
    memory.view(0, 8).unwrap().store64(0, 77);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = spawn(move || {
        let peer = Socket::from_stream(theirs);
        let (mut fds, mut bytes) = (Vec::new(), [0; HEADER + 32]);
        let deadline = Instant::now() + Duration::from_secs(10);
        peer.receive(&mut bytes, &mut fds, deadline).unwrap();
        let map = Mapping::shared(&fds[0], 0, 4096).unwrap();
        assert_eq!(Shared::new(&map).load64(0), 77);
        answer(
            peer.stream(),
            Header::decode(bytes[..HEADER].try_into().unwrap()),
            &[],
        );
    });
    let mut client = Client::new(Socket::from_stream(ours));
    client.dma_map(&memory.regions()[0]).unwrap();
    server.join().unwrap();
}

#[test]
fn silence_and_departure_end_a_wait() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut client = Client::new(Socket::from_stream(ours));
    client.set_deadline(Duration::from_millis(20));
    assert!(client.reset().unwrap_err().is_timeout());
    drop(theirs);
    assert!(client.reset().unwrap_err().is_closed());
}
