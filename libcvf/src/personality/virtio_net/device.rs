//! Device configuration (5.1.4): read-only to the driver, readable before negotiation (2.5.2).

use super::features::bits;
use super::state::State;
use crate::limits::{RSS_KEY_SIZE, RSS_TABLE};
use crate::offload::HashTypes;
use crate::pci::{RegTable, Registers};

/// Fields of `struct virtio_net_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    Mac(u8),
    Status,
    MaxVirtqueuePairs,
    Mtu,
    Speed,
    Duplex,
    RssMaxKeySize,
    RssMaxIndirectionTableLength,
    SupportedHashTypes,
}

pub(super) const DEVICE: RegTable<Device, 14> = RegTable::new(
    24,
    [
        (Device::Mac(0), 0, 1),
        (Device::Mac(1), 1, 1),
        (Device::Mac(2), 2, 1),
        (Device::Mac(3), 3, 1),
        (Device::Mac(4), 4, 1),
        (Device::Mac(5), 5, 1),
        (Device::Status, 6, 2),
        (Device::MaxVirtqueuePairs, 8, 2),
        (Device::Mtu, 10, 2),
        (Device::Speed, 12, 4),
        (Device::Duplex, 16, 1),
        (Device::RssMaxKeySize, 17, 1),
        (Device::RssMaxIndirectionTableLength, 18, 2),
        (Device::SupportedHashTypes, 20, 4),
    ],
);

/// `VIRTIO_NET_S_LINK_UP`.
const LINK_UP: u64 = 1;
/// `VIRTIO_NET_S_ANNOUNCE`.
const ANNOUNCE: u64 = 2;
/// Unknown speed.
const SPEED_UNKNOWN: u32 = u32::MAX;
/// Full duplex as 5.1.4 describes the field and drivers take it (5.1.4.1 swaps the values).
const DUPLEX_FULL: u64 = 1;

struct Fields<'a>(&'a State);

impl State {
    /// 4.1.4.3.1: a change counts when it is read, so that eight bits of generation cannot wrap
    /// between two reads of a driver.
    pub(super) fn device_read(&mut self, at: usize, data: &mut [u8]) {
        if std::mem::take(&mut self.stale) {
            self.generation = self.generation.wrapping_add(1);
        }
        DEVICE.read(at, data, &mut Fields(self));
    }
}

impl Registers<Device> for Fields<'_> {
    fn get(&mut self, reg: Device) -> u64 {
        let state = self.0;
        let offered = |feature: u64, value: u64| {
            if state.offered & feature != 0 {
                value
            } else {
                0
            }
        };
        match reg {
            Device::Mac(i) => offered(bits::MAC, state.mac.0[usize::from(i)].into()),
            Device::Status => {
                let link = if state.link_up { LINK_UP } else { 0 };
                let announce = if state.announce { ANNOUNCE } else { 0 };
                offered(bits::STATUS, link | announce)
            }
            Device::MaxVirtqueuePairs => offered(bits::MQ | bits::RSS, state.config.shown().into()),
            Device::Mtu => offered(bits::MTU, state.config.mtu.into()),
            Device::Speed => {
                let speed = state.config.speed_mbps.unwrap_or(SPEED_UNKNOWN);
                offered(bits::SPEED_DUPLEX, speed.into())
            }
            Device::Duplex => offered(bits::SPEED_DUPLEX, DUPLEX_FULL),
            Device::RssMaxKeySize => offered(bits::RSS | bits::HASH_REPORT, RSS_KEY_SIZE as u64),
            Device::RssMaxIndirectionTableLength => offered(bits::RSS, RSS_TABLE.into()),
            Device::SupportedHashTypes => {
                offered(bits::RSS | bits::HASH_REPORT, HashTypes::ALL.0.into())
            }
        }
    }

    fn set(&mut self, _: Device, _: u64) {}
}
