//! What an operator says about a device's queues and features, driven as a guest's driver does.

mod guest;

use guest::{Guest, compose, eventually, frame, pf, spec};
use libcvf::cvf::{Cvf, CvfSpec, PolicyError, PortPolicy, QueuePolicy, SetBy};

const MRG_RXBUF: u64 = 1 << 15;
const MQ: u64 = 1 << 22 | 1 << 17;
const HASH_REPORT: u64 = 1 << 57;
const RSS: u64 = 1 << 60;
const FLOWS: u64 = 40;

fn queues(queues: QueuePolicy) -> PortPolicy {
    PortPolicy {
        queues,
        ..PortPolicy::default()
    }
}

fn pairs(pairs: u16) -> PortPolicy {
    queues(QueuePolicy {
        pairs: Some(pairs),
        ..QueuePolicy::default()
    })
}

fn table(table: &[u16]) -> PortPolicy {
    queues(QueuePolicy {
        rss_table: Some(table.to_vec()),
        ..QueuePolicy::default()
    })
}

fn four(policy: PortPolicy) -> CvfSpec {
    CvfSpec {
        queue_pairs: 4,
        policy,
        ..spec(2)
    }
}

/// A TCP segment of one of many flows, from device 1 to device 2.
fn segment(flow: u64) -> Vec<u8> {
    let mut segment = frame(2, 1, 60);
    let ip = [
        8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x40, flow as u8,
    ];
    segment[12..12 + ip.len()].copy_from_slice(&ip);
    // Words of its TCP header.
    segment[46] = 0x50;
    segment
}

/// Sends a segment of every flow; how many each receive queue got, taken or not.
fn spread(from: &mut Guest, to: &Cvf) -> Vec<u64> {
    let seen = || -> Vec<u64> {
        let stats = to.stats();
        let each = stats.receive_queues.iter();
        each.map(|q| q.frames + q.drops.iter().map(|(_, n)| n).sum::<u64>())
            .collect()
    };
    let before = seen();
    for flow in 0..FLOWS {
        from.send(&segment(flow));
        let done = eventually(|| (from.sent() == from.offered(1)).then_some(()));
        assert_eq!(done, Some(()));
    }
    let since = || -> Vec<u64> { seen().iter().zip(&before).map(|(a, b)| a - b).collect() };
    let all = eventually(|| Some(since()).filter(|all| all.iter().sum::<u64>() == FLOWS));
    all.expect("every frame is seen at some queue")
}

fn rss_config(table: &[u16], pairs: u16, key: u8) -> Vec<u8> {
    let mut bytes = vec![4, 1];
    bytes.extend(7u32.to_le_bytes());
    bytes.extend((table.len() as u16 - 1).to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes.extend(table.iter().flat_map(|queue| queue.to_le_bytes()));
    bytes.extend(pairs.to_le_bytes());
    bytes.push(40);
    bytes.extend([key; 40]);
    bytes
}

#[test]
fn the_operators_table_chooses_and_the_driver_is_not_asked() {
    let pf = pf(8);
    let b = compose(&pf, four(table(&[1, 2])));
    let (mut a, mut b) = (Guest::new(&compose(&pf, spec(1))), Guest::new(&b));
    a.start(0);
    let features = b.start(MQ | RSS | HASH_REPORT);
    assert_eq!(
        features & (RSS | HASH_REPORT),
        HASH_REPORT,
        "the key is the driver's"
    );
    assert_ne!(features & MQ, 0);
    // One queue needs no table.
    assert_eq!(spread(&mut a, &b.cvf), [FLOWS, 0, 0, 0]);
    assert_eq!(b.command(8, &[4, 0, 4, 0]), 0);
    let [none, one, two, three] = spread(&mut a, &b.cvf)[..] else {
        panic!("four queues");
    };
    assert_eq!((none, three), (0, 0));
    assert!(one > 0 && two > 0, "{one} {two}");
    let steering = b.cvf.health().steering;
    assert_eq!(
        (steering.table_by, steering.key_by),
        (SetBy::Host, SetBy::Default)
    );
    assert_eq!(steering.table, [1, 2]);
    // Live, and folded into what the driver uses.
    b.cvf.set_policy(table(&[3])).unwrap();
    assert_eq!(spread(&mut a, &b.cvf), [0, 0, 0, FLOWS]);
    assert_eq!(b.command(8, &[4, 0, 2, 0]), 0);
    assert_eq!(spread(&mut a, &b.cvf), [0, FLOWS, 0, 0]);
    b.cvf.set_policy(PortPolicy::default()).unwrap();
    assert_eq!(b.cvf.health().steering.table_by, SetBy::Default);
    let spread = spread(&mut a, &b.cvf);
    assert!(
        spread[0] > 0 && spread[1] > 0 && spread[2..] == [0, 0],
        "{spread:?}"
    );
}

#[test]
fn what_a_driver_set_before_is_in_force_again_when_the_operator_lets_go() {
    let pf = pf(8);
    let b = compose(&pf, four(PortPolicy::default()));
    let (mut a, mut b) = (Guest::new(&compose(&pf, spec(1))), Guest::new(&b));
    a.start(0);
    assert_ne!(b.start(MQ | RSS) & RSS, 0);
    assert_eq!(b.command(8, &rss_config(&[2], 4, 1)), 0);
    assert_eq!(spread(&mut a, &b.cvf), [0, 0, FLOWS, 0]);
    let steering = b.cvf.health().steering;
    assert_eq!(
        (steering.table_by, steering.key_by),
        (SetBy::Guest, SetBy::Guest)
    );
    let pinned = queues(QueuePolicy {
        rss_key: Some([7; 40]),
        rss_table: Some(vec![3, 3]),
        ..QueuePolicy::default()
    });
    b.cvf.set_policy(pinned).unwrap();
    assert_eq!(spread(&mut a, &b.cvf), [0, 0, 0, FLOWS]);
    assert_eq!(b.cvf.health().steering.key_by, SetBy::Host);
    assert_eq!(b.cvf.health().pending_features, ["RSS"]);
    assert_eq!(b.command(8, &rss_config(&[1], 4, 2)), 1, "denied");
    let refusal = b.cvf.health().last_refusal.expect("told").what;
    assert!(
        refusal.contains("the operator set key and table"),
        "{refusal}"
    );
    assert_eq!(spread(&mut a, &b.cvf), [0, 0, 0, FLOWS]);
    b.cvf.set_policy(PortPolicy::default()).unwrap();
    assert_eq!(spread(&mut a, &b.cvf), [0, 0, FLOWS, 0]);
}

#[test]
fn fewer_queue_pairs_hold_at_once_and_are_what_the_next_driver_sees() {
    let pf = pf(8);
    let b = compose(&pf, four(PortPolicy::default()));
    let (mut a, mut b) = (Guest::new(&compose(&pf, spec(1))), Guest::new(&b));
    a.start(0);
    b.start(MQ);
    let shown = |b: &Guest| {
        let mut shown = [0; 2];
        b.cvf.read(b.device.0, b.device.1 + 8, &mut shown).unwrap();
        u16::from_le_bytes(shown)
    };
    assert_eq!(b.command(8, &[4, 0, 4, 0]), 0);
    assert!(spread(&mut a, &b.cvf).iter().all(|n| *n > 0));
    b.cvf.set_policy(pairs(2)).unwrap();
    b.cvf.reconsider();
    assert_eq!(b.cvf.health().active_pairs, 2);
    assert_eq!(spread(&mut a, &b.cvf)[2..], [0, 0]);
    assert_eq!(shown(&b), 4, "virtio 1.3 5.1.4: a driver has read it");
    assert_eq!(b.command(8, &[4, 0, 3, 0]), 1);
    let refusal = b.cvf.health().last_refusal.expect("told").what;
    assert!(
        refusal.contains("the operator lets the device use 2 of its slice's 4"),
        "{refusal}"
    );
    assert_eq!(
        b.command(8, &[4, 0, 1, 0]),
        0,
        "less is the driver's to choose"
    );
    assert_eq!(b.command(8, &[4, 0, 2, 0]), 0);
    b.start(MQ);
    assert_eq!(shown(&b), 2);
    assert_eq!(
        b.command(4, &[4, 0, 2, 0]),
        0,
        "its control queue is behind those"
    );
    assert_eq!(spread(&mut a, &b.cvf)[2..], [0, 0]);
    b.cvf.set_policy(PortPolicy::default()).unwrap();
    b.cvf.reconsider();
    assert_eq!(b.command(4, &[4, 0, 3, 0]), 1, "it was told of two");
    b.start(MQ);
    assert_eq!((shown(&b), b.command(8, &[4, 0, 4, 0])), (4, 0));
    // One pair is none to speak of.
    b.cvf.set_policy(pairs(1)).unwrap();
    b.cvf.reconsider();
    assert_eq!(b.start(MQ) & 1 << 22, 0);
    assert_eq!(spread(&mut a, &b.cvf), [FLOWS, 0, 0, 0]);
}

#[test]
fn features_are_withheld_from_the_next_driver_on() {
    let pf = pf(2);
    let withheld = PortPolicy {
        withheld: MRG_RXBUF,
        ..PortPolicy::default()
    };
    let mut a = Guest::new(&compose(&pf, spec(1)));
    assert_ne!(a.start(MRG_RXBUF) & MRG_RXBUF, 0);
    a.cvf.set_policy(withheld.clone()).unwrap();
    a.cvf.reconsider();
    assert_eq!(a.cvf.health().pending_features, ["MRG_RXBUF"]);
    assert_eq!(a.start(MRG_RXBUF) & MRG_RXBUF, 0);
    assert!(a.cvf.health().pending_features.is_empty());
    let policy = withheld;
    let mut b = Guest::new(&compose(&pf, CvfSpec { policy, ..spec(2) }));
    assert_eq!(b.start(MRG_RXBUF) & MRG_RXBUF, 0, "from the start");
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let pf = pf(8);
    let cvf = compose(&pf, four(pairs(3)));
    let refused = |policy| cvf.set_policy(policy).unwrap_err().to_string();
    assert!(refused(pairs(5)).contains("slice has 4 for its life"));
    assert_eq!(
        cvf.set_policy(pairs(0)),
        Err(PolicyError::Pairs { asked: 0, have: 4 })
    );
    assert!(refused(table(&[0, 4])).contains("names receive queue 4, and the device may use 4"));
    assert!(refused(table(&[0; 3])).contains("of 3 entries refused"));
    assert!(refused(table(&[])).contains("of 0 entries refused"));
    assert!(refused(table(&[0; 256])).contains("up to 128"));
    assert_eq!(cvf.set_policy(table(&[3; 128])), Ok(()));
    let mut both = table(&[0, 2]);
    both.queues.pairs = Some(2);
    assert!(refused(both).contains("name 0 to 1"));
    assert_eq!(cvf.policy(), table(&[3; 128]), "nothing has changed");
}
