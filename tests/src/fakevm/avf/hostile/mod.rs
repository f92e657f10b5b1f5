//! Guests with an AVF function that lie: one malformed ring, frame, message or set-up each.
//!
//! As [`crate::fakevm::hostile`]: a scenario says what it does and what a device owes the world afterwards, and checks
//! nothing itself. Bringing the device up again must always work.

mod mail;
mod receive;
mod setup;
mod transmit;

use super::AvfVm;
use crate::fakevm::bus::Bus;
use crate::fakevm::error::Result;
use crate::fakevm::hostile::Verdict;

/// One lie.
pub struct Scenario<B: Bus> {
    /// Name, for messages.
    pub name: &'static str,
    /// The rule that it breaks, or the fault it is modelled on.
    pub after: &'static str,
    /// What the device owes.
    pub verdict: Verdict,
    /// Tells the lie. The device was freshly started. Lies of receive rings are noticed when a frame comes.
    pub play: fn(&mut AvfVm<B>) -> Result<()>,
}

impl<B: Bus> std::fmt::Debug for Scenario<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

const fn scenario<B: Bus>(
    name: &'static str,
    after: &'static str,
    verdict: Verdict,
    play: fn(&mut AvfVm<B>) -> Result<()>,
) -> Scenario<B> {
    Scenario {
        name,
        after,
        verdict,
        play,
    }
}

use Verdict::{Delivers, Drops, Refuses, Stops};

/// Lies of rings.
#[must_use]
#[rustfmt::skip]
pub fn of_rings<B: Bus>() -> Vec<Scenario<B>> {
    vec![
        scenario("transmit tail at the ring's end", "out of bounds access", Stops, transmit::tail_at_end),
        scenario("transmit tail of all ones", "out of bounds access", Stops, transmit::tail_of_ones),
        scenario("transmit tail goes back", "descriptors that are done", Stops, transmit::tail_goes_back),
        scenario("descriptor of no type", "dtype", Stops, transmit::no_type),
        scenario("descriptor that says it is done", "dtype", Stops, transmit::done_already),
        scenario("buffer of no bytes", "1 to 16383 bytes", Stops, transmit::no_bytes),
        scenario("frame of 16 bytes", "17 bytes at least", Stops, transmit::too_short),
        scenario("nine buffers for a frame", "8 buffers at most", Stops, transmit::nine_buffers),
        scenario("frame without an end", "8 buffers at most", Stops, transmit::without_end),
        scenario("context descriptors and nothing else", "a frame has data", Stops, transmit::only_contexts),
        scenario("transmit buffer unmapped", "out of bounds access", Stops, transmit::unmapped),
        scenario("transmit buffer partly unmapped", "out of bounds access", Stops, transmit::partly_unmapped),
        scenario("transmit buffer address wraps", "integer overflow", Stops, transmit::wraps),
        scenario("large frame of empty segments", "division by zero", Drops, transmit::no_mss),
        scenario("large frame of segments of a byte", "work without bound", Drops, transmit::tiny_mss),
        scenario("large frame longer than it is", "TSO payload", Drops, transmit::tso_longer),
        scenario("large frame shorter than it is", "TSO payload", Drops, transmit::tso_shorter),
        scenario("large datagram of empty datagrams", "division by zero", Drops, transmit::uso_no_mss),
        scenario("large datagram of datagrams of a byte", "work without bound", Drops, transmit::uso_tiny_mss),
        scenario("large datagram longer than it is", "TSO payload", Drops, transmit::uso_longer),
        scenario("large datagram shorter than it is", "TSO payload", Drops, transmit::uso_shorter),
        scenario("large datagram with a longer header", "L4LEN", Drops, transmit::uso_long_header),
        scenario("large datagram that is a TCP segment", "L4T", Drops, transmit::uso_of_tcp),
        scenario("headers longer than the frame", "MACLEN, IPLEN, L4LEN", Drops, transmit::long_headers),
        scenario("checksum of what is no IP", "IIPT, L4T", Drops, transmit::no_ip),
        scenario("reserved command bits", "forward compatibility", Delivers, transmit::reserved_bits),
        scenario("descriptors change while they are read", "CVE-2020-14375", Refuses, transmit::double_fetch),
        scenario("receive tail at the ring's end", "out of bounds access", Stops, receive::tail_at_end),
        scenario("receive tail of all ones", "out of bounds access", Stops, receive::tail_of_ones),
        scenario("receive buffers unmapped", "out of bounds access", Stops, receive::unmapped),
        scenario("receive buffers partly unmapped", "out of bounds access", Stops, receive::partly_unmapped),
        scenario("receive buffer address wraps", "integer overflow", Stops, receive::wraps),
        scenario("receive buffers on top of the ring", "a device that reads what it wrote", Refuses, receive::on_the_ring),
    ]
}

/// Lies of what is configured, and of tails before and after that.
#[must_use]
#[rustfmt::skip]
pub fn of_setup<B: Bus>() -> Vec<Scenario<B>> {
    vec![
        scenario("rings of no size", "CVE-2025-39973", Drops, setup::no_size),
        scenario("rings of odd size", "CVE-2025-39973", Drops, setup::odd_size),
        scenario("rings larger than any", "CVE-2025-39973", Drops, setup::large_size),
        scenario("rings in no memory", "out of bounds access", Drops, setup::unmapped),
        scenario("rings at an odd address", "128 bytes", Drops, setup::unaligned),
        scenario("rings that wrap", "integer overflow", Drops, setup::wraps),
        scenario("receive buffers of no size", "databuffer_size", Drops, setup::no_buffer),
        scenario("receive buffers larger than any", "databuffer_size", Drops, setup::large_buffer),
        scenario("descriptors of no format", "rxdid", Drops, setup::no_format),
        scenario("check sequences of frames that lose their tags", "crc_disable", Drops, setup::crc_of_stripped),
        scenario("tags taken out of frames that keep their check sequence", "crc_disable", Drops, setup::stripped_with_crc),
        scenario("queue of another function", "queue_id", Drops, setup::other_queue),
        scenario("more pairs than there are", "num_queue_pairs", Drops, setup::many_pairs),
        scenario("queues are started that nobody has placed", "order of operations", Drops, setup::not_placed),
        scenario("queues move while they run", "order of operations", Stops, setup::moves),
        scenario("vector of another function", "vector_id", Drops, setup::other_vector),
    ]
}

/// Lies of the mailbox.
#[must_use]
#[rustfmt::skip]
pub fn of_mail<B: Bus>() -> Vec<Scenario<B>> {
    vec![
        scenario("message without operation", "virtchnl", Drops, mail::no_operation),
        scenario("message of an operation that nobody knows", "virtchnl", Drops, mail::unknown),
        scenario("event from the driver", "virtchnl", Drops, mail::event),
        scenario("messages that are cut", "lengths of virtchnl", Drops, mail::cut),
        scenario("message longer than its operation", "lengths of virtchnl", Drops, mail::long),
        scenario("list longer than its message", "out of bounds access", Drops, mail::list_past_end),
        scenario("message longer than a buffer", "4096 bytes", Drops, mail::long_buffer),
        scenario("message in no memory", "out of bounds access", Drops, mail::unmapped),
        scenario("message at an address that wraps", "integer overflow", Drops, mail::wraps),
        scenario("command for the firmware", "opcodes", Drops, mail::firmware),
        scenario("mailbox tail beyond the ring", "out of bounds access", Drops, mail::tail_beyond),
        scenario("mailbox moves to no memory", "out of bounds access", Drops, mail::moves),
        scenario("mailbox of no size", "division by zero", Drops, mail::no_size),
        scenario("mailbox larger than any", "work without bound", Refuses, mail::large),
        scenario("answers have no room", "memory use", Drops, mail::no_room),
        scenario("a flood of requests", "memory use", Drops, mail::flood),
    ]
}
