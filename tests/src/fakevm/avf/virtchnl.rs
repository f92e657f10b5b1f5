//! The words of virtchnl 1.1: operations, statuses, capabilities.

use std::fmt;

/// Operations.
#[allow(missing_docs)]
pub mod op {
    pub const VERSION: u32 = 1;
    pub const RESET_VF: u32 = 2;
    pub const GET_VF_RESOURCES: u32 = 3;
    pub const CONFIG_TX_QUEUE: u32 = 4;
    pub const CONFIG_RX_QUEUE: u32 = 5;
    pub const CONFIG_VSI_QUEUES: u32 = 6;
    pub const CONFIG_IRQ_MAP: u32 = 7;
    pub const ENABLE_QUEUES: u32 = 8;
    pub const DISABLE_QUEUES: u32 = 9;
    pub const ADD_ETH_ADDR: u32 = 10;
    pub const DEL_ETH_ADDR: u32 = 11;
    pub const ADD_VLAN: u32 = 12;
    pub const DEL_VLAN: u32 = 13;
    pub const CONFIG_PROMISCUOUS_MODE: u32 = 14;
    pub const GET_STATS: u32 = 15;
    pub const EVENT: u32 = 17;
    pub const CONFIG_RSS_KEY: u32 = 23;
    pub const CONFIG_RSS_LUT: u32 = 24;
    pub const GET_RSS_HASHCFG_CAPS: u32 = 25;
    pub const SET_RSS_HASHCFG: u32 = 26;
    pub const ENABLE_VLAN_STRIPPING: u32 = 27;
    pub const DISABLE_VLAN_STRIPPING: u32 = 28;
    pub const REQUEST_QUEUES: u32 = 29;
    pub const GET_SUPPORTED_RXDIDS: u32 = 44;
    pub const GET_OFFLOAD_VLAN_V2_CAPS: u32 = 51;
    pub const ADD_VLAN_V2: u32 = 52;
    pub const DEL_VLAN_V2: u32 = 53;
    pub const ENABLE_VLAN_STRIPPING_V2: u32 = 54;
    pub const DISABLE_VLAN_STRIPPING_V2: u32 = 55;
    pub const ENABLE_VLAN_INSERTION_V2: u32 = 56;
    pub const DISABLE_VLAN_INSERTION_V2: u32 = 57;
}

/// Capability bits (`VIRTCHNL_VF_OFFLOAD_*` and `VIRTCHNL_VF_CAP_*`).
#[allow(missing_docs)]
pub mod cap {
    pub const L2: u32 = 1 << 0;
    pub const RSS_AQ: u32 = 1 << 3;
    pub const RSS_REG: u32 = 1 << 4;
    pub const WB_ON_ITR: u32 = 1 << 5;
    pub const REQ_QUEUES: u32 = 1 << 6;
    pub const ADV_LINK_SPEED: u32 = 1 << 7;
    pub const CRC: u32 = 1 << 10;
    pub const TC_U32: u32 = 1 << 11;
    pub const VLAN_V2: u32 = 1 << 15;
    pub const VLAN: u32 = 1 << 16;
    pub const RSS_PCTYPE_V2: u32 = 1 << 18;
    pub const RSS_PF: u32 = 1 << 19;
    pub const ENCAP: u32 = 1 << 20;
    pub const ENCAP_CSUM: u32 = 1 << 21;
    pub const ADQ: u32 = 1 << 23;
    pub const USO: u32 = 1 << 25;
    pub const RX_FLEX_DESC: u32 = 1 << 26;
    pub const ADV_RSS_PF: u32 = 1 << 27;
    pub const FDIR_PF: u32 = 1 << 28;
    pub const QOS: u32 = 1 << 29;

    /// What Linux's driver asks for (6.12), whether this one can make use of it or not.
    pub const LINUX: u32 = L2
        | RSS_PF
        | RSS_AQ
        | RSS_REG
        | VLAN
        | WB_ON_ITR
        | RSS_PCTYPE_V2
        | ENCAP
        | VLAN_V2
        | TC_U32
        | ENCAP_CSUM
        | REQ_QUEUES
        | CRC
        | ADQ
        | USO
        | FDIR_PF
        | ADV_RSS_PF
        | ADV_LINK_SPEED
        | QOS;
    /// What this driver can make use of.
    pub const FULL: u32 =
        L2 | RSS_PF | VLAN | VLAN_V2 | WB_ON_ITR | REQ_QUEUES | ADV_LINK_SPEED | USO | CRC;
    /// Frames and nothing else.
    pub const PLAIN: u32 = L2 | WB_ON_ITR | ADV_LINK_SPEED;
}

/// `vsi_type` of a virtual function's own.
pub const VSI_SRIOV: i32 = 6;
/// Bits of `flags` of CONFIG_PROMISCUOUS_MODE.
pub const PROMISC_UNICAST: u16 = 1;
/// See [`PROMISC_UNICAST`].
pub const PROMISC_MULTICAST: u16 = 2;
/// A VLAN whose type is 0x8100, in the capabilities and settings of VLAN_V2.
pub const VLAN_8100: u32 = 1;
/// The driver may switch it, in the capabilities of VLAN_V2.
pub const VLAN_TOGGLE: u32 = 1 << 31;
/// The tag is in `l2tag1` of a descriptor, in the capabilities of VLAN_V2.
pub const VLAN_L2TAG1: u32 = 1 << 8;

/// What became of a request (`virtchnl_status_code`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const SUCCESS: Status = Status(0);
    /// It says what it may not.
    pub const ERR_PARAM: Status = Status(-5);
    /// No room for it.
    pub const ERR_NO_MEMORY: Status = Status(-18);
    /// Its length is none of its operation.
    pub const ERR_OPCODE_MISMATCH: Status = Status(-38);
    /// The completion queue has failed.
    pub const ERR_CQP_COMPL: Status = Status(-39);
    /// No such function.
    pub const ERR_INVALID_VF_ID: Status = Status(-40);
    /// The admin queue has failed.
    pub const ERR_ADMIN_QUEUE: Status = Status(-53);
    /// The device has no such thing.
    pub const ERR_NOT_SUPPORTED: Status = Status(-64);

    /// Whether it was done.
    pub fn is_ok(self) -> bool {
        self == Status::SUCCESS
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Status::SUCCESS => "SUCCESS",
            Status::ERR_PARAM => "ERR_PARAM",
            Status::ERR_NO_MEMORY => "ERR_NO_MEMORY",
            Status::ERR_OPCODE_MISMATCH => "ERR_OPCODE_MISMATCH",
            Status::ERR_CQP_COMPL => "ERR_CQP_COMPL_ERROR",
            Status::ERR_INVALID_VF_ID => "ERR_INVALID_VF_ID",
            Status::ERR_ADMIN_QUEUE => "ERR_ADMIN_QUEUE_ERROR",
            Status::ERR_NOT_SUPPORTED => "ERR_NOT_SUPPORTED",
            Status(other) => return write!(f, "status {other}"),
        };
        f.write_str(name)
    }
}

/// Name of an operation, for messages.
pub fn name(op: u32) -> &'static str {
    match op {
        op::VERSION => "VERSION",
        op::RESET_VF => "RESET_VF",
        op::GET_VF_RESOURCES => "GET_VF_RESOURCES",
        op::CONFIG_TX_QUEUE => "CONFIG_TX_QUEUE",
        op::CONFIG_RX_QUEUE => "CONFIG_RX_QUEUE",
        op::CONFIG_VSI_QUEUES => "CONFIG_VSI_QUEUES",
        op::CONFIG_IRQ_MAP => "CONFIG_IRQ_MAP",
        op::ENABLE_QUEUES => "ENABLE_QUEUES",
        op::DISABLE_QUEUES => "DISABLE_QUEUES",
        op::ADD_ETH_ADDR => "ADD_ETH_ADDR",
        op::DEL_ETH_ADDR => "DEL_ETH_ADDR",
        op::ADD_VLAN => "ADD_VLAN",
        op::DEL_VLAN => "DEL_VLAN",
        op::CONFIG_PROMISCUOUS_MODE => "CONFIG_PROMISCUOUS_MODE",
        op::GET_STATS => "GET_STATS",
        op::EVENT => "EVENT",
        op::CONFIG_RSS_KEY => "CONFIG_RSS_KEY",
        op::CONFIG_RSS_LUT => "CONFIG_RSS_LUT",
        op::GET_RSS_HASHCFG_CAPS => "GET_RSS_HASHCFG_CAPS",
        op::SET_RSS_HASHCFG => "SET_RSS_HASHCFG",
        op::ENABLE_VLAN_STRIPPING => "ENABLE_VLAN_STRIPPING",
        op::DISABLE_VLAN_STRIPPING => "DISABLE_VLAN_STRIPPING",
        op::REQUEST_QUEUES => "REQUEST_QUEUES",
        op::GET_SUPPORTED_RXDIDS => "GET_SUPPORTED_RXDIDS",
        op::GET_OFFLOAD_VLAN_V2_CAPS => "GET_OFFLOAD_VLAN_V2_CAPS",
        op::ADD_VLAN_V2 => "ADD_VLAN_V2",
        op::DEL_VLAN_V2 => "DEL_VLAN_V2",
        op::ENABLE_VLAN_STRIPPING_V2 => "ENABLE_VLAN_STRIPPING_V2",
        op::DISABLE_VLAN_STRIPPING_V2 => "DISABLE_VLAN_STRIPPING_V2",
        op::ENABLE_VLAN_INSERTION_V2 => "ENABLE_VLAN_INSERTION_V2",
        op::DISABLE_VLAN_INSERTION_V2 => "DISABLE_VLAN_INSERTION_V2",
        _ => "an unknown operation",
    }
}
