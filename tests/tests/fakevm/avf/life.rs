//! Resets, memory that comes and goes, and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use lab::fakevm::avf::{AvfVm, AvfVmConfig, Offload};
use lab::fakevm::frame;
use lab::fakevm::memory::{Backing, MemoryPlan};
use lab::fakevm::net::{NetHeader, gso, header_flag};

use super::{avf, avf_with, pass, stream};
use crate::common::{Host, SOON};

/// A guest that sends numbered frames to somebody without pause.
struct Source {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<AvfVm>,
}

impl Source {
    fn start(mut vm: AvfVm, target: [u8; 6]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut number = 1 << 32;
            while !stopped.load(Ordering::Relaxed) {
                let frames: Vec<_> = (number..number + 16)
                    .map(|number| frame::numbered(target, vm.mac(), number, 300))
                    .collect();
                let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                vm.send_burst(&frames).unwrap();
                number += 16;
            }
            vm
        });
        Source { stop, thread }
    }

    /// All that it has sent has come, or is lost.
    fn finish(self) -> AvfVm {
        self.stop.store(true, Ordering::Relaxed);
        let mut vm = self.thread.join().expect("the source goes on");
        vm.drain_tx(0).unwrap();
        vm
    }
}

/// The next frames are numbered, rising and unharmed.
fn look_at_some(host: &Host, vm: &mut AvfVm) {
    let mut last = 0;
    for _ in 0..50 {
        let frame = vm.recv(SOON).unwrap();
        let frame =
            frame.unwrap_or_else(|| panic!("nothing comes any more: {}", shown(host, "two")));
        let number = frame::number_of(&frame).expect("a frame came harmed");
        assert!(number > last, "{number} behind {last}");
        last = number;
    }
}

/// Devices on threads of their own.
fn two_workers() -> Host {
    Host::with("soft:test,queue-pairs=16,workers=2")
}

fn shown(host: &Host, name: &str) -> serde_json::Value {
    host.daemon.ctl(&["show", name]).unwrap()
}

#[test]
fn a_reset_under_traffic_is_recovered_from() {
    let host = two_workers();
    let (one, mut two, mut three) = (avf(&host, "one"), avf(&host, "two"), host.vm("three"));
    let source = Source::start(one, two.mac());
    for round in 0..20 {
        two.reset().unwrap();
        look_at_some(&host, &mut two);
        pass(&mut two, &mut three, round);
    }
    // A driver that is loaded anew, and one that was unloaded before.
    for unloads in [false, true] {
        if unloads {
            two.unload().unwrap();
        }
        two.start().unwrap();
        look_at_some(&host, &mut two);
    }
    let mut one = source.finish();
    // What has come meanwhile fills the ring.
    two.take_frames(0).unwrap();
    // The sender's, too, with frames under way.
    for round in 0..20 {
        let frame = frame::numbered(two.mac(), one.mac(), round, 300);
        one.send_burst(&[&frame[..]; 32]).unwrap();
        one.reset().unwrap();
        pass(&mut one, &mut two, 1000 + round);
    }
    let view = shown(&host, "two");
    assert_eq!(view["driver"], "running", "{view}");
}

/// Firmware and drivers unmap and map memory again and again. Frames under way may be lost; the device goes on, rings
/// and mailbox.
#[test]
fn memory_can_be_unmapped_and_mapped_under_traffic() {
    let host = two_workers();
    let (one, mut three) = (avf(&host, "one"), host.vm("three"));
    let config = AvfVmConfig::default();
    let whole = MemoryPlan::single(config.memory_size(), Backing::Memfd);
    let config = AvfVmConfig {
        memory: Some(whole),
        ..config
    };
    let mut two = avf_with(&host, "two", &[], config);
    let source = Source::start(one, two.mac());
    for round in 0..100 {
        let sent = frame::numbered(three.mac().unwrap(), two.mac(), round, 100);
        two.send(&sent).unwrap();
        remap(&mut two);
        look_at_some(&host, &mut two);
        pass(&mut two, &mut three, 1000 + round);
        assert!(two.statistics().unwrap().is_some(), "the mailbox, too");
    }
    let view = shown(&host, "two");
    assert_eq!(view["driver"], "running", "{view}");
    let mut one = source.finish();
    two.reset().unwrap();
    stream(&mut one, &mut two, 1000, 200);
}

/// Of memory in two pieces one is gone while rings in the other name it. The device may stop, and works again after its
/// driver's reset.
#[test]
fn memory_that_goes_piece_by_piece_harms_nobody() {
    let host = two_workers();
    let (one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    let (mut left, mut right) = (avf(&host, "left"), host.vm("right"));
    let source = Source::start(one, two.mac());
    for round in 0..30 {
        remap(&mut two);
        pass(&mut left, &mut right, round);
        pass(&mut right, &mut left, round);
        two.reset().unwrap();
        look_at_some(&host, &mut two);
    }
    drop(source.finish());
}

fn remap(vm: &mut AvfVm) {
    // Pipelined, as QEMU does: all unmaps, then all maps, waiting only at the end.
    let mut tickets = Vec::new();
    for region in vm.memory.regions() {
        tickets.push(vm.client.begin_dma_unmap(region.gpa, region.size).unwrap());
    }
    for region in vm.memory.regions() {
        tickets.push(vm.client.begin_dma_map(region).unwrap());
    }
    for ticket in tickets {
        vm.client.finish(ticket).unwrap();
    }
}

/// The client goes without a word, in the midst of frames; another one comes.
#[test]
fn a_client_that_vanishes_leaves_a_device_that_works() {
    let host = two_workers();
    let (one, mut three) = (avf(&host, "one"), host.vm("three"));
    let target = avf(&host, "two").mac();
    let source = Source::start(one, target);
    for round in 0..10 {
        let mut two = avf(&host, "two");
        look_at_some(&host, &mut two);
        pass(&mut two, &mut three, round);
    }
    drop(source.finish());
}

#[test]
fn the_link_follows_the_operator() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    let soon = || Instant::now() + SOON;
    for up in [false, true] {
        let word = if up { "up" } else { "down" };
        let link = format!("link={word}");
        host.daemon.ctl(&["set", "two", &link]).unwrap();
        assert!(two.wait_link(up, soon()).unwrap(), "{word}");
    }
    pass(&mut one, &mut two, 1);
}

/// A driver that was told its resources is told to ask anew.
#[test]
fn what_the_operator_changes_resets_the_driver() {
    let host = two_workers();
    let (one, mut two, mut three) = (avf(&host, "one"), avf(&host, "two"), host.vm("three"));
    let old = two.mac();
    let source = Source::start(one, old);
    for (round, last) in (0..).zip([0x31, 0x32, 0x33]) {
        let mac = format!("mac=02:00:00:00:00:{last:02x}");
        host.daemon.ctl(&["set", "two", &mac]).unwrap();
        let soon = Instant::now() + SOON;
        assert!(two.wait_reset_impending(soon).unwrap());
        two.recover().unwrap();
        assert_eq!(two.mac(), [2, 0, 0, 0, 0, last]);
        pass(&mut three, &mut two, round);
        pass(&mut two, &mut three, round);
    }
    let mut one = source.finish();
    stream(&mut one, &mut two, 1000, 200);
}

#[test]
fn statistics_equal_the_hosts_counters() {
    let host = Host::new();
    let config = AvfVmConfig {
        queue_pairs: 2,
        ..AvfVmConfig::default()
    };
    let mut one = avf_with(&host, "one", &["--queue-pairs", "2"], config);
    let mut two = avf(&host, "two");
    stream(&mut one, &mut two, 50, 100);
    for number in 0..10 {
        let sent = frame::numbered(two.mac(), one.mac(), number, 200);
        one.send_on(1, &Offload::default(), &sent).unwrap();
        assert_eq!(two.recv(SOON).unwrap(), Some(sent));
    }
    let header = NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type: gso::TCPV4,
        hdr_len: 54,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    };
    let large = frame::tcp4(two.mac(), one.mac(), &[0x5a; 9000]);
    one.send_header(0, &header, &large).unwrap();
    for _ in 0..9000_usize.div_ceil(1448) {
        two.recv(SOON).unwrap().expect("a segment");
    }
    // What its headers are not: dropped, and the queue goes on.
    let mut wrong = frame::tcp4(two.mac(), one.mac(), &[1; 100]);
    let (offload, _) = Offload::of(
        &NetHeader {
            gso_type: gso::NONE,
            ..header
        },
        &wrong,
    )
    .unwrap();
    wrong[23] = 17;
    one.send_on(0, &offload, &wrong).unwrap();
    one.drain_tx(0).unwrap();
    pass(&mut one, &mut two, 77);
    let told = [
        one.statistics().unwrap().unwrap(),
        two.statistics().unwrap().unwrap(),
    ];
    for (name, told) in ["one", "two"].into_iter().zip(&told) {
        let count = |pointer: &str| host.daemon.counter(name, pointer).unwrap();
        assert_eq!(told.rx_unicast, count("/rx/frames"), "{name}");
        assert_eq!(told.rx_bytes, count("/rx/bytes"), "{name}");
        assert_eq!(told.tx_unicast, count("/tx/frames"), "{name}");
        assert_eq!(told.tx_bytes, count("/tx/bytes"), "{name}");
    }
    // Malformed frames are errors; this one asks for what cannot be done to it.
    assert_eq!((told[0].tx_errors, told[0].tx_discards), (0, 1));
    assert_eq!((told[1].rx_discards, told[1].tx_errors), (0, 0));
    assert!(
        told[0].tx_unicast >= 62 && told[1].rx_unicast >= 62,
        "{told:?}"
    );
    // Over a reset they go on.
    two.reset().unwrap();
    let after = two.statistics().unwrap().unwrap();
    assert!(after.rx_unicast >= told[1].rx_unicast, "{after:?}");
}
