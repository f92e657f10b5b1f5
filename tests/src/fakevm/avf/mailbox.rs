//! The admin queues of an AVF function as its driver has them: messages out, messages in.
//!
//! The device has taken a message when ATQH has passed it, and has left one when ARQH has passed it: flags in
//! descriptors are not looked at for that, as Linux's driver does not.

use std::time::Instant;

use super::registers::{Registers, len, reg};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::VIRTCHNL_DEADLINE;
use crate::fakevm::mem::Shared;
use crate::fakevm::memory::GuestMemory;

/// Entries of each queue.
pub const ENTRIES: u16 = 32;
/// Bytes of the buffer of each entry.
pub const BUFFER: usize = 4096;
/// Bytes of a descriptor.
const DESCRIPTOR: usize = 32;
/// Buffers beyond this size are said to be large.
const LARGE: usize = 512;

/// Bits of [`Descriptor::flags`].
#[allow(missing_docs)]
pub mod flag {
    pub const DD: u16 = 1;
    pub const CMP: u16 = 2;
    pub const ERR: u16 = 4;
    pub const LB: u16 = 0x200;
    pub const RD: u16 = 0x400;
    pub const BUF: u16 = 0x1000;
    pub const SI: u16 = 0x2000;
}

/// Values of [`Descriptor::opcode`].
#[allow(missing_docs)]
pub mod opcode {
    pub const QUEUE_SHUTDOWN: u16 = 0x0003;
    pub const TO_PF: u16 = 0x0801;
    pub const TO_VF: u16 = 0x0802;
}

/// A descriptor of either queue, with nothing that keeps it from being wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// See [`flag`].
    pub flags: u16,
    /// See [`opcode`].
    pub opcode: u16,
    /// Bytes in the buffer, or of it.
    pub datalen: u16,
    /// What became of it.
    pub retval: u16,
    /// The operation of virtchnl.
    pub cookie_high: u32,
    /// Its status.
    pub cookie_low: u32,
    /// Not used by messages.
    pub param0: u32,
    /// Not used by messages.
    pub param1: u32,
    /// Where the buffer lies.
    pub address: u64,
}

impl Descriptor {
    /// A message for the PF with a body of `len` bytes; where that lies is filled in when it is put.
    pub fn message(op: u32, len: usize) -> Self {
        let mut flags = flag::SI;
        if len > 0 {
            flags |= flag::BUF | flag::RD;
        }
        if len > LARGE {
            flags |= flag::LB;
        }
        Descriptor {
            flags,
            opcode: opcode::TO_PF,
            datalen: len as u16,
            cookie_high: op,
            ..Descriptor::default()
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> [u8; DESCRIPTOR] {
        let mut out = [0; DESCRIPTOR];
        let halves = [self.flags, self.opcode, self.datalen, self.retval];
        for (to, half) in out.chunks_exact_mut(2).zip(halves) {
            to.copy_from_slice(&half.to_le_bytes());
        }
        let words = [
            self.cookie_high,
            self.cookie_low,
            self.param0,
            self.param1,
            (self.address >> 32) as u32,
            self.address as u32,
        ];
        for (to, word) in out[8..].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Reads it.
    pub fn decode(bytes: &[u8; DESCRIPTOR]) -> Self {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        Descriptor {
            flags: half(0),
            opcode: half(2),
            datalen: half(4),
            retval: half(6),
            cookie_high: word(8),
            cookie_low: word(12),
            param0: word(16),
            param1: word(20),
            address: u64::from(word(24)) << 32 | u64::from(word(28)),
        }
    }
}

/// A message of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The operation.
    pub op: u32,
    /// What became of it, see [`Status`](super::Status).
    pub status: i32,
    /// What comes with it.
    pub body: Vec<u8>,
}

/// Where the registers of one queue are.
#[derive(Clone, Copy, Debug)]
struct Place {
    low: u64,
    high: u64,
    len: u64,
    head: u64,
    tail: u64,
}

const SEND: Place = Place {
    low: reg::ATQBAL,
    high: reg::ATQBAH,
    len: reg::ATQLEN,
    head: reg::ATQH,
    tail: reg::ATQT,
};

const RECEIVE: Place = Place {
    low: reg::ARQBAL,
    high: reg::ARQBAH,
    len: reg::ARQLEN,
    head: reg::ARQH,
    tail: reg::ARQT,
};

/// One of the two queues.
#[derive(Debug)]
struct Queue {
    place: Place,
    ring: Shared,
    base: u64,
    buffers: Shared,
    buffers_base: u64,
    /// The entry that the driver has its hands on next.
    next: u16,
}

impl Queue {
    fn new(memory: &mut GuestMemory, place: Place) -> Result<Self> {
        let (ring, buffers) = (
            usize::from(ENTRIES) * DESCRIPTOR,
            usize::from(ENTRIES) * BUFFER,
        );
        let base = memory.alloc(ring as u64, 4096)?;
        let buffers_base = memory.alloc(buffers as u64, 4096)?;
        let queue = Queue {
            place,
            ring: memory.view(base, ring)?,
            base,
            buffers: memory.view(buffers_base, buffers)?,
            buffers_base,
            next: 0,
        };
        queue.ring.fill(0, ring, 0);
        Ok(queue)
    }

    /// Tells the device where the queue lies, in the order of Linux's driver: enabled before its place is known.
    fn start(&self, bus: &mut dyn Bus, registers: Registers, tail: u16) -> Result<()> {
        let low = self.base as u32;
        registers.write(bus, self.place.head, 0)?;
        registers.write(bus, self.place.tail, 0)?;
        let enabled = u32::from(ENTRIES) | len::ENABLE;
        registers.write(bus, self.place.len, enabled)?;
        registers.write(bus, self.place.low, low)?;
        registers.write(bus, self.place.high, (self.base >> 32) as u32)?;
        if tail != 0 {
            registers.write(bus, self.place.tail, tail.into())?;
        }
        let found = registers.read(bus, self.place.low)?;
        if found != low {
            return Err(Error::Device(format!(
                "register {:#x} reads {found:#x} and not {low:#x}",
                self.place.low
            )));
        }
        Ok(())
    }

    fn stop(&self, bus: &mut dyn Bus, registers: Registers) -> Result<()> {
        let Place {
            low,
            high,
            len,
            head,
            tail,
        } = self.place;
        for at in [head, tail, len, low, high] {
            registers.write(bus, at, 0)?;
        }
        Ok(())
    }

    fn head(&self, bus: &mut dyn Bus, registers: Registers) -> Result<u16> {
        let head = registers.read(bus, self.place.head)?;
        match u16::try_from(head) {
            Ok(head) if head < ENTRIES => Ok(head),
            _ => Err(Error::Device(format!("a mailbox's head of {head:#x}"))),
        }
    }

    fn buffer(&self, index: u16) -> (usize, u64) {
        let at = usize::from(index) * BUFFER;
        (at, self.buffers_base + at as u64)
    }

    fn write(&self, index: u16, descriptor: &Descriptor) {
        let at = usize::from(index) * DESCRIPTOR;
        self.ring.write(at, &descriptor.encode());
    }

    fn read(&self, index: u16) -> Descriptor {
        let mut bytes = [0; DESCRIPTOR];
        self.ring.read(usize::from(index) * DESCRIPTOR, &mut bytes);
        Descriptor::decode(&bytes)
    }
}

/// Both queues.
#[derive(Debug)]
pub struct Mailbox {
    registers: Registers,
    send: Queue,
    receive: Queue,
}

impl Mailbox {
    /// Takes memory for both queues and tells the device where they are.
    ///
    /// # Errors
    /// Fails when memory has no room, or a register does not read back as it was written.
    pub fn start(
        memory: &mut GuestMemory,
        bus: &mut dyn Bus,
        registers: Registers,
    ) -> Result<Self> {
        let mailbox = Mailbox {
            registers,
            send: Queue::new(memory, SEND)?,
            receive: Queue::new(memory, RECEIVE)?,
        };
        for index in 0..ENTRIES {
            mailbox.offer(index);
        }
        mailbox.send.start(bus, registers, 0)?;
        mailbox.receive.start(bus, registers, ENTRIES - 1)?;
        Ok(mailbox)
    }

    /// Tells the device that the driver goes away, and waits until it has heard it.
    ///
    /// # Errors
    /// Fails when it takes no messages, or whoever has the function refuses.
    pub fn shut_down(&mut self, bus: &mut dyn Bus) -> Result<()> {
        let goodbye = Descriptor {
            flags: flag::SI,
            opcode: opcode::QUEUE_SHUTDOWN,
            param0: 1,
            ..Descriptor::default()
        };
        self.send_as(bus, goodbye, &[])?;
        let deadline = Instant::now() + VIRTCHNL_DEADLINE;
        while !self.is_done(bus)? {
            if Instant::now() >= deadline {
                let what = "the mailbox to shut down".into();
                return Err(Error::Timeout { what });
            }
            std::thread::yield_now();
        }
        self.stop(bus)
    }

    /// Takes both queues from the device.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn stop(&self, bus: &mut dyn Bus) -> Result<()> {
        self.send.stop(bus, self.registers)?;
        self.receive.stop(bus, self.registers)
    }

    /// Whether the device says that the receive queue is enabled, which a reset ends.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn is_enabled(bus: &mut dyn Bus, registers: Registers) -> Result<bool> {
        Ok(registers.read(bus, reg::ARQLEN)? & len::ENABLE != 0)
    }

    /// Whether the device has taken everything that was sent.
    ///
    /// # Errors
    /// Fails when the head is none of the queue, or whoever has the function refuses.
    pub fn is_done(&self, bus: &mut dyn Bus) -> Result<bool> {
        Ok(self.send.head(bus, self.registers)? == self.send.next)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Fails when it is too long or the queue is full.
    pub fn send(&mut self, bus: &mut dyn Bus, op: u32, body: &[u8]) -> Result<()> {
        self.send_as(bus, Descriptor::message(op, body.len()), body)
    }

    /// The same with another descriptor; where the body lies is filled in if there is one.
    ///
    /// # Errors
    /// As [`Mailbox::send`].
    pub fn send_as(&mut self, bus: &mut dyn Bus, what: Descriptor, body: &[u8]) -> Result<()> {
        let head = self.send.head(bus, self.registers)?;
        if (self.send.next + 1) % ENTRIES == head {
            return Err(Error::Device("the device takes no messages".into()));
        }
        self.put(what, body)?;
        self.ring(bus)
    }

    /// Puts a message without a look whether there is room, and without a word to the device.
    ///
    /// # Errors
    /// Fails when it is longer than a buffer.
    pub fn put(&mut self, what: Descriptor, body: &[u8]) -> Result<()> {
        if body.len() > BUFFER {
            let len = body.len();
            return Err(Error::Unsupported(format!("a message of {len} bytes")));
        }
        let index = self.send.next;
        let (at, address) = self.send.buffer(index);
        let mut what = what;
        if !body.is_empty() {
            self.send.buffers.write(at, body);
            what.address = address;
        }
        self.send.write(index, &what);
        self.send.next = (index + 1) % ENTRIES;
        Ok(())
    }

    /// Puts a descriptor exactly as it is, address included.
    pub fn put_raw(&mut self, what: &Descriptor) {
        self.send.write(self.send.next, what);
        self.send.next = (self.send.next + 1) % ENTRIES;
    }

    /// Tells the device how far there are messages.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn ring(&self, bus: &mut dyn Bus) -> Result<()> {
        let next = self.send.next.into();
        self.registers.write(bus, self.send.place.tail, next)
    }

    /// Takes the next message of the device, and gives its buffer back.
    ///
    /// # Errors
    /// Fails when it is none, or longer than its buffer.
    pub fn take(&mut self, bus: &mut dyn Bus) -> Result<Option<Message>> {
        let index = self.receive.next;
        if self.receive.head(bus, self.registers)? == index {
            return Ok(None);
        }
        let found = self.receive.read(index);
        let len = usize::from(found.datalen);
        if found.flags & flag::ERR != 0 || found.opcode != opcode::TO_VF || len > BUFFER {
            return Err(Error::Device(format!("no message: {found:?}")));
        }
        let mut body = vec![0; len];
        self.receive
            .buffers
            .read(self.receive.buffer(index).0, &mut body);
        self.offer(index);
        // The tail is the last buffer of the device's, not the one behind it.
        let tail = self.receive.place.tail;
        self.registers.write(bus, tail, index.into())?;
        self.receive.next = (index + 1) % ENTRIES;
        Ok(Some(Message {
            op: found.cookie_high,
            status: found.cookie_low as i32,
            body,
        }))
    }

    /// Descriptors in guest memory and where they lie: those to send, those to receive.
    pub fn rings(&self) -> [(&Shared, u64); 2] {
        [
            (&self.send.ring, self.send.base),
            (&self.receive.ring, self.receive.base),
        ]
    }

    /// Writes a descriptor of the receive queue.
    fn offer(&self, index: u16) {
        let descriptor = Descriptor {
            flags: flag::BUF | flag::LB,
            datalen: BUFFER as u16,
            address: self.receive.buffer(index).1,
            ..Descriptor::default()
        };
        self.receive.write(index, &descriptor);
    }
}
