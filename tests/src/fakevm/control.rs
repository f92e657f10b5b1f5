//! The control queue (virtio 1.3 5.1.6.5): commands in, acknowledgements out.

use std::time::Instant;

use super::bus::Bus;
use super::error::{Error, Result};
use super::limits::CONTROL_DEADLINE;
use super::mem::Shared;
use super::memory::GuestMemory;
use super::ring::{Queue, QueueLayout, Segment};
use super::{FakeVm, NetGuest};

/// Entries of the control queue.
const CONTROL_RING: u16 = 64;
/// Where the command begins in the queue's buffer; the acknowledgement lies before it.
const COMMAND_AT: usize = 64;
/// Where results lie, if a command has any.
const RESULT_AT: usize = 32 << 10;
/// Bytes of the queue's buffer.
const BUFFER: usize = 64 << 10;
/// What the acknowledgement holds before the device writes it.
const UNWRITTEN: u8 = 0xa5;

/// Classes and commands of the control queue.
#[allow(missing_docs)]
pub mod ctrl {
    pub const RX: u8 = 0;
    pub const RX_PROMISC: u8 = 0;
    pub const RX_ALLMULTI: u8 = 1;
    pub const MAC: u8 = 1;
    pub const MAC_TABLE_SET: u8 = 0;
    pub const MAC_ADDR_SET: u8 = 1;
    pub const VLAN: u8 = 2;
    pub const VLAN_ADD: u8 = 0;
    pub const VLAN_DEL: u8 = 1;
    pub const ANNOUNCE: u8 = 3;
    pub const ANNOUNCE_ACK: u8 = 0;
    pub const MQ: u8 = 4;
    pub const MQ_VQ_PAIRS_SET: u8 = 0;
    pub const MQ_RSS_CONFIG: u8 = 1;
    pub const MQ_HASH_CONFIG: u8 = 2;
    pub const NOTF_COAL: u8 = 6;
    pub const NOTF_COAL_TX_SET: u8 = 0;
    pub const NOTF_COAL_RX_SET: u8 = 1;
    pub const NOTF_COAL_VQ_SET: u8 = 2;
    pub const NOTF_COAL_VQ_GET: u8 = 3;
    pub const STATS: u8 = 8;
    pub const STATS_QUERY: u8 = 0;
    pub const STATS_GET: u8 = 1;
    pub const GUEST_OFFLOADS: u8 = 5;
    pub const GUEST_OFFLOADS_SET: u8 = 0;
}

/// What a device says to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Done.
    Ok,
    /// Refused.
    Err,
}

/// The control queue of a device.
#[derive(Debug)]
pub struct ControlQueue {
    /// Its index.
    pub index: u16,
    pub(super) queue: Queue,
    buffer: Shared,
    gpa: u64,
}

impl ControlQueue {
    /// Takes memory for the queue.
    ///
    /// # Errors
    /// Fails when memory has no room.
    pub fn new(memory: &mut GuestMemory, index: u16, features: u64) -> Result<Self> {
        let layout = QueueLayout::alloc_for(memory, CONTROL_RING, features)?;
        let gpa = memory.alloc(BUFFER as u64, 4096)?;
        let buffer = memory.view(gpa, BUFFER)?;
        let queue = Queue::new(memory, layout, features)?;
        Ok(ControlQueue {
            index,
            queue,
            buffer,
            gpa,
        })
    }

    /// Where the queue lies.
    pub fn layout(&self) -> &QueueLayout {
        self.queue.layout()
    }

    /// The queue below, for commands that are broken on purpose.
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Its buffer and where that lies; the first 64 bytes are for the acknowledgement.
    pub fn buffer(&self) -> (&Shared, u64) {
        (&self.buffer, self.gpa)
    }

    /// `before` and `after` are bytes that the device writes before and behind the acknowledgement.
    fn push(
        &mut self,
        class: u8,
        command: u8,
        data: &[u8],
        (before, after): (usize, usize),
    ) -> Result<bool> {
        if COMMAND_AT + 2 + data.len() > RESULT_AT || before + after > BUFFER - RESULT_AT {
            return Err(Error::Unsupported(format!(
                "a command of {} bytes",
                data.len()
            )));
        }
        self.buffer.write(0, &[UNWRITTEN]);
        self.buffer.write(COMMAND_AT, &[class, command]);
        self.buffer.write(COMMAND_AT + 2, data);
        let at = self.gpa + COMMAND_AT as u64;
        let header = Segment {
            gpa: at,
            len: 2,
            device_writes: false,
        };
        let body = Segment {
            gpa: at + 2,
            len: data.len() as u32,
            device_writes: false,
        };
        let ack = Segment {
            gpa: self.gpa,
            len: 1,
            device_writes: true,
        };
        let result = |at: usize, len: usize| Segment {
            gpa: self.gpa + (RESULT_AT + at) as u64,
            len: len as u32,
            device_writes: true,
        };
        let parts = [header, body, result(0, before), ack, result(before, after)];
        let parts: Vec<Segment> = parts.into_iter().filter(|part| part.len > 0).collect();
        self.queue.push_chain(&parts)?;
        Ok(self.queue.publish())
    }

    fn take(&mut self) -> Result<Option<Ack>> {
        let Some(used) = self.queue.pop()? else {
            return Ok(None);
        };
        let mut ack = [0];
        self.buffer.read(0, &mut ack);
        match (ack, used.len) {
            ([0], 1..) => Ok(Some(Ack::Ok)),
            ([1], 1..) => Ok(Some(Ack::Err)),
            ([ack], len) => Err(Error::Device(format!(
                "acknowledgement {ack:#x} in {len} bytes"
            ))),
        }
    }
}

impl<B: Bus> FakeVm<B> {
    /// Sends one command and waits for its acknowledgement.
    ///
    /// # Errors
    /// Fails without a control queue, when the device is gone, late, or writes neither 0 nor 1.
    pub fn control(&mut self, class: u8, command: u8, data: &[u8]) -> Result<Ack> {
        self.ask(class, command, data, (0, 0)).map(|(ack, _)| ack)
    }

    /// Sends one command and waits for its acknowledgement, and for what the device writes before
    /// and behind that.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn ask(
        &mut self,
        class: u8,
        command: u8,
        data: &[u8],
        results: (usize, usize),
    ) -> Result<(Ack, Vec<u8>)> {
        let none = || Error::Unsupported("no control queue".into());
        let queue = self.control.as_mut().ok_or_else(none)?;
        let index = queue.index;
        if queue.push(class, command, data, results)? {
            self.kick(index)?;
        }
        let deadline = Instant::now() + CONTROL_DEADLINE;
        loop {
            let queue = self.control.as_mut().ok_or_else(none)?;
            if let Some(ack) = queue.take()? {
                let mut result = vec![0; results.0 + results.1];
                queue.buffer.read(RESULT_AT, &mut result);
                return Ok((ack, result));
            }
            if Instant::now() >= deadline {
                let what = format!("control command {class}/{command}");
                return Err(Error::Timeout { what });
            }
            self.breathe()?;
        }
    }

    /// Switches a receive mode, for example [`ctrl::RX_PROMISC`].
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_rx_mode(&mut self, command: u8, on: bool) -> Result<Ack> {
        self.control(ctrl::RX, command, &[on.into()])
    }

    /// Sets the tables of unicast and multicast addresses.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_mac_table(&mut self, unicast: &[[u8; 6]], multicast: &[[u8; 6]]) -> Result<Ack> {
        let mut data = Vec::new();
        for table in [unicast, multicast] {
            data.extend_from_slice(&(table.len() as u32).to_le_bytes());
            data.extend(table.iter().flatten());
        }
        self.control(ctrl::MAC, ctrl::MAC_TABLE_SET, &data)
    }

    /// Sets the device's own address.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<Ack> {
        self.control(ctrl::MAC, ctrl::MAC_ADDR_SET, &mac)
    }

    /// Adds a VLAN to the filter or takes it out.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_vlan(&mut self, vlan: u16, on: bool) -> Result<Ack> {
        let command = if on { ctrl::VLAN_ADD } else { ctrl::VLAN_DEL };
        self.control(ctrl::VLAN, command, &vlan.to_le_bytes())
    }

    /// Says how many queue pairs the driver uses.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_queue_pairs(&mut self, pairs: u16) -> Result<Ack> {
        self.control(ctrl::MQ, ctrl::MQ_VQ_PAIRS_SET, &pairs.to_le_bytes())
    }

    /// Acknowledges an announcement.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn ack_announce(&mut self) -> Result<Ack> {
        self.control(ctrl::ANNOUNCE, ctrl::ANNOUNCE_ACK, &[])
    }

    /// Chooses receive offloads, as feature bits.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_guest_offloads(&mut self, offloads: u64) -> Result<Ack> {
        let data = offloads.to_le_bytes();
        self.control(ctrl::GUEST_OFFLOADS, ctrl::GUEST_OFFLOADS_SET, &data)
    }
}
