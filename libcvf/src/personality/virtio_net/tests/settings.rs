use super::super::{SettingsError, VirtioNet, VirtioNetConfig};
use super::driver::{MAC, settings};
use crate::control::MacAddr;
use crate::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_RING_SIZE, MIN_MTU, MIN_RING_SIZE};

fn refusal(change: impl FnOnce(&mut VirtioNetConfig)) -> Option<SettingsError> {
    let mut config = settings(1);
    change(&mut config);
    VirtioNet::new(config).err()
}

#[test]
fn settings_are_accepted_up_to_their_limits_and_no_further() {
    for mtu in [MIN_MTU, MAX_MTU] {
        assert_eq!(refusal(|c| c.mtu = mtu), None);
    }
    for mtu in [0, MIN_MTU - 1, MAX_MTU + 1] {
        assert_eq!(refusal(|c| c.mtu = mtu), Some(SettingsError::Mtu(mtu)));
    }
    for pairs in [1, MAX_QUEUE_PAIRS] {
        assert_eq!(refusal(|c| c.queue_pairs = pairs), None);
    }
    for pairs in [0, MAX_QUEUE_PAIRS + 1, u16::MAX] {
        assert_eq!(
            refusal(|c| c.queue_pairs = pairs),
            Some(SettingsError::QueuePairs(pairs))
        );
    }
    for size in [MIN_RING_SIZE, MAX_RING_SIZE] {
        assert_eq!(refusal(|c| c.max_ring_size = size), None);
    }
    for size in [
        0,
        MIN_RING_SIZE / 2,
        100,
        MAX_RING_SIZE - 1,
        2 * MAX_RING_SIZE,
    ] {
        assert_eq!(
            refusal(|c| c.max_ring_size = size),
            Some(SettingsError::RingSize(size))
        );
    }
    assert_eq!(refusal(|c| c.speed_mbps = Some(0x7fff_ffff)), None);
    assert_eq!(
        refusal(|c| c.speed_mbps = Some(0x8000_0000)),
        Some(SettingsError::Speed(0x8000_0000))
    );
}

#[test]
fn a_group_or_zero_address_is_refused() {
    for mac in [
        MacAddr::default(),
        MacAddr::BROADCAST,
        MacAddr([1, 0, 0x5e, 0, 0, 1]),
    ] {
        assert_eq!(refusal(|c| c.mac = mac), Some(SettingsError::Mac(mac)));
    }
    assert_eq!(refusal(|c| c.mac = MAC), None);
}

#[test]
fn refusals_say_what_is_allowed() {
    let text = refusal(|c| c.queue_pairs = 65).unwrap().to_string();
    assert_eq!(text, "65 queue pairs refused: give 1 to 64");
}
