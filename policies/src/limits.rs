//! Every limit of this crate, named once.

/// Longest text of a profile that is read, in bytes.
pub const MAX_PROFILE: usize = 64 << 10;
/// Longest name of a profile, in bytes.
pub const MAX_PROFILE_NAME: usize = 32;
/// Longest description of a profile, in characters.
pub const MAX_DESCRIPTION: usize = 200;
/// Most entries of a list in a profile.
pub const MAX_ENTRIES: usize = 64;
/// Most faults that the refusal of a profile tells.
pub const MAX_FAULTS: usize = 16;
/// Longest value of a profile that is looked at, or repeated in a refusal, in characters.
pub const MAX_SHOWN: usize = 64;
/// Longest text of a request, in bytes.
pub const MAX_REQUEST: usize = 8 << 10;
/// Most addresses of one kind that a text of a request names: enough to ask for more than any filter
/// holds.
pub const MAX_REQUEST_MACS: usize = 256;
/// Most entries of the indirection table that a text of a request stands for, for the same reason.
pub const MAX_REQUEST_TABLE: usize = 1024;
/// Addresses of a list that a sentence repeats.
pub const MAX_TOLD: usize = 4;
/// VLANs that a guest may have joined where its profile does not say: as many as drivers of network cards let a
/// function that is not trusted have.
pub const DEFAULT_VLANS: u16 = 8;
/// Highest rate in Mbit/s.
pub const MAX_MBIT: u32 = 1_000_000;
/// Highest rate in frames per second.
pub const MAX_FRAMES: u32 = 1_000_000_000;
/// Highest rate of a guest's requests or resets.
pub const MAX_EVENTS: u32 = 1_000_000;
/// Longest time for which a rate may be exceeded, in milliseconds.
pub const MAX_BURST_MILLISECONDS: u16 = 1000;
