use std::io::Write;
use std::process::{Command, Stdio};

use libcvf::cvf::{Drop, Seen, Way};
use proptest::prelude::*;

use super::*;

/// What was written, in words that its reader has too.
fn expected<'a>(seen: &Seen<'a>) -> Packet<'a> {
    Packet {
        time: seen.time,
        len: seen.len,
        bytes: seen.bytes,
        out: Some(seen.way == Way::Out),
        dropped: seen.dropped.map(Drop::name),
        lost: seen.lost.into(),
    }
}

fn file(frames: &[Seen<'_>], end: &Statistics) -> Vec<u8> {
    let mut out = Vec::new();
    section(&mut out);
    let of = Interface {
        name: "web0",
        mac: [2, 0, 0, 0, 0, 1],
        snaplen: 256,
    };
    interface(&mut out, &of);
    frames.iter().for_each(|seen| packet(&mut out, seen));
    statistics(&mut out, end);
    out
}

fn seen(bytes: &[u8]) -> impl Strategy<Value = Seen<'_>> {
    let reason = prop::option::of(prop::sample::select(Drop::ALL));
    let numbers = (any::<u64>(), any::<u32>(), any::<u32>(), 0..=bytes.len());
    (numbers, any::<bool>(), reason).prop_map(|((time, lost, len, copied), out, dropped)| Seen {
        time,
        way: if out { Way::Out } else { Way::In },
        dropped,
        lost,
        len,
        bytes: &bytes[..copied],
    })
}

static BYTES: [u8; 300] = [0xa5; 300];

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_comes(
        frames in prop::collection::vec(seen(&BYTES), 0..20),
        end: [u64; 4],
        cuts in prop::collection::vec(1usize..90, 1..40),
    ) {
        let [start, end, seen, lost] = end;
        let end = Statistics { start, end, seen, lost };
        let whole = file(&frames, &end);
        let (mut blocks, mut copy, mut read, mut told) = (Blocks::default(), Vec::new(), Vec::new(), None);
        let (mut left, mut cuts) = (whole.as_slice(), cuts.into_iter().cycle());
        while !left.is_empty() {
            let (now, later) = left.split_at(cuts.next().unwrap_or(1).min(left.len()));
            left = later;
            blocks.feed(now);
            while let Some((bytes, block)) = blocks.take().expect("well formed") {
                copy.extend_from_slice(bytes);
                match block {
                    Block::Packet(packet) => {
                        let bytes = packet.bytes.to_vec();
                        let dropped = packet.dropped.map(str::to_owned);
                        read.push((packet.time, packet.len, bytes, packet.out, dropped, packet.lost));
                    }
                    Block::Statistics(statistics) => told = Some(statistics),
                    Block::Other => {}
                }
            }
        }
        prop_assert_eq!(copy, whole, "every block is handed on as it is");
        prop_assert_eq!(told, Some(end));
        let wanted = frames.iter().map(expected);
        let wanted: Vec<_> = wanted
            .map(|p| (p.time, p.len, p.bytes.to_vec(), p.out, p.dropped.map(str::to_owned), p.lost))
            .collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut blocks = Blocks::default();
        blocks.feed(&bytes);
        while let Ok(Some(_)) = blocks.take() {}
    }

    #[test]
    fn nor_does_a_file_with_a_wrong_byte(at in any::<prop::sample::Index>(), byte: u8) {
        let frame = Seen {
            time: 1, way: Way::In, dropped: Some(Drop::Vlan), lost: 2, len: 9, bytes: &BYTES[..9],
        };
        let mut whole = file(&[frame], &Statistics::default());
        let at = at.index(whole.len());
        whole[at] = byte;
        let mut blocks = Blocks::default();
        blocks.feed(&whole);
        while let Ok(Some(_)) = blocks.take() {}
    }
}

/// The file with its offsets, as draft-ietf-opsawg-pcapng draws it: not what our reader thinks of it.
#[test]
fn a_packet_block_lies_as_the_format_says() {
    let frame = Seen {
        time: 0x1122_3344_5566_7788,
        way: Way::Out,
        dropped: Some(Drop::Spoofed),
        lost: 7,
        len: 60,
        bytes: &[1, 2, 3, 4, 5],
    };
    let mut block = Vec::new();
    packet(&mut block, &frame);
    let mut wanted = vec![6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    wanted.extend([0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55]);
    wanted.extend([5, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
    wanted.extend([1, 0, 16, 0]);
    wanted.extend(b"dropped: spoofed");
    wanted.extend([2, 0, 4, 0, 2, 0, 0, 0]);
    wanted.extend([4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let len = wanted.len() as u8 + 4;
    wanted[4] = len;
    wanted.extend([len, 0, 0, 0]);
    assert_eq!(block, wanted);
}

/// What others make of it.
#[test]
#[allow(clippy::print_stderr)]
fn tcpdump_reads_it() {
    let Ok(mut tcpdump) = Command::new("tcpdump")
        .args(["-n", "-e", "-XX", "-tt", "--nano", "-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        let why = "NOT RUN: there is no tcpdump (Debian package tcpdump)";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        eprintln!("{why}");
        return;
    };
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    bytes.extend((0..47).map(|n| n as u8));
    let frame = |way, dropped, bytes| Seen {
        time: 1_000_000_002_345_678_901,
        way,
        dropped,
        lost: 0,
        len: 1514,
        bytes,
    };
    let frames = [
        frame(Way::Out, Some(Drop::Spoofed), &bytes[..]),
        frame(Way::In, None, &bytes[..60]),
    ];
    let whole = file(&frames, &Statistics::default());
    let mut input = tcpdump.stdin.take().expect("a pipe");
    input.write_all(&whole).expect("written");
    drop(input);
    let read = tcpdump.wait_with_output().expect("it ends");
    let (out, err) = (
        String::from_utf8_lossy(&read.stdout),
        String::from_utf8_lossy(&read.stderr),
    );
    assert!(read.status.success(), "{err}");
    let heads: Vec<_> = out
        .lines()
        .filter(|line| line.contains("02:00:00:00:00:01 > 02:00:00:00:00:02"))
        .collect();
    assert_eq!(heads.len(), 2, "{out}");
    assert!(
        heads
            .iter()
            .all(|head| head.starts_with("1000000002.345678901 ")),
        "{out}"
    );
    assert!(
        heads.iter().all(|head| head.contains("length 1514")),
        "{out}"
    );
    assert!(
        out.contains("0x0030:  2223 2425 2627 2829 2a2b 2c2d 2e"),
        "{out}"
    );
}
