//! Guests that lie: one malformed ring, frame, command or set-up each.
//!
//! A [`Scenario`] says what it does and what a device owes the world afterwards. It never checks
//! anything itself: tests play it on one device, look at what became of that device and of its
//! neighbour, and then bring the device up again, which must always work.

mod chains;
mod command;
mod frames;
mod indices;
mod packed;
mod receive;
mod setup;
mod tools;

use super::FakeVm;
use super::error::Result;
use super::net::feature;

/// What a device owes the world after a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The queue or the device is stopped, with a reason for the operator.
    Stops,
    /// What was malformed is dropped and counted; the queue goes on.
    Drops,
    /// Odd but legal: the frame is delivered.
    Delivers,
    /// Stopped or dropped, as the device likes.
    Refuses,
}

/// Ring formats that a lie can be told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formats {
    /// Split and packed.
    Any,
    /// Split only.
    Split,
    /// Packed only.
    Packed,
}

/// One lie.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name, for messages.
    pub name: &'static str,
    /// The paragraph that it breaks, or the fault it is modelled on.
    pub after: &'static str,
    /// What the device owes.
    pub verdict: Verdict,
    /// Ring formats.
    pub formats: Formats,
    /// Features to agree on at most, the ring format aside.
    pub features: u64,
    /// Tells the lie and rings the doorbell. The device was freshly started.
    pub play: fn(&mut FakeVm) -> Result<()>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const fn scenario(
    name: &'static str,
    after: &'static str,
    verdict: Verdict,
    play: fn(&mut FakeVm) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        after,
        verdict,
        formats: Formats::Any,
        features: feature::FULL,
        play,
    }
}

const fn without(features: u64, scenario: Scenario) -> Scenario {
    Scenario {
        features: scenario.features & !features,
        ..scenario
    }
}

const fn split(scenario: Scenario) -> Scenario {
    Scenario {
        formats: Formats::Split,
        ..scenario
    }
}

const fn packed(scenario: Scenario) -> Scenario {
    Scenario {
        formats: Formats::Packed,
        ..scenario
    }
}

use Verdict::{Delivers, Drops, Refuses, Stops};

/// All scenarios.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    split(scenario("chain is a cycle", "virtio 1.3 2.7.5.3.1", Stops, chains::cycle)),
    split(scenario("chain of nothing points to itself", "virtio 1.3 2.7.5.3.1", Stops, chains::empty_self_cycle)),
    split(scenario("next out of range", "virtio 1.3 2.7.5", Stops, chains::next_out_of_range)),
    split(scenario("readable after writable", "virtio 1.3 2.7.4.2", Stops, chains::readable_after_writable)),
    split(scenario("writable in the transmit queue", "virtio 1.3 2.7.4.2", Stops, chains::writable_only)),
    split(scenario("buffer partly unmapped", "out of bounds access", Stops, chains::partly_unmapped)),
    split(scenario("buffer unmapped", "out of bounds access", Stops, chains::unmapped)),
    split(scenario("buffer address wraps", "integer overflow", Stops, chains::address_wraps)),
    split(scenario("chain of more than 4 GiB", "virtio 1.3 2.7.5.2", Refuses, chains::total_overflows)),
    split(scenario("descriptors change while they are read", "CVE-2020-14375", Refuses, chains::double_fetch)),
    split(scenario("indirect table within a table", "virtio 1.3 2.7.5.3.1", Stops, chains::indirect_nested)),
    split(scenario("indirect table with a successor", "virtio 1.3 2.7.5.3.1", Stops, chains::indirect_with_next)),
    split(scenario("indirect table of 24 bytes", "virtio 1.3 2.7.5.3", Stops, chains::indirect_uneven)),
    split(scenario("indirect table of nothing", "virtio 1.3 2.7.5.3", Stops, chains::indirect_empty)),
    split(scenario("indirect table longer than the queue", "virtio 1.3 2.7.5.3.1", Refuses, chains::indirect_long)),
    split(scenario("indirect table leaves memory", "out of bounds access", Stops, chains::indirect_leaves_memory)),
    split(scenario("indirect table is a cycle", "virtio 1.3 2.7.5.3.1", Stops, chains::indirect_cycle)),
    without(feature::INDIRECT_DESC,
        split(scenario("indirect table that was not agreed on", "virtio 1.3 2.7.5.3.1", Stops, chains::indirect_unexpected))),

    split(scenario("head out of range", "virtio 1.3 2.7.6", Stops, indices::head_out_of_range)),
    split(scenario("available index jumps", "virtio 1.3 2.7.6", Stops, indices::jump)),
    split(scenario("available index goes back", "virtio 1.3 2.7.13.3", Stops, indices::back)),
    split(scenario("head available twice", "virtio 1.3 2.7.13", Refuses, indices::twice)),
    split(scenario("available index written byte by byte", "virtio 1.3 2.7.13.3", Refuses, indices::torn)),
    scenario("doorbell of no queue", "virtio 1.3 4.1.4.4", Drops, indices::doorbell_of_no_queue),

    scenario("chain shorter than the header", "CVE-2022-2132", Drops, frames::shorter_than_header),
    scenario("header without a frame", "virtio 1.3 5.1.6.2", Drops, frames::header_only),
    scenario("frame shorter than Ethernet", "virtio 1.3 5.1.6.2", Drops, frames::runt),
    scenario("frame longer than any", "virtio 1.3 5.1.6.2", Drops, frames::giant),
    scenario("header over many descriptors", "CVE-2022-2132", Delivers, frames::scattered_header),
    scenario("descriptors of nothing within a frame", "virtio 1.3 2.7.5", Refuses, frames::empty_pieces),
    scenario("frame in pieces of a byte", "virtio 1.3 2.7.4", Refuses, frames::crumbs),
    scenario("checksum starts past the end", "CVE-2024-11614", Drops, frames::csum_start_past_end),
    scenario("checksum lies past the end", "CVE-2024-11614", Drops, frames::csum_field_past_end),
    scenario("segments of nothing", "virtio 1.3 5.1.6.2", Drops, frames::gso_size_zero),
    scenario("headers longer than the frame", "virtio 1.3 5.1.6.2", Refuses, frames::hdr_len_past_end),
    scenario("unknown kind of segmentation", "virtio 1.3 5.1.6.2", Drops, frames::gso_unknown),
    scenario("segments of a byte", "amplification", Refuses, frames::gso_tiny),
    without(feature::CSUM | feature::HOST_TSO4 | feature::HOST_TSO6 | feature::HOST_USO
            | feature::HOST_UFO | feature::HOST_ECN,
        scenario("segmentation that was not agreed on", "virtio 1.3 5.1.6.2.1", Refuses, frames::gso_tiny)),

    split(scenario("receive buffers of a byte", "CVE-2019-3900", Refuses, receive::crumbs)),
    split(scenario("receive buffers of nothing", "CVE-2019-3900", Refuses, receive::empty)),
    split(scenario("readable in the receive queue", "virtio 1.3 2.7.4.2", Stops, receive::readable)),
    split(scenario("receive buffer unmapped", "out of bounds access", Stops, receive::unmapped)),
    split(scenario("receive buffer is the ring", "virtio 1.3 2.7", Refuses, receive::on_top_of_the_ring)),
    split(scenario("receive chain is a cycle", "virtio 1.3 2.7.5.3.1", Stops, receive::cycle)),
    split(scenario("receive index jumps", "virtio 1.3 2.7.6", Stops, receive::jump)),

    packed(scenario("packed chain longer than the ring", "virtio 1.3 2.8.17.1", Stops, packed::longer_than_the_ring)),
    packed(scenario("packed chain into nothing", "virtio 1.3 2.8.17.1", Stops, packed::into_nothing)),
    packed(scenario("packed chain with a writable end", "virtio 1.3 2.8.17.1", Stops, packed::writable)),
    packed(scenario("packed buffer unmapped", "out of bounds access", Stops, packed::unmapped)),
    packed(scenario("packed buffer partly unmapped", "out of bounds access", Stops, packed::partly_unmapped)),
    packed(scenario("packed buffer address wraps", "integer overflow", Stops, packed::address_wraps)),
    packed(scenario("packed chain of more than 4 GiB", "integer overflow", Refuses, packed::total_overflows)),
    packed(scenario("packed descriptor used already", "virtio 1.3 2.8.1", Drops, packed::used_already)),
    packed(scenario("packed descriptor of another turn", "virtio 1.3 2.8.1", Drops, packed::other_turn)),
    packed(scenario("packed flags run ahead", "virtio 1.3 2.8.1", Refuses, packed::flags_run_ahead)),
    packed(scenario("packed buffer of no name", "virtio 1.3 2.8.13", Delivers, packed::name_of_no_buffer)),
    packed(scenario("packed event beyond the ring", "virtio 1.3 2.8.14", Delivers, packed::event_beyond_the_ring)),
    packed(scenario("packed descriptors change while they are read", "CVE-2020-14375", Refuses, packed::double_fetch)),
    packed(scenario("packed table with a successor", "virtio 1.3 2.8.19.1", Stops, packed::indirect_with_next)),
    packed(scenario("packed table with reserved flags", "virtio 1.3 2.8.7", Delivers, packed::indirect_flags)),
    packed(scenario("packed table of 24 bytes", "virtio 1.3 2.8.7", Stops, packed::indirect_uneven)),
    packed(scenario("packed table of nothing", "virtio 1.3 2.8.7", Stops, packed::indirect_empty)),
    packed(scenario("packed table longer than the queue", "virtio 1.3 2.8.19.1", Stops, packed::indirect_long)),
    packed(scenario("packed table leaves memory", "out of bounds access", Stops, packed::indirect_leaves_memory)),
    without(feature::INDIRECT_DESC,
        packed(scenario("packed table that was not agreed on", "virtio 1.3 2.8.19.1", Stops, packed::indirect_unexpected))),
    packed(scenario("packed receive buffer is readable", "virtio 1.3 2.8.17.1", Stops, packed::receive_readable)),
    packed(scenario("packed receive buffer unmapped", "out of bounds access", Stops, packed::receive_unmapped)),
    packed(scenario("packed receive buffers of a byte", "CVE-2019-3900", Refuses, packed::receive_crumbs)),
    packed(scenario("packed receive buffer is the ring", "virtio 1.3 2.8", Refuses, packed::receive_on_top_of_the_ring)),
    packed(scenario("packed receive chain longer than the ring", "virtio 1.3 2.8.17.1", Stops, packed::receive_longer_than_the_ring)),

    scenario("command without acknowledgement", "virtio 1.3 5.1.6.5", Refuses, command::no_ack),
    scenario("command of a byte", "virtio 1.3 5.1.6.5", Refuses, command::short),
    scenario("table of more addresses than bytes", "virtio 1.3 5.1.6.5.2", Drops, command::table_past_end),
    scenario("unknown command", "virtio 1.3 5.1.6.5", Drops, command::unknown),
    scenario("command of 64 KiB", "memory use", Drops, command::long),
    scenario("no queue pairs", "virtio 1.3 5.1.6.5.5", Drops, command::no_pairs),
    scenario("more queue pairs than there are", "virtio 1.3 5.1.6.5.5", Drops, command::many_pairs),
    scenario("VLAN past the last", "virtio 1.3 5.1.6.5.3", Drops, command::vlan_past_last),

    scenario("queue of no size", "virtio 1.3 4.1.4.3.1", Refuses, setup::size_zero),
    split(scenario("queue of odd size", "virtio 1.3 2.7", Refuses, setup::size_odd)),
    scenario("queue larger than offered", "virtio 1.3 4.1.4.3.1", Refuses, setup::size_large),
    scenario("queue in no memory", "out of bounds access", Refuses, setup::unmapped),
    scenario("queue at an odd address", "virtio 1.3 2.7", Refuses, setup::unaligned),
    scenario("queue that wraps", "integer overflow", Refuses, setup::wraps),
    scenario("queue grows while it runs", "Firecracker 6201", Refuses, setup::grows),
    scenario("queue moves while it runs", "Firecracker 6201", Refuses, setup::moves),
    scenario("doorbell before the driver is ready", "virtio 1.3 2.1.2", Drops, setup::early_doorbell),
    scenario("features that were not offered", "virtio 1.3 2.2.1", Refuses, setup::features_not_offered),
    scenario("memory is unmapped below the rings", "vfio-user DMA_UNMAP", Refuses, setup::unmap_below),
    scenario("memory file is cut below the rings", "SIGBUS", Refuses, setup::truncate_below),
];

/// The scenario of a name.
pub fn scenario_named(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for scenario in SCENARIOS {
            let same = SCENARIOS
                .iter()
                .filter(|other| other.name == scenario.name)
                .count();
            assert_eq!(same, 1, "{}", scenario.name);
        }
        assert!(scenario_named("chain is a cycle").is_some());
    }
}
