//! How a device is: what its driver, its memory and its data path have come to.

use serde::{Deserialize, Serialize};

use super::{Client, none};

/// What the client's memory is to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// Shared: the data plane sees what the guest sees.
    Shared,
    /// It came without file descriptors.
    WithoutFd,
    /// It came with file descriptors of a private mapping: the data plane sees other bytes.
    NotShared,
}

impl Memory {
    /// What the operator of the device `name` can do about it.
    pub fn advice(self, name: &str) -> Option<String> {
        let what = match self {
            Self::Unknown | Self::Shared => return None,
            Self::WithoutFd => {
                "the VM's memory came without file descriptors; start it with a memfd or hugetlb backend and share=on"
            }
            Self::NotShared => {
                "the VM's memory is a private mapping, so no frame can pass; add share=on to its memory backend"
            }
        };
        Some(format!("{what} (cvfctl show {name} --qemu prints how)"))
    }
}

/// The last thing that was refused to a client or guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A sentence.
    pub what: String,
    /// Refusals of any kind so far.
    pub count: u64,
}

/// Who chooses the receive queue of a frame, and what its hash is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steering {
    /// Who set the hash's key: `default`, `guest` or `host`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key_by: String,
    /// Who set the table.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub table_by: String,
    /// An indirection table chooses; otherwise the device.
    #[serde(default)]
    pub rss: bool,
    /// Names of the hash types that the driver enabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash_types: Vec<String>,
    /// The table: receive queues by the hash's low bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<u16>,
    /// Receive queue of frames without hash, with a table.
    #[serde(default)]
    pub unclassified: u16,
}

/// How a composed device fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Connected client.
    #[serde(default, skip_serializing_if = "none")]
    pub client: Option<Client>,
    /// What the guest's driver does.
    pub driver: String,
    /// Names of the features that driver and device agreed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Of those, what is withheld meanwhile: the driver has them until it starts anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features_pending: Vec<String>,
    /// What the client's memory is to us.
    pub memory: Memory,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "none")]
    pub memory_advice: Option<String>,
    /// Last refusal.
    #[serde(default, skip_serializing_if = "none")]
    pub last_refusal: Option<Refusal>,
    /// DMA maps in force.
    pub maps: u64,
    /// Bytes they cover.
    pub mapped_bytes: u64,
    /// Queue pairs the driver uses.
    pub active_pairs: u16,
    /// Who chooses the receive queue.
    #[serde(default)]
    pub steering: Steering,
    /// Address in force; a guest may have changed it.
    pub mac: String,
    /// Link state shown to the guest.
    pub link_up: bool,
    /// A worker polls for this device.
    pub worker_polls: bool,
    /// Its own queues of hardware, where it has some.
    #[serde(default, skip_serializing_if = "none")]
    pub hardware: Option<Hardware>,
    /// Who works its rings: `copied`, `translated` or `direct`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_path: String,
    /// Why it is that one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_path_reason: String,
    /// What is not enforced, for no frame passes the daemon.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unenforced: Vec<String>,
    /// What the IOMMU refused hardware that works its rings.
    #[serde(default, skip_serializing_if = "none")]
    pub dma_faults: Option<DmaFaults>,
    /// Captures that run: so many look at its frames.
    #[serde(default)]
    pub captures: u64,
    /// Clients served so far.
    pub clients_served: u64,
    /// Connections closed because a client was there already.
    pub clients_refused: u64,
    /// How the last client's connection ended, if not by its own orderly leave.
    #[serde(default, skip_serializing_if = "none")]
    pub last_disconnect: Option<String>,
}

/// How frames reach hardware queues of a device's own, and come from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// `translated`: hardware reads and writes guest memory itself; `copied`: payload is copied on its way.
    pub mode: String,
    /// Bytes of guest memory that hardware reaches.
    pub reached_bytes: u64,
    /// Why not more.
    #[serde(default, skip_serializing_if = "none")]
    pub why: Option<String>,
    /// Bytes of payload that were copied on their way out.
    pub tx_copied_bytes: u64,
    /// And on their way in.
    pub rx_copied_bytes: u64,
}

/// DMA that the IOMMU refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmaFaults {
    /// How many faults so far.
    #[serde(default)]
    pub count: u64,
    /// The last one.
    #[serde(default, skip_serializing_if = "none")]
    pub last: Option<String>,
    /// Why they cannot be known.
    #[serde(default, skip_serializing_if = "none")]
    pub unavailable: Option<String>,
}
