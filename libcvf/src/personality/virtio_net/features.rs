//! Features: their bits, names and dependencies.

use crate::offload::Accepts;

/// Feature bits by their names in the specification (5.1.3, 6), without prefix.
pub mod bits {
    macro_rules! features {
        ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
            $($(#[$doc])* pub const $name: u64 = 1 << $bit;)*
            /// Every feature this device can offer, in bit order, with its name.
            pub(in super::super) const NAMES: &[(u64, &str)] = &[$(($name, stringify!($name)),)*];
        };
    }
    features! {
        /// Device takes partial checksums.
        CSUM = 0;
        /// Driver takes partial checksums.
        GUEST_CSUM = 1;
        /// Receive offloads can be switched by command.
        CTRL_GUEST_OFFLOADS = 2;
        /// Device states its MTU.
        MTU = 3;
        /// Device states its address.
        MAC = 5;
        /// Driver takes large TCP over IPv4.
        GUEST_TSO4 = 7;
        /// Driver takes large TCP over IPv6.
        GUEST_TSO6 = 8;
        /// Driver takes large TCP with ECN.
        GUEST_ECN = 9;
        /// Driver takes UDP fragmentation.
        GUEST_UFO = 10;
        /// Device takes large TCP over IPv4.
        HOST_TSO4 = 11;
        /// Device takes large TCP over IPv6.
        HOST_TSO6 = 12;
        /// Device takes large TCP with ECN.
        HOST_ECN = 13;
        /// Device takes UDP fragmentation.
        HOST_UFO = 14;
        /// Driver merges receive buffers.
        MRG_RXBUF = 15;
        /// Device states its link.
        STATUS = 16;
        /// Control queue.
        CTRL_VQ = 17;
        /// Receive modes by command.
        CTRL_RX = 18;
        /// VLAN filter by command.
        CTRL_VLAN = 19;
        /// More receive modes by command.
        CTRL_RX_EXTRA = 20;
        /// Driver announces itself on request.
        GUEST_ANNOUNCE = 21;
        /// Several queue pairs.
        MQ = 22;
        /// Address by command.
        CTRL_MAC_ADDR = 23;
        /// Indirect descriptors.
        INDIRECT_DESC = 28;
        /// Notification thresholds.
        EVENT_IDX = 29;
        /// Not a legacy device.
        VERSION_1 = 32;
        /// Device addresses go through the platform's IOMMU.
        ACCESS_PLATFORM = 33;
        /// Rings in packed format.
        RING_PACKED = 34;
        /// Buffers are used in the order in which they were made available.
        IN_ORDER = 35;
        /// Doorbells say how far the driver is.
        NOTIFICATION_DATA = 38;
        /// Queues can be reset one by one.
        RING_RESET = 40;
        /// Counters by command.
        DEVICE_STATS = 50;
        /// Interrupts of one queue are held back by command.
        VQ_NOTF_COAL = 52;
        /// Interrupts are held back by command.
        NOTF_COAL = 53;
        /// Driver takes UDP segmentation over IPv4.
        GUEST_USO4 = 54;
        /// Driver takes UDP segmentation over IPv6.
        GUEST_USO6 = 55;
        /// Device takes UDP segmentation.
        HOST_USO = 56;
        /// Hash beside every frame received.
        HASH_REPORT = 57;
        /// Receive queue by hash.
        RSS = 60;
        /// Device states speed and duplex.
        SPEED_DUPLEX = 63;
    }
}

use bits::*;

/// Everything that is built.
pub(super) const BUILT: u64 = {
    let mut all = 0;
    let mut i = 0;
    while i < bits::NAMES.len() {
        all |= bits::NAMES[i].0;
        i += 1;
    }
    all
};

/// Feature, and of which others at least one must be there (5.1.3.1).
const REQUIRES: &[(u64, u64)] = &[
    (GUEST_TSO4, GUEST_CSUM),
    (GUEST_TSO6, GUEST_CSUM),
    (GUEST_ECN, GUEST_TSO4 | GUEST_TSO6),
    (GUEST_UFO, GUEST_CSUM),
    (GUEST_USO4, GUEST_CSUM),
    (GUEST_USO6, GUEST_CSUM),
    (HOST_TSO4, CSUM),
    (HOST_TSO6, CSUM),
    (HOST_ECN, HOST_TSO4 | HOST_TSO6),
    (HOST_UFO, CSUM),
    (HOST_USO, CSUM),
    (CTRL_RX, CTRL_VQ),
    (CTRL_VLAN, CTRL_VQ),
    (GUEST_ANNOUNCE, CTRL_VQ),
    (MQ, CTRL_VQ),
    (CTRL_MAC_ADDR, CTRL_VQ),
    (VQ_NOTF_COAL, CTRL_VQ),
    (NOTF_COAL, CTRL_VQ),
    (RSS, CTRL_VQ),
];

/// Not offered without the other (5.1.4.1 for the first), but no reason to refuse a driver: the
/// specification has no such requirement for it.
const SENSELESS_WITHOUT: &[(u64, u64)] = &[
    (CTRL_RX_EXTRA, CTRL_VQ),
    (CTRL_GUEST_OFFLOADS, CTRL_VQ),
    (GUEST_ANNOUNCE, STATUS),
    (DEVICE_STATS, CTRL_VQ),
    (HASH_REPORT, CTRL_VQ),
];

/// Names of the set bits, in bit order; bits that are not built have none.
pub fn feature_names(features: u64) -> Vec<&'static str> {
    let named = bits::NAMES.iter().filter(|(bit, _)| features & bit != 0);
    named.map(|&(_, name)| name).collect()
}

/// The receive offloads that a feature set, or the data of
/// `VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET` (5.1.6.5.6: the same bits), stands for. What depends on a
/// missing one is left out.
pub fn receive_offloads(features: u64) -> Accepts {
    let features = close(features & RECEIVE_OFFLOADS);
    let table = [
        (GUEST_CSUM, Accepts::CSUM),
        (GUEST_TSO4, Accepts::TSO4),
        (GUEST_TSO6, Accepts::TSO6),
        (GUEST_ECN, Accepts::ECN),
        (GUEST_UFO, Accepts::UFO),
        (GUEST_USO4, Accepts::USO4),
        (GUEST_USO6, Accepts::USO6),
    ];
    let set = table.iter().filter(|(bit, _)| features & bit != 0);
    set.fold(Accepts::default(), |all, &(_, one)| all.with(one))
}

/// Features that `VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET` can switch.
pub(super) const RECEIVE_OFFLOADS: u64 =
    GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN | GUEST_UFO | GUEST_USO4 | GUEST_USO6;

/// The first feature whose dependency is missing.
pub(super) fn broken_dependency(features: u64) -> Option<u64> {
    first_broken(REQUIRES, features)
}

fn first_broken(table: &[(u64, u64)], features: u64) -> Option<u64> {
    let broken = |&&(feature, any): &&(u64, u64)| features & feature != 0 && features & any == 0;
    table.iter().find(broken).map(|&(feature, _)| feature)
}

/// Takes away what depends on something missing.
fn close(mut features: u64) -> u64 {
    let broken = |set| first_broken(REQUIRES, set).or_else(|| first_broken(SENSELESS_WITHOUT, set));
    while let Some(feature) = broken(features) {
        features &= !feature;
    }
    features
}

/// What a device with `pairs` queue pairs offers, limited to `mask`.
pub(super) fn offer(pairs: u16, mask: u64) -> u64 {
    let built = if pairs > 1 {
        BUILT
    } else {
        BUILT & !(MQ | RSS)
    };
    close(built & mask) | VERSION_1
}

#[cfg(test)]
mod tests;
