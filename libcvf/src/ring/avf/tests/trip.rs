//! From a virtio driver to an AVF driver and back: what arrives is what was meant.

use proptest::prelude::*;

use super::driver::{Driver, IPV4_CSUM, IPV6, Said, TCP, UDP};
use crate::mem::RingPlace;
use crate::mem::testutil::guest;
use crate::offload::testutil::{Spec, naive, read};
use crate::offload::{Checksum, Csum, FrameMeta, Segmenter};
use crate::ring::{
    AvfReceive, AvfTransmit, Burst, BurstBuffers, Frames, Payload, Pushed, ReceiveRing,
    RingFeatures, SplitReceive, SplitTransmit, TransmitRing, header,
};

const RAM: u64 = 1 << 20;
const AT: u64 = 0x10000;

/// A virtio driver's ring with one buffer of `len` bytes, and what reads its memory.
fn virtio(
    bytes: &[u8],
    flags: u16,
    len: usize,
) -> (crate::mem::GuestMemory, std::fs::File, RingPlace) {
    use std::os::unix::fs::FileExt;
    let (memory, file) = guest(RAM, RAM / 2);
    let place = RingPlace {
        size: 64,
        descriptors: 0,
        available: 0x1000,
        used: 0x2000,
    };
    let mut descriptor = AT.to_le_bytes().to_vec();
    descriptor.extend((len as u32).to_le_bytes());
    descriptor.extend(flags.to_le_bytes());
    descriptor.extend([0, 0]);
    file.write_all_at(&descriptor, 0).unwrap();
    file.write_all_at(bytes, AT).unwrap();
    file.write_all_at(&[0, 0, 1, 0, 0, 0], 0x1000).unwrap();
    (memory, file, place)
}

/// As the switch does it for a receiver that takes no offload: all of a frame, finished or cut.
fn finished(burst: &Burst<'_>, index: usize, meta: FrameMeta) -> Vec<Vec<u8>> {
    let mut bytes = super::transmit::bytes(burst, index);
    let Csum::Partial { start, offset } = meta.csum else {
        return vec![bytes];
    };
    if meta.gso == crate::offload::Gso::None {
        let mut sum = Checksum::new();
        sum.add(&bytes[usize::from(start)..]);
        let at = usize::from(start + offset);
        bytes[at..at + 2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        return vec![bytes];
    }
    let mut cutter = Segmenter::new(&meta, &bytes, bytes.len()).unwrap();
    let mut scratch = [0; crate::offload::SEGMENT_SCRATCH];
    let mut all = Vec::new();
    while let Some(segment) = cutter.next_into(&mut scratch) {
        let checksum = segment.checksum.unwrap();
        let mut sum = Checksum::new();
        sum.add(&bytes[checksum.covers.clone()]);
        scratch[checksum.at..checksum.at + 2].copy_from_slice(&checksum.finish(sum));
        all.push([&scratch[..segment.header_len], &bytes[segment.payload]].concat());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_frame_comes_back_as_it_was_meant(
        v6: bool, udp: bool, options in 0u8..5, len in 1usize..9000, mss in prop::option::of(500u16..1400),
        offload: bool, strip: bool, tagged: bool, flags in 0u8..0x40,
    ) {
        use std::os::unix::fs::FileExt;
        let spec = Spec {
            tags: if tagged { vec![(0x8100, 0x6123)] } else { Vec::new() },
            v6,
            udp,
            ip_options: options,
            tcp_options: options,
            flags,
            sequence: 77,
            payload: (0..len).map(|at| (at * 7) as u8).collect(),
            ..Spec::default()
        };
        let partial = offload || mss.is_some();
        let built = spec.build(partial);
        let csum = Csum::Partial { start: built.l4 as u16, offset: if udp { 6 } else { 16 } };
        let gso = match (udp, v6) {
            (true, _) => crate::offload::Gso::Udp,
            (_, true) => crate::offload::Gso::TcpV6,
            _ => crate::offload::Gso::TcpV4,
        };
        let mut meta = FrameMeta { csum: if partial { csum } else { Csum::Valid }, ..FrameMeta::default() };
        if let Some(mss) = mss {
            (meta.gso, meta.gso_size) = (gso, mss);
        }
        // From the virtio driver ...
        let said = header::build(&meta, 0);
        let sent = [&said[..], &built.bytes].concat();
        let (memory, _, place) = virtio(&sent, 0, sent.len());
        let regions = memory.load();
        let mut from = SplitTransmit::new(place, RingFeatures::default(), &regions).unwrap();
        let mut buffers = BurstBuffers::default();
        let mut burst = buffers.lend();
        from.take(&regions, &mut burst).unwrap();
        burst.copy_head(0, 256);
        let (head, _) = burst.parts(0);
        let meta = FrameMeta::from(burst.frame(0).unwrap().meta).check(head, built.bytes.len()).unwrap();
        let frames = finished(&burst, 0, meta);
        // ... to the AVF driver, that takes no offload ...
        let mut driver = Driver::receive(128, 2048);
        driver.ring.strip.store(strip, std::sync::atomic::Ordering::Relaxed);
        let there = driver.memory.load().clone();
        let mut to = AvfReceive::new(&driver.ring, &there).unwrap();
        driver.post(127);
        let valid = FrameMeta { csum: Csum::Valid, ..FrameMeta::default() };
        for frame in &frames {
            let (head, tail) = frame.split_at(frame.len().min(128));
            prop_assert_eq!(to.push(&there, &valid, head, Payload::from(tail)), Ok(Pushed::Done));
        }
        to.publish(&there).unwrap();
        let received = driver.poll_all();
        prop_assert_eq!(received.len(), frames.len());
        let mut payload: Vec<u8> = Vec::new();
        for got in &received {
            prop_assert!(got.checked);
            prop_assert_eq!(got.tag, (strip && tagged).then_some(0x6123));
            let untagged = got.tag.is_some() || !tagged;
            // Which checks lengths and the IP header's checksum.
            let packet = read(&got.bytes, if untagged { 14 } else { 18 });
            prop_assert!(packet.verified);
            let header = if udp { 8 } else { 20 + 4 * usize::from(options) };
            payload.extend(&packet.body[header..]);
        }
        prop_assert!(payload == spec.payload);
        // ... who sends the first of what it got, tagged as it was, and leaves the checksums to the device ...
        let got = &received[0];
        let untagged = got.tag.is_some() || !tagged;
        let l3 = if untagged { 14 } else { 18 };
        let (l4, mut again) = (l3 + (built.l4 - built.l3), got.bytes.clone());
        let field = l4 + if udp { 6 } else { 16 };
        let protocol = if udp { 17u16 } else { 6 };
        let addresses = if v6 { l3 + 8..l3 + 40 } else { l3 + 12..l3 + 20 };
        let mut covered = again[addresses].to_vec();
        covered.extend(protocol.to_be_bytes());
        covered.extend(((again.len() - l4) as u16).to_be_bytes());
        let pseudo = !naive(&covered);
        again[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        if !v6 {
            again[l3 + 10..l3 + 12].fill(0);
        }
        let asks = Said {
            cmd: if v6 { IPV6 } else { IPV4_CSUM } | if udp { UDP } else { TCP }
                | if got.tag.is_some() { super::driver::IL2TAG1 } else { 0 },
            lens: (l3 as u64, (l4 - l3) as u64, if udp { 8 } else { 20 }),
            tag: got.tag.unwrap_or(0).into(),
            context: None,
        };
        let mut back = Driver::transmit(64);
        let here = back.memory.load().clone();
        let mut ring = AvfTransmit::new(&back.ring, &here).unwrap();
        back.send_one(&again, asks);
        let mut burst = buffers.lend();
        ring.take(&here, &mut burst).unwrap();
        prop_assert_eq!(burst.frame(0).unwrap().fault, None);
        // ... to the virtio driver, that takes the frame unfinished.
        let (memory, file, place) = virtio(&[], 2, 16 << 10);
        let regions = memory.load();
        let mut last = SplitReceive::new(place, RingFeatures::default(), &regions).unwrap();
        let meta = FrameMeta::from(burst.frame(0).unwrap().meta);
        let (head, tail) = burst.parts(0);
        prop_assert_eq!(last.push(&regions, &meta, head, tail), Ok(Pushed::Done));
        last.publish(&regions).unwrap();
        let mut found = vec![0; 12 + frames[0].len()];
        file.read_exact_at(&mut found, AT).unwrap();
        let said = header::parse(found[..12].try_into().unwrap()).unwrap();
        prop_assert_eq!(said.csum, Csum::Partial {
            start: built.l4 as u16,
            offset: if udp { 6 } else { 16 },
        });
        let mut bytes = found[12..].to_vec();
        let mut sum = Checksum::new();
        sum.add(&bytes[built.l4..]);
        let field = built.l4 + if udp { 6 } else { 16 };
        bytes[field..field + 2].copy_from_slice(&sum.finish_nonzero().to_be_bytes());
        prop_assert!(bytes == frames[0]);
        ring.give_back(&here, &burst, Frames::default()).unwrap();
    }
}
