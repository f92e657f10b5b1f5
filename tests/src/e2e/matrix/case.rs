//! The dimensions of the matrix, and a case: one value of each. A case has a name from which it can be had
//! again.

use anyhow::{Context, Result, bail};
use std::fmt;

/// What a sender's offloads are set to, beginning with all of them on.
pub const SENDERS: [(&str, &str); 10] = [
    ("default", ""),
    ("tso4-off", "tx-tcp-segmentation off"),
    ("tso6-off", "tx-tcp6-segmentation off"),
    ("ecn-off", "tx-tcp-ecn-segmentation off"),
    ("uso-off", "tx-udp-segmentation off"),
    ("gso-off", "tx-generic-segmentation off"),
    ("csum-off", "tx-checksum-ip-generic off"),
    ("sg-off", "tx-scatter-gather off"),
    (
        "device-cuts-nothing",
        "tx-tcp-segmentation off tx-tcp6-segmentation off tx-udp-segmentation off",
    ),
    (
        "all-off",
        "tx-tcp-segmentation off tx-tcp6-segmentation off tx-tcp-ecn-segmentation off \
         tx-udp-segmentation off tx-generic-segmentation off tx-scatter-gather off \
         tx-checksum-ip-generic off",
    ),
];

/// What a receiver's offloads are set to. With `xdp` a program that passes everything is in front of the
/// interface besides, for which the driver gives up its checksum offload, too.
pub const RECEIVERS: [(&str, &str); 5] = [
    ("default", ""),
    ("gro-off", "rx-gro off"),
    ("hw-gro-off", "rx-gro-hw off"),
    ("none", "rx-gro off rx-gro-hw off"),
    ("xdp", "rx-gro off rx-gro-hw off"),
];

/// All of them on; what a driver has before a setting is made.
pub const EVERYTHING_ON: &str = "tx-checksum-ip-generic on tx-scatter-gather on \
    tx-tcp-segmentation on tx-tcp6-segmentation on tx-tcp-ecn-segmentation on \
    tx-udp-segmentation on tx-generic-segmentation on rx-gro on rx-gro-hw on";

const TRAFFIC: [&str; 6] = ["tcp4", "tcp6", "udp4", "udp6", "gso4", "gso6"];
const MTUS: [u16; 3] = [1280, 1500, 9000];
/// 0 is the smallest that a driver takes.
const RINGS: [u16; 3] = [0, 256, 1024];
/// Format of the sender's rings, then of the receiver's.
const FORMATS: [&str; 4] = ["ss", "sp", "ps", "pp"];

/// Smallest transmit rings that Linux's driver takes: one frame in the most pieces, and of split rings
/// the next power of two.
const LEAST_TX: [u16; 2] = [32, 20];
/// Smallest receive ring with which a frame of 9,000 bytes finds room when the driver is about to fill
/// up again.
const LEAST_RX: u16 = 32;

/// Values of each dimension.
pub const LEVELS: [usize; 7] = [
    SENDERS.len(),
    RECEIVERS.len(),
    TRAFFIC.len(),
    MTUS.len(),
    RINGS.len(),
    RINGS.len(),
    FORMATS.len(),
];

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A byte stream.
    Tcp,
    /// Datagrams, those above the MTU in fragments.
    Udp,
    /// Datagrams cut from large sends.
    Gso,
}

/// One value of each dimension, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case([usize; LEVELS.len()]);

impl Case {
    /// The case of a row of positions.
    ///
    /// # Errors
    /// If there is no such position.
    pub fn of(row: &[usize]) -> Result<Self> {
        let row: [usize; LEVELS.len()] = row.try_into().context("one value a dimension")?;
        if row.iter().zip(LEVELS).any(|(value, of)| *value >= of) {
            bail!("no such case: {row:?}");
        }
        Ok(Case(row))
    }

    /// The case with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        let mut row = Vec::new();
        for (dimension, part) in parts.iter().enumerate() {
            let values =
                (0..LEVELS.get(dimension).copied().unwrap_or(0)).map(|v| value(dimension, v));
            let at = values.clone().position(|v| v == *part);
            row.push(at.with_context(|| {
                let known: Vec<String> = values.collect();
                format!("'{part}' in '{name}' is none of {}", known.join(", "))
            })?);
        }
        Case::of(&row)
    }

    /// `ethtool -K` words of the sender.
    #[must_use]
    pub fn sender(&self) -> &'static str {
        SENDERS[self.0[0]].1
    }

    /// `ethtool -K` words of the receiver.
    #[must_use]
    pub fn receiver(&self) -> &'static str {
        RECEIVERS[self.0[1]].1
    }

    /// A program is in front of the receiver's interface.
    #[must_use]
    pub fn xdp(&self) -> bool {
        RECEIVERS[self.0[1]].0 == "xdp"
    }

    /// Nothing at the receiver may join packets, and the device must have cut them.
    #[must_use]
    pub fn cut(&self) -> bool {
        self.receiver() == RECEIVERS[3].1
    }

    /// What is sent.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        [Protocol::Tcp, Protocol::Udp, Protocol::Gso][self.0[2] / 2]
    }

    /// Over IPv6.
    #[must_use]
    pub fn v6(&self) -> bool {
        self.0[2] % 2 == 1
    }

    /// MTU of both ends.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        MTUS[self.0[3]]
    }

    /// Entries of the sender's transmit rings.
    #[must_use]
    pub fn tx_ring(&self) -> u16 {
        match RINGS[self.0[4]] {
            0 => LEAST_TX[usize::from(self.packed().0)],
            size => size,
        }
    }

    /// Entries of the receiver's receive rings.
    #[must_use]
    pub fn rx_ring(&self) -> u16 {
        RINGS[self.0[5]].max(LEAST_RX)
    }

    /// Whether sender and receiver have packed rings.
    #[must_use]
    pub fn packed(&self) -> (bool, bool) {
        (self.0[6] / 2 == 1, self.0[6] % 2 == 1)
    }
}

fn value(dimension: usize, value: usize) -> String {
    match dimension {
        0 => SENDERS[value].0.into(),
        1 => RECEIVERS[value].0.into(),
        2 => TRAFFIC[value].into(),
        3 => format!("mtu{}", MTUS[value]),
        4 | 5 => {
            let which = if dimension == 4 { "tx" } else { "rx" };
            match RINGS[value] {
                0 => format!("{which}-least"),
                size => format!("{which}{size}"),
            }
        }
        _ => FORMATS[value].into(),
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .enumerate()
            .map(|(dimension, v)| value(dimension, *v))
            .collect();
        f.write_str(&parts.join("/"))
    }
}

#[cfg(test)]
mod tests;
