//! `VIRTCHNL_OP_EVENT`.

use super::Writer;

/// `VIRTCHNL_EVENT_LINK_CHANGE`.
const LINK_CHANGE: u32 = 1;
/// `VIRTCHNL_EVENT_RESET_IMPENDING`.
const RESET_IMPENDING: u32 = 2;
/// `PF_EVENT_SEVERITY_INFO`.
const INFO: u32 = 0;
/// `PF_EVENT_SEVERITY_CERTAIN_DOOM`.
const CERTAIN_DOOM: u32 = 255;

/// `enum virtchnl_link_speed`, which is older than most speeds: Mbit/s and its value, ascending.
const SPEEDS: [(u32, u32); 8] = [
    (100, 1 << 1),
    (1_000, 1 << 2),
    (2_500, 1 << 0),
    (5_000, 1 << 7),
    (10_000, 1 << 3),
    (20_000, 1 << 5),
    (25_000, 1 << 6),
    (40_000, 1 << 4),
];

/// The next that there is below a speed; 0 for unknown.
fn legacy_speed(mbps: u32) -> u32 {
    let below = SPEEDS.iter().rfind(|(speed, _)| *speed <= mbps);
    below.map_or(0, |(_, value)| *value)
}

/// `struct virtchnl_pf_event` about the link. `advanced`: speeds are Mbit/s.
pub fn link_change(up: bool, mbps: u32, advanced: bool) -> Vec<u8> {
    let speed = if advanced { mbps } else { legacy_speed(mbps) };
    Writer::new()
        .u32(LINK_CHANGE)
        .u32(speed)
        .bytes(&[up.into(), 0, 0, 0])
        .u32(INFO)
        .done()
}

/// `struct virtchnl_pf_event` about a reset by the device.
pub fn reset_impending() -> Vec<u8> {
    Writer::new()
        .u32(RESET_IMPENDING)
        .u64(0)
        .u32(CERTAIN_DOOM)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_that_old_drivers_do_not_know_are_the_next_below() {
        let known = [
            (0, 0),
            (99, 0),
            (1000, 4),
            (10_000, 8),
            (25_000, 64),
            (100_000, 16),
            (u32::MAX, 16),
        ];
        for (mbps, value) in known {
            assert_eq!(legacy_speed(mbps), value, "{mbps}");
        }
        assert!(SPEEDS.is_sorted_by_key(|(speed, _)| *speed));
    }
}
