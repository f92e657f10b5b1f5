//! What `cvfctl capture` shows of a device, and that nobody is delayed by it.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use lab::fakevm::frame::{self, BROADCAST};
use lab::fakevm::net::{NetHeader, feature, gso, header_flag};
use lab::fakevm::{DoorbellMode, FakeVmConfig};
use serde_json::Value;

use crate::common::{Host, SOON, expect_number, features, introduce, pass, without};
use crate::offloads::RECEIVE_OFFLOADS;

/// A frame as the file has it: sent by the guest, its comment, its bytes.
type Seen = (bool, Option<String>, Vec<u8>);

/// What a file says: frames, and of the statistics at its end how many were there and how many were lost.
#[derive(Debug, Default)]
struct File {
    frames: Vec<Seen>,
    told: Option<(u64, u64)>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Reads pcapng, knowing nothing of who wrote it.
fn read(mut bytes: &[u8]) -> File {
    let mut file = File::default();
    let mut kinds = Vec::new();
    while !bytes.is_empty() {
        let (kind, len) = (word(bytes, 0), word(bytes, 4) as usize);
        let (block, rest) = bytes.split_at(len);
        assert_eq!(word(block, len - 4) as usize, len);
        bytes = rest;
        kinds.push(kind);
        let body = &block[8..len - 4];
        let options = |mut at: usize| {
            let mut found = Vec::new();
            while at < body.len() && word(body, at) & 0xffff != 0 {
                let (code, len) = (word(body, at) & 0xffff, (word(body, at) >> 16) as usize);
                found.push((code, body[at + 4..at + 4 + len].to_vec()));
                at += 4 + len.next_multiple_of(4);
            }
            found
        };
        let long = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap());
        match kind {
            6 => {
                let len = word(body, 12) as usize;
                let options = options(20 + len.next_multiple_of(4));
                let of = |code| options.iter().find(|(is, _)| *is == code).map(|(_, v)| v);
                let comment = of(1).map(|text| String::from_utf8(text.clone()).unwrap());
                let flags = word(of(2).unwrap(), 0);
                file.frames
                    .push((flags & 3 == 2, comment, body[20..20 + len].to_vec()));
            }
            5 => {
                let options = options(12);
                let of = |code| options.iter().find(|(is, _)| *is == code).unwrap();
                file.told = Some((long(&of(4).1), long(&of(5).1)));
            }
            _ => {}
        }
    }
    assert_eq!(kinds[..2], [0x0a0d_0d0a, 1], "a section, an interface");
    file
}

/// `cvfctl capture` that has begun.
struct Capture {
    child: Child,
}

impl Capture {
    fn begin(host: &Host, name: &str, more: &[&str]) -> Self {
        let before = captures(host, name);
        let programs = lab::artifacts::programs().unwrap();
        let child = Command::new(&programs.cvfctl)
            .args(["--address", &host.daemon.address(), "capture", name])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = host
            .daemon
            .wait_show(name, "a capture", |shown| count(shown) == before + 1);
        shown.unwrap();
        Self { child }
    }

    /// Waits for its end: what it wrote, and what it said.
    fn end(self) -> (File, String) {
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        (read(&output.stdout), said)
    }
}

fn count(shown: &Value) -> u64 {
    shown["health"]["captures"].as_u64().unwrap()
}

fn captures(host: &Host, name: &str) -> u64 {
    count(&host.daemon.ctl(&["show", name]).unwrap())
}

const WHOLE: [&str; 2] = ["--snaplen", "65535"];

/// Frames there and back, captured at the first device: all, in order, whole.
fn both_ways(one: &[&str], config: FakeVmConfig) {
    const ROUNDS: u64 = 40;
    let host = Host::new();
    let mut two = host.vm("two");
    let mut one = host.vm_with("one", one, config);
    introduce(&mut [&mut one, &mut two]);
    let count = (2 * ROUNDS).to_string();
    let limits = ["--count", &count, "--seconds", "60"];
    let capture = Capture::begin(&host, "one", &[&WHOLE[..], &limits].concat());
    let (here, there) = (one.mac().unwrap(), two.mac().unwrap());
    let mut expected = Vec::new();
    for round in 0..ROUNDS {
        let len = 60 + 37 * round as usize;
        let (out, back) = (
            frame::numbered(there, here, round, len),
            frame::numbered(here, there, 1000 + round, len),
        );
        one.send(&out).unwrap();
        assert_eq!(expect_number(&mut two, round), out);
        two.send(&back).unwrap();
        assert_eq!(expect_number(&mut one, 1000 + round), back);
        expected.extend([(true, None, out), (false, None, back)]);
    }
    let (file, said) = capture.end();
    assert!(
        said.contains(&format!("{count} frames of one captured")),
        "{said}"
    );
    assert_eq!(file.frames.len(), expected.len());
    for (nth, (seen, expected)) in file.frames.iter().zip(&expected).enumerate() {
        assert!(seen == expected, "frame {nth}: {seen:02x?}");
    }
    assert_eq!(file.told, Some((2 * ROUNDS, 0)));
    host.daemon
        .wait_show("one", "its end", |shown| self::count(shown) == 0)
        .unwrap();
}

#[test]
fn all_frames_are_shown_both_ways_whole_and_in_order() {
    both_ways(&[], FakeVmConfig::default());
}

#[test]
fn packed_rings_show_the_same() {
    both_ways(
        &["--ring-format", "packed"],
        features(feature::FULL | feature::RING_PACKED),
    );
}

#[test]
fn mapped_doorbells_show_the_same() {
    let config = FakeVmConfig {
        doorbells: DoorbellMode::Mapped,
        ..FakeVmConfig::default()
    };
    both_ways(&["--doorbells", "mapped"], config);
}

#[test]
fn who_never_reads_delays_nobody_and_learns_what_is_lost() {
    const FRAMES: u64 = 6000;
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let seconds = ["--seconds", "3600"];
    let capture = Capture::begin(&host, "one", &[&WHOLE[..], &seconds].concat());
    let (here, there) = (one.mac().unwrap(), two.mac().unwrap());
    for number in 0..FRAMES {
        one.send(&frame::numbered(there, here, number, 1514))
            .unwrap();
        expect_number(&mut two, number);
    }
    // It reads, and the device goes: the capture comes to its end in order.
    let mut child = capture.child;
    let mut out = child.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        bytes
    });
    drop(one);
    host.daemon.ctl(&["destroy", "one", "--force"]).unwrap();
    let file = read(&reading.join().unwrap());
    let mut said = String::new();
    let mut err = child.stderr.take().unwrap();
    err.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let (seen, lost) = file.told.expect("statistics at its end");
    assert_eq!(seen, FRAMES);
    assert_eq!(file.frames.len() as u64 + lost, FRAMES);
    assert!(lost > 1000, "{lost}");
    assert!(said.contains(&format!("{lost} more are lost")), "{said}");
    let mut three = host.vm("three");
    introduce(&mut [&mut three, &mut two]);
    pass(&mut three, &mut two, 77);
}

#[test]
fn what_is_dropped_is_shown_with_its_reason() {
    let host = Host::new();
    let mut two = host.vm("two");
    let mut one = host.vm_with(
        "one",
        &["--profile", "tenant", "--tx-frames", "5"],
        FakeVmConfig::default(),
    );
    let (here, there) = (one.mac().unwrap(), two.mac().unwrap());
    let limits = ["--count", "2", "--seconds", "60"];
    let capture = Capture::begin(&host, "one", &[&["--drops"][..], &limits].concat());
    // An address of somebody else.
    let spoofed = frame::numbered(BROADCAST, there, 1, 64);
    one.send(&spoofed).unwrap();
    let mut good = 0;
    loop {
        good += 1;
        one.send(&frame::numbered(there, here, 100 + good, 64))
            .unwrap();
        one.drain_tx(0).unwrap();
        let dropped = host.daemon.counter("one", "/tx/drops/over-rate");
        if dropped.is_ok_and(|dropped| dropped > 0) {
            break;
        }
    }
    let (file, _) = capture.end();
    let reasons: Vec<_> = file.frames.iter().map(|seen| seen.1.as_deref()).collect();
    assert_eq!(
        reasons,
        [Some("dropped: spoofed"), Some("dropped: over-rate")]
    );
    assert_eq!(file.frames[0].2, spoofed);
    assert_eq!(frame::number_of(&file.frames[1].2), Some(100 + good));
    while let Ok(Some(_)) = two.recv(crate::common::NEVER) {}
}

#[test]
fn a_large_send_frame_is_shown_as_each_guest_has_it() {
    let host = Host::new();
    let (mut one, mut two) = (
        host.vm("one"),
        host.vm_with("two", &[], without(RECEIVE_OFFLOADS)),
    );
    introduce(&mut [&mut one, &mut two]);
    let at_one = Capture::begin(
        &host,
        "one",
        &[&WHOLE[..], &["--count", "1", "--seconds", "60"]].concat(),
    );
    let at_two = Capture::begin(
        &host,
        "two",
        &[&WHOLE[..], &["--count", "4", "--seconds", "60"]].concat(),
    );
    let (here, there) = (one.mac().unwrap(), two.mac().unwrap());
    let payload: Vec<u8> = (0..4000).map(|n| n as u8).collect();
    let large = frame::tcp4(there, here, &payload);
    let header = NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4,
        gso_size: 1000,
        hdr_len: 54,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    };
    one.send_on(0, &header, &large).unwrap();
    let arrived: Vec<_> = (0..4)
        .map(|_| (false, None, two.recv(SOON).unwrap().expect("a segment")))
        .collect();
    assert_eq!(at_one.end().0.frames, [(true, None, large)]);
    assert_eq!(at_two.end().0.frames, arrived);
}
