//! What is measured, as data.

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContenderId {
    /// DPDK `testpmd`, io forwarding between two vhost-user ports, one core.
    Testpmd,
    /// mdevd with trapped doorbells, one worker.
    MdevdTrapped,
    /// mdevd with mapped doorbells, one worker.
    MdevdMapped,
    /// Nobody: a bare copy in the driver's thread. Shows what the driver itself costs.
    Model,
}

impl ContenderId {
    /// Name in tables and results.
    pub fn name(self) -> &'static str {
        match self {
            ContenderId::Testpmd => "testpmd",
            ContenderId::MdevdTrapped => "mdevd-trapped",
            ContenderId::MdevdMapped => "mdevd-mapped",
            ContenderId::Model => "bare-copy",
        }
    }
}

/// What two guests do.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Name in results.
    pub name: &'static str,
    /// Bytes of a frame on a wire, with the 4 bytes of its check sequence, which rings never
    /// carry (RFC 2544).
    pub wire_len: usize,
    /// Whether both guests send, or the first alone.
    pub both_ways: bool,
}

/// One line of the table: how we do beside a peer.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name in results and on the command line.
    pub name: &'static str,
    /// Name of its [`Workload`].
    pub workload: &'static str,
    /// Whom it is about.
    pub ours: ContenderId,
    /// Whom that is compared with.
    pub peer: ContenderId,
    /// Least ratio of medians, ours to the peer's, that is good enough.
    pub bar: f64,
}

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "64B-one-way",
        wire_len: 64,
        both_ways: false,
    },
    Workload {
        name: "64B-both-ways",
        wire_len: 64,
        both_ways: true,
    },
    Workload {
        name: "1518B-one-way",
        wire_len: 1518,
        both_ways: false,
    },
    Workload {
        name: "1518B-both-ways",
        wire_len: 1518,
        both_ways: true,
    },
];

macro_rules! rows {
    ($($name:literal: $workload:literal, $ours:ident, $peer:ident, $bar:literal;)*) => {
        /// All rows.
        pub const ROWS: &[Row] = &[$(Row {
            name: $name,
            workload: $workload,
            ours: ContenderId::$ours,
            peer: ContenderId::$peer,
            bar: $bar,
        }),*];
    };
}

rows! {
    "fps-64B-one-way-trapped": "64B-one-way", MdevdTrapped, Testpmd, 1.0;
    "fps-64B-one-way-mapped": "64B-one-way", MdevdMapped, Testpmd, 1.0;
    "fps-64B-both-ways-trapped": "64B-both-ways", MdevdTrapped, Testpmd, 1.0;
    "fps-64B-both-ways-mapped": "64B-both-ways", MdevdMapped, Testpmd, 1.0;
    "fps-1518B-one-way-trapped": "1518B-one-way", MdevdTrapped, Testpmd, 1.0;
    "fps-1518B-one-way-mapped": "1518B-one-way", MdevdMapped, Testpmd, 1.0;
    "fps-1518B-both-ways-trapped": "1518B-both-ways", MdevdTrapped, Testpmd, 1.0;
    "fps-1518B-both-ways-mapped": "1518B-both-ways", MdevdMapped, Testpmd, 1.0;
    // The driver must not be what limits either side.
    "driver-64B-one-way": "64B-one-way", Model, Testpmd, 2.0;
    "driver-64B-both-ways": "64B-both-ways", Model, Testpmd, 2.0;
    "driver-1518B-one-way": "1518B-one-way", Model, Testpmd, 2.0;
    "driver-1518B-both-ways": "1518B-both-ways", Model, Testpmd, 2.0;
}
