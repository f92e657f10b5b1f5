use super::*;

/// A TCP segment from `source` to port 1766, as in Microsoft's suite with the key below.
fn segment(source: u8) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&[8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    frame.extend_from_slice(&[66, 9, 149, source, 161, 142, 100, 80]);
    frame.extend_from_slice(&[0x0a, 0xea, 0x06, 0xe6]);
    frame.resize(60, 0);
    frame
}

fn rss(table: Vec<u16>) -> RssSettings {
    RssSettings {
        hash: HashSettings {
            types: HashTypes::ALL,
            key: (0..40u8).map(|i| i.wrapping_mul(37) ^ 0x6b).collect(),
        },
        unclassified: 3,
        table,
        pairs: 4,
    }
}

#[test]
fn the_hashs_low_bits_choose() {
    let table: Vec<u16> = (0..128).map(|i| i % 4).collect();
    let settings = rss(table.clone());
    let steering = Steering::table(&settings, 4);
    let toeplitz = Toeplitz::new(&settings.hash.key);
    let mut used = [0; 4];
    for source in 0..=255 {
        let frame = segment(source);
        let (queue, found) = steering.place(&frame);
        assert_eq!(found, hash(&toeplitz, HashTypes::ALL, &frame));
        assert_eq!(queue, table[found.value as usize % 128]);
        used[usize::from(queue)] += 1;
    }
    assert!(used.iter().all(|n| *n > 20), "{used:?}");
}

#[test]
fn frames_without_hash_go_to_the_unclassified_queue() {
    let steering = Steering::table(&rss(vec![0]), 4);
    assert_eq!(steering.place(&[2; 60]), (3, FrameHash::default()));
    assert_eq!(steering.place(&[]), (3, FrameHash::default()));
    let mut settings = rss(vec![1; 8]);
    settings.hash.types = HashTypes::default();
    let steering = Steering::table(&settings, 4);
    assert_eq!(steering.place(&segment(1)).0, 3, "no type is enabled");
}

#[test]
fn nothing_reaches_a_queue_that_is_not_there() {
    for table in [vec![], vec![9, 9, 9], vec![64; 4]] {
        let steering = Steering::table(&rss(table), 2);
        for source in 0..16 {
            assert_eq!(steering.place(&segment(source)).0, 0);
        }
        assert!(steering.place(&[0; 60]).0 < 2);
    }
}

#[test]
fn the_device_chooses_and_still_hashes() {
    let settings = rss(vec![]).hash;
    let steering = Steering::automatic(1, Some(&settings));
    let (queue, found) = steering.place(&segment(7));
    assert_eq!((queue, found.report), (0, 2));
    assert!(!steering.is_trivial());
    assert!(Steering::default().is_trivial());
    assert!(Steering::automatic(0, None).is_trivial());
    let four = Steering::automatic(4, None);
    assert!((0..=255).all(|source| four.place(&segment(source)).0 < 4));
    assert_eq!(four.place(&segment(1)).1, FrameHash::default());
}

#[test]
fn the_operator_sees_what_is_in_force() {
    assert_eq!(Steering::default().state(), SteeringState::default());
    let state = Steering::table(&rss(vec![0, 1]), 4).state();
    assert!(state.rss);
    assert_eq!(state.table, [0, 1]);
    assert_eq!(state.unclassified, 3);
    assert_eq!(state.types, HashTypes::ALL);
}
