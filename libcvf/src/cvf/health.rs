//! What an operator wants to know about a device.

use crate::control::MacAddr;
use crate::dataplane::SteeringState;
use crate::pf::direct::DmaFaults;

/// Whether the guest's memory can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// No driver has placed a ring yet.
    #[default]
    Unknown,
    /// Rings were found where the driver put them.
    Shared,
    /// The client mapped the guest's memory without a file descriptor.
    WithoutFd,
    /// The client gave a descriptor, but the guest writes elsewhere: its memory is private.
    NotShared,
}

impl Memory {
    /// As shown to the operator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Shared => "shared",
            Self::WithoutFd => "without-fd",
            Self::NotShared => "not-shared",
        }
    }
}

/// Something the device refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A sentence about the last one.
    pub what: String,
    /// How many there were since the client connected.
    pub count: u64,
}

/// How frames reach hardware queues of a device's own, and come from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwarePath {
    /// Bytes of guest memory that its hardware reaches itself; 0: all payload is copied.
    pub reached: u64,
    /// Why not more.
    pub unreached: Option<String>,
    /// Bytes of payload that were copied on their way out.
    pub copied_out: u64,
    /// And on their way in.
    pub copied_in: u64,
}

/// A device's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// "no driver", "acknowledged", "features agreed", "running", "driver gave up", "needs reset".
    pub driver: &'static str,
    /// Why it needs a reset.
    pub reason: Option<String>,
    /// Negotiated features.
    pub features: u64,
    /// Their names.
    pub feature_names: Vec<&'static str>,
    /// The guest's memory.
    pub memory: Memory,
    /// The last refusal.
    pub last_refusal: Option<Refusal>,
    /// DMA maps.
    pub maps: usize,
    /// Bytes of guest memory mapped.
    pub mapped_bytes: u64,
    /// Queue pairs in use.
    pub active_pairs: u16,
    /// Who chooses the receive queue, and how.
    pub steering: SteeringState,
    /// Features agreed on that the operator withholds meanwhile: the driver has them until it starts anew.
    pub pending_features: Vec<&'static str>,
    /// Queue pairs of the slice.
    pub queue_pairs: u16,
    /// The device's address at present.
    pub mac: MacAddr,
    /// Link as the driver sees it.
    pub link_up: bool,
    /// A worker polls for it (mapped doorbells and a running driver).
    pub worker_polls: bool,
    /// Its hardware queues, where it has its own.
    pub hardware: Option<HardwarePath>,
    /// "copied", "translated" (payload goes by hardware's DMA), "direct" (hardware works its rings).
    pub data_path: &'static str,
    /// Why it is that one.
    pub data_path_reason: String,
    /// What of its policy nobody enforces on that path.
    pub unenforced: Vec<&'static str>,
    /// DMA that was stopped on its way, where the guest names addresses to hardware itself.
    pub dma_faults: Option<DmaFaults>,
}
