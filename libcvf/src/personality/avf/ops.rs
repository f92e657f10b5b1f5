//! Operations (`VIRTCHNL_OP_*`) that are built.

/// A driver's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Version = 1,
    ResetVf = 2,
    GetVfResources = 3,
    ConfigVsiQueues = 6,
    ConfigIrqMap = 7,
    EnableQueues = 8,
    DisableQueues = 9,
    AddEthAddr = 10,
    DelEthAddr = 11,
    AddVlan = 12,
    DelVlan = 13,
    ConfigPromiscuousMode = 14,
    GetStats = 15,
    ConfigRssHfunc = 18,
    ConfigRssKey = 23,
    ConfigRssLut = 24,
    GetRssHenaCaps = 25,
    SetRssHena = 26,
    EnableVlanStripping = 27,
    DisableVlanStripping = 28,
    RequestQueues = 29,
    GetSupportedRxdids = 44,
    GetOffloadVlanV2Caps = 51,
    AddVlanV2 = 52,
    DelVlanV2 = 53,
    EnableVlanStrippingV2 = 54,
    DisableVlanStrippingV2 = 55,
    EnableVlanInsertionV2 = 56,
    DisableVlanInsertionV2 = 57,
}

/// `VIRTCHNL_OP_EVENT`, which only the device sends.
pub(super) const EVENT: u32 = 17;

impl Op {
    pub(super) const ALL: [Self; 29] = [
        Self::Version,
        Self::ResetVf,
        Self::GetVfResources,
        Self::ConfigVsiQueues,
        Self::ConfigIrqMap,
        Self::EnableQueues,
        Self::DisableQueues,
        Self::AddEthAddr,
        Self::DelEthAddr,
        Self::AddVlan,
        Self::DelVlan,
        Self::ConfigPromiscuousMode,
        Self::GetStats,
        Self::ConfigRssHfunc,
        Self::ConfigRssKey,
        Self::ConfigRssLut,
        Self::GetRssHenaCaps,
        Self::SetRssHena,
        Self::EnableVlanStripping,
        Self::DisableVlanStripping,
        Self::RequestQueues,
        Self::GetSupportedRxdids,
        Self::GetOffloadVlanV2Caps,
        Self::AddVlanV2,
        Self::DelVlanV2,
        Self::EnableVlanStrippingV2,
        Self::DisableVlanStrippingV2,
        Self::EnableVlanInsertionV2,
        Self::DisableVlanInsertionV2,
    ];

    /// Drivers ask for it while they end, or to begin anew: it starts nothing.
    pub(super) const fn ends(self) -> bool {
        matches!(
            self,
            Self::Version
                | Self::ResetVf
                | Self::DisableQueues
                | Self::DelEthAddr
                | Self::DelVlan
                | Self::DelVlanV2
        )
    }

    /// `None`: not built.
    pub(super) fn decode(opcode: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u32 == opcode)
    }
}
