//! Capabilities (`VIRTCHNL_VF_*`): what is built, what a driver is granted, what it may ask then.

use super::ops::Op;

/// `VIRTCHNL_VF_*` of what is built.
pub mod bits {
    /// Frames, checksums and TSO of what is not tunnelled.
    pub const OFFLOAD_L2: u32 = 1;
    /// Descriptors are written back without an interrupt.
    pub const OFFLOAD_WB_ON_ITR: u32 = 1 << 5;
    /// The driver may ask for another number of queues.
    pub const OFFLOAD_REQ_QUEUES: u32 = 1 << 6;
    /// Speeds are Mbit/s.
    pub const CAP_ADV_LINK_SPEED: u32 = 1 << 7;
    /// The driver may have frames come with their check sequence.
    pub const OFFLOAD_CRC: u32 = 1 << 10;
    /// VLANs by messages that say what they mean.
    pub const OFFLOAD_VLAN_V2: u32 = 1 << 15;
    /// VLANs.
    pub const OFFLOAD_VLAN: u32 = 1 << 16;
    /// Key and table of receive-side scaling by message.
    pub const OFFLOAD_RSS_PF: u32 = 1 << 19;
    /// UDP is cut into datagrams.
    pub const OFFLOAD_USO: u32 = 1 << 25;
    /// The driver chooses the format in which receive descriptors are given back.
    pub const OFFLOAD_RX_FLEX_DESC: u32 = 1 << 26;
}

/// All that is built, in bit order, with their names.
const BUILT: [(u32, &str); 10] = [
    (bits::OFFLOAD_L2, "OFFLOAD_L2"),
    (bits::OFFLOAD_WB_ON_ITR, "OFFLOAD_WB_ON_ITR"),
    (bits::OFFLOAD_REQ_QUEUES, "OFFLOAD_REQ_QUEUES"),
    (bits::CAP_ADV_LINK_SPEED, "CAP_ADV_LINK_SPEED"),
    (bits::OFFLOAD_CRC, "OFFLOAD_CRC"),
    (bits::OFFLOAD_VLAN_V2, "OFFLOAD_VLAN_V2"),
    (bits::OFFLOAD_VLAN, "OFFLOAD_VLAN"),
    (bits::OFFLOAD_RSS_PF, "OFFLOAD_RSS_PF"),
    (bits::OFFLOAD_USO, "OFFLOAD_USO"),
    (bits::OFFLOAD_RX_FLEX_DESC, "OFFLOAD_RX_FLEX_DESC"),
];

/// What a driver of version 1.0 has, which does not say what it wants.
pub(super) const OF_VERSION_1_0: u32 = bits::OFFLOAD_L2 | bits::OFFLOAD_VLAN;

/// Names of capabilities, without `VIRTCHNL_VF_`, in bit order.
pub fn capability_names(capabilities: u64) -> Vec<&'static str> {
    BUILT
        .iter()
        .filter(|(bit, _)| capabilities & u64::from(*bit) != 0)
        .map(|(_, name)| *name)
        .collect()
}

/// All that may be granted.
pub(super) fn offered(mask: u64) -> u32 {
    let built: u32 = BUILT.iter().map(|(bit, _)| bit).sum();
    built & mask as u32 | bits::OFFLOAD_L2
}

/// What a driver that asks for `asked` is granted. As with PFs, version 2 of VLANs takes the place of the first.
pub(super) fn grant(asked: u32, offered: u32) -> u32 {
    let granted = asked & offered | bits::OFFLOAD_L2;
    if granted & bits::OFFLOAD_VLAN_V2 != 0 {
        granted & !bits::OFFLOAD_VLAN
    } else {
        granted
    }
}

/// The capability that an operation belongs to; 0: it may be asked for at any time.
const fn needs(op: Op) -> u32 {
    match op {
        Op::Version | Op::ResetVf | Op::GetVfResources => 0,
        Op::ConfigVsiQueues
        | Op::ConfigIrqMap
        | Op::EnableQueues
        | Op::DisableQueues
        | Op::AddEthAddr
        | Op::DelEthAddr
        | Op::ConfigPromiscuousMode
        | Op::GetStats => bits::OFFLOAD_L2,
        Op::AddVlan | Op::DelVlan | Op::EnableVlanStripping | Op::DisableVlanStripping => {
            bits::OFFLOAD_VLAN
        }
        Op::GetOffloadVlanV2Caps
        | Op::AddVlanV2
        | Op::DelVlanV2
        | Op::EnableVlanStrippingV2
        | Op::DisableVlanStrippingV2
        | Op::EnableVlanInsertionV2
        | Op::DisableVlanInsertionV2 => bits::OFFLOAD_VLAN_V2,
        Op::ConfigRssKey
        | Op::ConfigRssLut
        | Op::ConfigRssHfunc
        | Op::GetRssHenaCaps
        | Op::SetRssHena => bits::OFFLOAD_RSS_PF,
        Op::RequestQueues => bits::OFFLOAD_REQ_QUEUES,
        Op::GetSupportedRxdids => bits::OFFLOAD_RX_FLEX_DESC,
    }
}

/// True when a driver that was granted `granted` (0: nothing yet) may ask for this.
pub(super) const fn allows(granted: u32, op: Op) -> bool {
    let needs = needs(op);
    needs == 0 || granted & needs != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_that_was_not_asked_for_or_is_not_built() {
        let all = offered(u64::MAX);
        assert_eq!(grant(u32::MAX, all), all & !bits::OFFLOAD_VLAN);
        assert_eq!(grant(0, all), bits::OFFLOAD_L2);
        assert_eq!(grant(OF_VERSION_1_0, all), OF_VERSION_1_0);
        assert_eq!(grant(u32::MAX, offered(0)), bits::OFFLOAD_L2);
        let without = offered(!u64::from(bits::OFFLOAD_VLAN_V2));
        assert_ne!(grant(u32::MAX, without) & bits::OFFLOAD_VLAN, 0);
    }

    #[test]
    fn before_resources_three_operations_are_allowed() {
        let allowed = Op::ALL.iter().filter(|op| allows(0, **op));
        assert!(allowed.eq(&[Op::Version, Op::ResetVf, Op::GetVfResources]));
    }

    #[test]
    fn names_are_in_bit_order() {
        let names = capability_names(u64::MAX);
        assert_eq!(names.len(), BUILT.len());
        assert!(BUILT.is_sorted_by_key(|(bit, _)| *bit));
        assert_eq!(
            capability_names(1 | 1 << 19),
            ["OFFLOAD_L2", "OFFLOAD_RSS_PF"]
        );
    }
}
