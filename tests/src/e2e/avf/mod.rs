//! Linux' `iavf` on devices that are adaptive virtual functions, beside guests with virtio and the host.
//!
//! Every test runs with both of the lab's kernels, whose drivers differ: `-stable` is that of the stable release.

mod ethtool;
mod jumbo;
mod life;
mod offloads;
mod pair;
mod policy;
mod queues;
mod reach;
mod resets;
mod shown;
mod vlans;

pub use pair::Pair;

use super::Test;
use crate::vm::GuestKernel;
use anyhow::Result;

/// A test on the pair: its names with the newest kernel and with the stable one, what it shows, and itself.
type OnPair = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Pair) -> Result<()>,
);

const ON_PAIR: [OnPair; 10] = [
    (
        "avf-traffic",
        "avf-traffic-stable",
        "stock iavf drivers reach each other, a virtio guest and the host",
        reach::everybody,
    ),
    (
        "avf-ethtool",
        "avf-ethtool-stable",
        "what ethtool shows and sets of an iavf interface is what the device does",
        ethtool::shown_and_set,
    ),
    (
        "avf-datagrams",
        "avf-datagrams-stable",
        "datagrams that an iavf guest hands over together are cut by the device, as ethtool has it",
        offloads::datagrams,
    ),
    (
        "avf-check-sequences",
        "avf-check-sequences-stable",
        "frames come to an iavf guest with their check sequence where ethtool says so",
        offloads::check_sequences,
    ),
    (
        "avf-vlans",
        "avf-vlans-stable",
        "VLANs of iavf guests: filtered, put in and taken out by the device, and apart from each other",
        vlans::apart,
    ),
    (
        "avf-jumbo",
        "avf-jumbo-stable",
        "MTU 9000 between iavf guests, and with virtio",
        jumbo::intact,
    ),
    (
        "avf-promiscuous",
        "avf-promiscuous-stable",
        "an iavf guest hears frames for others only if it asks and its profile lets it",
        policy::promiscuous,
    ),
    (
        "avf-address",
        "avf-address-stable",
        "an iavf guest changes its address only if its profile lets it, and it is taken back",
        policy::address,
    ),
    (
        "avf-resets",
        "avf-resets-stable",
        "what the operator changes under traffic resets the function, and iavf comes back by itself",
        resets::recovery,
    ),
    (
        "avf-life",
        "avf-life-stable",
        "an iavf driver is unloaded and loaded, its guest reboots, its function is reset",
        life::again,
    ),
];

/// The tests of this folder: those that share machines in a row.
pub fn tests() -> Vec<Test> {
    let newest =
        ON_PAIR.map(|(name, _, about, run)| Test::on_pair(name, about, GuestKernel::Newest, run));
    let stable =
        ON_PAIR.map(|(_, name, about, run)| Test::on_pair(name, about, GuestKernel::Stable, run));
    let mut all: Vec<Test> = newest.into_iter().chain(stable).collect();
    let about = "a device of 16 pairs: iavf uses 1 to 16 of them, and frames are spread over all that it uses";
    all.push(Test::alone("avf-queues", about, queues::newest));
    all.push(Test::alone("avf-queues-stable", about, queues::stable));
    all
}
