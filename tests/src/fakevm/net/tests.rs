//! Frames through transmit and receive rings, with a model device between.

use super::*;
use crate::fakevm::frame;
use crate::fakevm::memory::{Backing, MemoryPlan};
use crate::fakevm::ring::model::ModelDevice;
use crate::fakevm::ring::{DESC_INDIRECT, Segment};

const FEATURES: u64 = feature::PLAIN | feature::INDIRECT_DESC;

struct Bench {
    memory: GuestMemory,
    pair: NetPair,
    tx: ModelDevice,
    rx: ModelDevice,
}

fn bench(ring_size: u16, tx_layout: TxLayout, rx_buffer: usize, features: u64) -> Bench {
    let mut memory = GuestMemory::new(&MemoryPlan::single(8 << 20, Backing::Memfd)).unwrap();
    let config = NetRingConfig {
        ring_size,
        tx_layout,
        rx_buffer,
        ..NetRingConfig::default()
    };
    let mut pair = NetPair::new(&mut memory, &config, features).unwrap();
    pair.rx.publish();
    let tx = ModelDevice::new(&memory, *pair.tx.queue().layout(), false).unwrap();
    let rx = ModelDevice::new(&memory, *pair.rx.queue().layout(), false).unwrap();
    Bench {
        memory,
        pair,
        tx,
        rx,
    }
}

impl Bench {
    fn read(&self, segments: &[Segment]) -> Vec<u8> {
        let mut out = Vec::new();
        for segment in segments {
            let mut bytes = vec![0; segment.len as usize];
            self.memory
                .view(segment.gpa, bytes.len())
                .unwrap()
                .read(0, &mut bytes);
            out.extend(bytes);
        }
        out
    }

    /// All that the transmit ring holds, header and frame; given back at once.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(head) = self.tx.pop() {
            let mut segments = self.tx.chain(head);
            if self.tx.flags(head) & DESC_INDIRECT != 0 {
                let table = self.read(&segments);
                segments = table
                    .chunks(16)
                    .map(|entry| Segment {
                        gpa: u64::from_le_bytes(entry[..8].try_into().unwrap()),
                        len: u32::from_le_bytes(entry[8..12].try_into().unwrap()),
                        device_writes: false,
                    })
                    .collect();
            }
            frames.push(self.read(&segments));
            self.tx.give(head, 0);
        }
        self.tx.publish();
        frames
    }

    /// Delivers a frame over as many receive buffers as it takes.
    fn deliver(&mut self, frame: &[u8]) {
        let mut bytes = NetHeader::default().encode().to_vec();
        bytes.extend_from_slice(frame);
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let head = self.rx.pop().expect("a receive buffer");
            let segment = self.rx.chain(head)[0];
            assert!(segment.device_writes);
            let rest = bytes.split_off(bytes.len().min(segment.len as usize));
            self.memory
                .view(segment.gpa, bytes.len())
                .unwrap()
                .write(0, &bytes);
            parts.push((head, segment.gpa, bytes.len() as u32));
            bytes = rest;
        }
        let count = (parts.len() as u16).to_le_bytes();
        self.memory.view(parts[0].1, 12).unwrap().write(10, &count);
        for (head, _, len) in parts {
            self.rx.give(head, len);
        }
        self.rx.publish();
    }
}

#[test]
fn frames_of_all_lengths_leave_in_every_layout() {
    for layout in [TxLayout::Joined, TxLayout::HeaderApart, TxLayout::Indirect] {
        let mut bench = bench(64, layout, 2048, FEATURES);
        for (number, len) in [60, 1514, 2035, 2036, 2037, 4096, 9014, 65_000]
            .iter()
            .enumerate()
        {
            let frame = frame::numbered(frame::BROADCAST, [2; 6], number as u64, *len);
            let header = NetHeader {
                gso_size: 7,
                ..NetHeader::default()
            };
            assert!(
                bench.pair.tx.push(&header, &frame).unwrap(),
                "{layout:?} {len}"
            );
            bench.pair.tx.publish();
            let sent = bench.sent();
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0][..HEADER_LEN], header.encode());
            assert!(sent[0][HEADER_LEN..] == frame[..], "{layout:?} {len}");
            assert_eq!(bench.pair.tx.reap().unwrap(), 1);
            assert_eq!(bench.pair.tx.queue().free(), 64, "{layout:?} {len}");
        }
    }
}

#[test]
fn frames_under_way_are_not_overwritten() {
    for layout in [TxLayout::Joined, TxLayout::HeaderApart, TxLayout::Indirect] {
        let mut bench = bench(64, layout, 2048, FEATURES);
        let frames: Vec<_> = (0..8_u64)
            .map(|number| {
                frame::numbered(
                    frame::BROADCAST,
                    [2; 6],
                    number,
                    60 + 2000 * number as usize % 7000,
                )
            })
            .collect();
        for frame in &frames {
            assert!(bench.pair.tx.push(&NetHeader::default(), frame).unwrap());
        }
        bench.pair.tx.publish();
        let sent: Vec<_> = bench
            .sent()
            .iter()
            .map(|bytes| bytes[HEADER_LEN..].to_vec())
            .collect();
        assert!(sent == frames, "{layout:?}");
    }
}

#[test]
fn a_full_transmit_ring_says_so_and_a_frame_too_large_is_refused() {
    let mut bench = bench(4, TxLayout::Joined, 2048, FEATURES);
    let frame = [0; 60];
    for _ in 0..4 {
        assert!(bench.pair.tx.push(&NetHeader::default(), &frame).unwrap());
    }
    assert!(!bench.pair.tx.push(&NetHeader::default(), &frame).unwrap());
    assert_eq!(bench.pair.tx.push_prepared(1, 60, 14, 0), 0);
    assert!(
        bench
            .pair
            .tx
            .push(&NetHeader::default(), &[0; 20_000])
            .is_err()
    );
    let without = bench_without_indirect();
    assert!(matches!(without, Err(crate::fakevm::Error::Unsupported(_))));
}

fn bench_without_indirect() -> Result<NetPair> {
    let mut memory = GuestMemory::new(&MemoryPlan::single(8 << 20, Backing::Memfd))?;
    let config = NetRingConfig {
        tx_layout: TxLayout::Indirect,
        ..NetRingConfig::default()
    };
    NetPair::new(&mut memory, &config, feature::PLAIN)
}

#[test]
fn merged_frames_are_put_together() {
    let mut bench = bench(64, TxLayout::Joined, 1536, FEATURES);
    for (number, len) in [60, 1514, 1524, 1525, 9014, 65_000].iter().enumerate() {
        let frame = frame::numbered(frame::BROADCAST, [2; 6], number as u64, *len);
        bench.deliver(&frame);
        let mut got = Vec::new();
        let header = bench.pair.rx.poll(&mut got).unwrap().unwrap();
        assert_eq!(
            usize::from(header.num_buffers),
            (len + HEADER_LEN).div_ceil(1536)
        );
        assert!(got == frame, "{len}");
        bench.pair.rx.publish();
        assert_eq!(bench.rx.available(), 64, "every buffer is posted again");
    }
    assert_eq!(bench.pair.rx.received(), 6);
}

#[test]
fn bursts_hand_frames_out_in_order() {
    let mut bench = bench(64, TxLayout::Joined, 2048, FEATURES);
    for number in 0..40 {
        bench.deliver(&frame::numbered(frame::BROADCAST, [2; 6], number, 64));
    }
    let mut numbers = Vec::new();
    let mut take = |bench: &mut Bench| {
        bench.pair.rx.poll_burst(100, |frame| {
            assert_eq!(frame.len, 64);
            numbers.push(frame.stamp(frame::PAYLOAD));
            assert_eq!(frame.stamp(60), 0, "past the end");
        })
    };
    assert_eq!(take(&mut bench).unwrap(), 32);
    assert_eq!(take(&mut bench).unwrap(), 8);
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_device_that_spoils_receive_buffers_is_noticed() {
    // No room for the header.
    let mut short = bench(4, TxLayout::Joined, 2048, FEATURES);
    let head = short.rx.pop().unwrap();
    short.rx.give(head, 11);
    short.rx.publish();
    assert!(short.pair.rx.poll(&mut Vec::new()).is_err());
    // More than the buffer holds.
    let mut long = bench(4, TxLayout::Joined, 2048, FEATURES);
    let head = long.rx.pop().unwrap();
    long.rx.give(head, 2049);
    long.rx.publish();
    assert!(long.pair.rx.poll_burst(1, |_| {}).is_err());
    // Buffers that are announced but missing.
    let mut missing = bench(4, TxLayout::Joined, 2048, FEATURES);
    missing.deliver(&[0; 60]);
    let id = missing.pair.rx.queue().peek(0).id as u16;
    let gpa = missing.pair.rx.buffer_gpa(id);
    missing.memory.view(gpa, 12).unwrap().write(10, &[2, 0]);
    assert!(missing.pair.rx.poll(&mut Vec::new()).is_err());
}

#[test]
fn a_renewed_ring_starts_at_zero() {
    let mut bench = bench(8, TxLayout::Joined, 2048, FEATURES);
    bench.deliver(&[0; 60]);
    bench.pair.rx.renew(&bench.memory).unwrap();
    bench.pair.rx.publish();
    let layout = *bench.pair.rx.queue().layout();
    bench.rx = ModelDevice::new(&bench.memory, layout, false).unwrap();
    assert_eq!(bench.rx.available(), 8);
    let frame = frame::numbered(frame::BROADCAST, [2; 6], 5, 60);
    bench.deliver(&frame);
    let mut got = Vec::new();
    assert!(bench.pair.rx.poll(&mut got).unwrap().is_some());
    assert_eq!(frame::number_of(&got), Some(5));
}

#[test]
fn headers_survive_the_wire() {
    let header = NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4 | gso::ECN,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
        num_buffers: 3,
        ..NetHeader::default()
    };
    assert_eq!(NetHeader::decode(&header.encode()), header);
    assert_eq!(header.encode()[6..8], [34, 0]);
}
