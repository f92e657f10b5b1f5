//! A whole bring-up in the order in which Linux does it.

use super::driver::*;
use super::host::Call;
use crate::control::ControlRequest;
use crate::offload::HashTypes;
use crate::personality::{DriverState, Personality};
use crate::ring::{MailboxPlace, MailboxSide};

fn words(bytes: &[u8]) -> Vec<u32> {
    let (words, rest) = bytes.as_chunks();
    assert_eq!(rest, [0; 0]);
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

#[test]
fn linux_brings_the_function_up() {
    let pairs = 4;
    let mut d = Driver::new(settings(pairs));
    assert_eq!(d.device.status().state, DriverState::Absent);

    // Startup.
    assert!(matches!(d.read(reg::RSTAT) & 3, 1 | 2));
    d.init_mailbox();
    let place = |base| Some(MailboxPlace { size: 32, base });
    let last = |d: &Driver, side| {
        let calls = d.host.calls.iter().rev();
        let mut placed = calls.filter_map(move |call| match call {
            Call::Mailbox(which, place) if *which == side => Some(*place),
            _ => None,
        });
        placed.next().flatten()
    };
    assert_eq!(last(&d, MailboxSide::Send), place(0x1_2345_6000));
    assert_eq!(last(&d, MailboxSide::Receive), place(0x0_8765_4000));
    assert_eq!(
        d.host.calls.last(),
        Some(&Call::MailboxTail(MailboxSide::Receive, 31))
    );
    assert_eq!(d.device.status().state, DriverState::Acknowledged);

    // 1: version.
    let (status, bytes) = d.ask(op::VERSION, [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!((status, words(&bytes)), (OK, vec![1, 1]));

    // 2: resources.
    d.host.take();
    let (status, bytes) = d.ask(op::GET_VF_RESOURCES, LINUX.to_le_bytes());
    assert_eq!((status, bytes.len()), (OK, 36));
    let frame = 1500 + 14 + 8 + 4;
    assert_eq!(
        words(&bytes[..32]),
        [
            1 | u32::from(pairs) << 16,
            u32::from(pairs + 1) | frame << 16,
            GRANTED,
            52,
            64,
            1 | u32::from(pairs) << 16,
            6,
            u32::from_le_bytes([0, 0, MAC.0[0], MAC.0[1]]),
        ]
    );
    assert_eq!(bytes[30..], MAC.0);
    assert_eq!(d.next(), None, "no word of the link yet");
    assert_eq!(
        d.host.take(),
        [
            Call::Settle(ControlRequest::SetQueuePairs(4)),
            Call::Settle(ControlRequest::FilterVlans(false)),
        ]
    );
    assert_eq!(d.device.status().state, DriverState::Negotiated);

    // 3: VLAN capabilities.
    let (status, bytes) = d.ask(op::GET_OFFLOAD_VLAN_V2_CAPS, []);
    let offload = 1 | 1 << 8 | 1 << 31;
    assert_eq!(
        (status, words(&bytes)),
        (OK, vec![0, 1, 1, 4094, 0, offload, 0, offload, 1, 0])
    );

    // The netdev is registered; the mailbox has interrupts from here on.
    for pair in 0..u64::from(pairs) {
        d.write(reg::ITRN + 4 * pair, 25);
        d.write(reg::ITRN + 64 + 4 * pair, 25);
    }
    d.write(reg::DYN_CTL0, 1 | 3 << 3);
    d.write(reg::ICR0_ENA, 1 << 30);
    d.read(reg::RSTAT);
    assert_eq!(d.host.take(), [Call::VectorEnable(0, true)]);

    // 4: vectors.
    let message = irq_map(pairs);
    assert_eq!(message.len(), 14 + 12 * 5);
    assert_eq!(d.status(op::CONFIG_IRQ_MAP, message), OK);
    let mut expected = Vec::new();
    for pair in 0..pairs {
        for queue in [2 * pair, 2 * pair + 1] {
            expected.push(Call::QueueVector(queue, Some(pair + 1)));
            expected.push(Call::Throttle(queue, 50));
        }
    }
    assert_eq!(d.host.take(), expected);

    // 5: its own address.
    let message = addresses(&[(MAC, 1)]);
    assert_eq!(message.len(), 12 + 8);
    assert_eq!(d.status(op::ADD_ETH_ADDR, message), OK);
    assert_eq!(d.host.take(), [], "it has that one");

    // 6: receive-side scaling, tags.
    let key: Vec<u8> = (1..=52).collect();
    let table: Vec<u8> = (0..64).map(|n| n % 4).collect();
    let message = rss(&key);
    assert_eq!(message.len(), 5 + 52);
    assert_eq!(d.status(op::CONFIG_RSS_KEY, message), OK);
    let message = rss(&table);
    assert_eq!(message.len(), 5 + 64);
    assert_eq!(d.status(op::CONFIG_RSS_LUT, message), OK);
    let requests = d.host.requests();
    let Some(ControlRequest::SetRss(settings)) = requests.last() else {
        panic!("{requests:?}");
    };
    assert_eq!(settings.hash.key, key[..40]);
    assert!(settings.table.iter().map(|queue| *queue as u8).eq(table));
    assert_eq!((settings.pairs, settings.unclassified), (4, 0));
    assert_eq!(settings.hash.types, HashTypes(0x3f));
    let setting = vlan_setting(0, 1);
    assert_eq!(setting.len(), 16);
    assert_eq!(d.status(op::ENABLE_VLAN_STRIPPING_V2, setting.clone()), OK);
    assert_eq!(d.status(op::ENABLE_VLAN_INSERTION_V2, setting), OK);

    // Open: vectors are silent, buffers are posted before the device knows where the rings are.
    for pair in 0..u64::from(pairs) {
        d.write(reg::DYN_CTLN + 4 * pair, 0);
        d.write(reg::QRX_TAIL + 4 * pair, 496);
    }
    assert_eq!(d.host.take(), []);

    // 7: rings.
    let message = queue_config(pairs);
    assert_eq!(message.len(), 72 + 64 * 4);
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, message), OK);
    assert_eq!(d.host.take(), []);

    // 8: queues.
    let message = select(0xf, 0xf);
    assert_eq!(message.len(), 12);
    assert_eq!(d.status(op::ENABLE_QUEUES, message), OK);
    let mut expected: Vec<_> = (0..8).map(Call::Enable).collect();
    expected.push(Call::Start);
    assert_eq!(d.host.take(), expected);
    for (queue, ring) in &d.host.rings {
        let pair = Pair::new(queue / 2);
        let receive = queue.is_multiple_of(2);
        let n = usize::from(receive);
        assert_eq!(u32::from(ring.size), pair.ring_len[n]);
        assert_eq!(ring.base, pair.address[n]);
        assert_eq!(ring.tail.get(), if receive { 496 } else { 0 });
        if receive {
            assert_eq!((ring.buffer, ring.longest), (2048, 1526));
            assert!(ring.strip.load(crate::sync::atomic::Ordering::Relaxed));
        }
    }
    assert_eq!(d.device.status().state, DriverState::Running);
    assert_eq!(d.device.status().active_pairs, 4);

    // 9: the link, after the answer.
    let event = d.next().expect("the link");
    assert_eq!((event.opcode, event.status), (op::EVENT, 0));
    assert_eq!(words(&event.bytes), [1, 25_000, 1, 0]);
    assert_eq!(d.next(), None);
    d.write(reg::DYN_CTL0, 1 | 3 << 3);
    d.write(reg::ICR0_ENA, 1 << 30);
    for pair in 0..u64::from(pairs) {
        d.write(reg::DYN_CTLN + 4 * pair, 1 | 3 << 3);
    }
    let expected = (0..=pairs).map(|vector| Call::VectorEnable(vector, true));
    assert!(d.host.take().into_iter().eq(expected));

    // 10: promiscuous, statistics.
    assert_eq!(d.status(op::CONFIG_PROMISCUOUS_MODE, [1, 0, 2, 0]), OK);
    assert_eq!(
        d.host.requests(),
        [ControlRequest::AllMulticast(true)],
        "what has not changed is not asked for"
    );
    let (status, bytes) = d.ask(op::GET_STATS, select(0, 0));
    assert_eq!((status, bytes.len()), (OK, 96));

    // Traffic.
    d.write(reg::QTX_TAIL + 8, 7);
    d.write(reg::QRX_TAIL + 12, 3);
    assert_eq!(d.host.take(), [Call::Tail(5, 7), Call::Tail(6, 3)]);
    assert_eq!(d.host.refusals, [""; 0]);
}

#[test]
fn a_driver_of_version_1_0_does_not_say_what_it_wants() {
    let mut d = Driver::mailbox(1);
    let bytes = d.good(op::VERSION, [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(words(&bytes), [1, 1], "never refused");
    assert_eq!(d.status(op::GET_VF_RESOURCES, LINUX.to_le_bytes()), PARAM);
    let bytes = d.good(op::GET_VF_RESOURCES, []);
    assert_eq!(words(&bytes[8..20]), [1 | 1 << 16, 0, 0], "no scaling");
}

#[test]
fn version_is_answered_whatever_it_is() {
    let mut d = Driver::mailbox(1);
    for version in [[9, 9, 9, 9, 9, 9, 9, 9], [0; 8], [2, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(words(&d.good(op::VERSION, version)), [1, 1]);
        d.resources(LINUX);
    }
}

#[test]
fn without_version_2_of_vlans_the_first_is_granted_and_tags_are_taken_out() {
    let mut d = Driver::mailbox(1);
    let bytes = d.resources(OLD);
    let capabilities = GRANTED & !(1 << 15) | 1 << 16;
    assert_eq!(bytes[8..12], capabilities.to_le_bytes());
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.good(op::ENABLE_QUEUES, select(1, 0));
    let strip = || crate::sync::atomic::Ordering::Relaxed;
    assert!(d.host.rings[&0].strip.load(strip()));
    d.good(op::DISABLE_VLAN_STRIPPING, []);
    assert!(!d.host.rings[&0].strip.load(strip()));
    d.good(op::ENABLE_VLAN_STRIPPING, []);
    assert!(d.host.rings[&0].strip.load(strip()));
}

#[test]
fn a_driver_without_advanced_speeds_is_told_the_old_ones() {
    let mut d = Driver::granted(1, LINUX & !(1 << 7));
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    d.send(op::ENABLE_QUEUES, select(1, 1));
    d.next().unwrap();
    assert_eq!(words(&d.next().unwrap().bytes), [1, 1 << 6, 1, 0]);
}

#[test]
fn statistics_are_sums_over_all_queues() {
    let mut d = Driver::running(2);
    let bytes = d.good(op::GET_STATS, select(0, 0));
    let (longs, _) = bytes.as_chunks::<8>();
    let longs: Vec<_> = longs.iter().map(|long| u64::from_le_bytes(*long)).collect();
    let (received, sent) = (3000, 300_000);
    assert_eq!(
        longs,
        [
            received + 4,
            received + 2,
            0,
            0,
            2 * 26,
            0,
            sent + 4,
            sent + 2,
            0,
            0,
            2 * 26,
            sent + 8,
        ]
    );
}

#[test]
fn queues_that_policy_does_not_let_the_driver_have_are_not_shown() {
    let mut d = Driver::mailbox(4);
    d.host.unsettled = vec![ControlRequest::SetQueuePairs(4)];
    let bytes = d.resources(LINUX);
    assert_eq!((bytes[2], bytes[22]), (1, 1));
    assert_eq!(d.status(op::CONFIG_VSI_QUEUES, queue_config(2)), PARAM);
    d.good(op::CONFIG_VSI_QUEUES, queue_config(1));
    assert_eq!(d.status(op::ENABLE_QUEUES, select(2, 2)), PARAM);
    d.good(op::ENABLE_QUEUES, select(1, 1));
    assert_eq!(d.host.requests(), [], "one pair needs no request");
}
