//! Both admin queues of an adaptive virtual function in guest memory: its mailbox.
//!
//! A descriptor is loaded once and its buffer copied before either is looked at; what is written back is made of
//! the copy. Heads are what `ATQH` and `ARQH` read, and only moved by who writes these and by messages: a queue that is
//! taken away keeps its own, so that a driver whose function was reset under it still finds the last message, and one that is
//! placed anew goes on where it was, as hardware's do. Nothing is kept of what a driver sends; of what it is sent, a backlog of
//! [`MAILBOX_BACKLOG`] messages.

mod descriptor;

use std::collections::VecDeque;

use crate::limits::{MAILBOX_BACKLOG, MAX_MAILBOX_MESSAGE};
use crate::mem::{Regions, TranslateError};
use crate::sync::atomic::{Ordering, fence};
use descriptor::{Descriptor, Fault, flags, opcode};

/// Where a driver placed an admin queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxPlace {
    /// Descriptors, 1 to 1023.
    pub size: u16,
    /// Guest physical address of the first.
    pub base: u64,
}

/// Which of the two admin queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxSide {
    /// ATQ: driver to device.
    Send,
    /// ARQ: device to driver.
    Receive,
}

/// A message of the driver, copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxMessage {
    /// `VIRTCHNL_OP_*`, untrusted.
    pub opcode: u32,
    /// At most [`MAX_MAILBOX_MESSAGE`] of them, untrusted.
    pub bytes: Vec<u8>,
}

/// A message for the driver: an answer or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxReply {
    /// `VIRTCHNL_OP_*`.
    pub opcode: u32,
    /// `VIRTCHNL_STATUS_*`: 0, or an error, which is negative.
    pub status: i32,
    /// At most [`MAX_MAILBOX_MESSAGE`] of them; what is more is cut off.
    pub bytes: Vec<u8>,
}

/// Why an admin queue cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// Its memory is not mapped at present; it may come back, and nothing is lost until then.
    #[error("descriptor {index} of the {side} queue: {source}")]
    Away {
        /// Which queue.
        side: MailboxSide,
        /// The descriptor.
        index: u16,
        /// Why.
        source: TranslateError,
    },
    /// The tail lies outside of it.
    #[error("the tail {tail} of the {side} queue is beyond its {size} descriptors")]
    Tail {
        /// Which queue.
        side: MailboxSide,
        /// What the driver wrote.
        tail: u16,
        /// Descriptors.
        size: u16,
    },
}

impl std::fmt::Display for MailboxSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Send => "mailbox's send",
            Self::Receive => "mailbox's receive",
        })
    }
}

/// One of the queues.
#[derive(Debug)]
struct Queue {
    side: MailboxSide,
    place: Option<MailboxPlace>,
    head: u16,
}

/// The next descriptor of a queue, copied.
struct Next {
    place: MailboxPlace,
    descriptor: Descriptor,
}

impl Queue {
    const fn new(side: MailboxSide) -> Self {
        Self {
            side,
            place: None,
            head: 0,
        }
    }

    fn put(&mut self, place: Option<MailboxPlace>) {
        self.place = place.filter(|place| place.size > 0);
        self.move_to(self.head);
    }

    /// A position beyond the queue is none.
    fn move_to(&mut self, head: u16) {
        let beyond = self.place.is_some_and(|place| head >= place.size);
        self.head = if beyond { 0 } else { head };
    }

    fn away(&self, source: TranslateError) -> MailboxError {
        MailboxError::Away {
            side: self.side,
            index: self.head,
            source,
        }
    }

    fn at(&self, place: MailboxPlace) -> u64 {
        let skip = u64::from(self.head) * Descriptor::BYTES as u64;
        place.base.wrapping_add(skip)
    }

    /// What lies at the head, unless that is the tail.
    fn next(&self, regions: &Regions, tail: u16) -> Result<Option<Next>, MailboxError> {
        let Some(place) = self.place else {
            return Ok(None);
        };
        if tail >= place.size {
            return Err(MailboxError::Tail {
                side: self.side,
                tail,
                size: place.size,
            });
        }
        if tail == self.head {
            return Ok(None);
        }
        let mut bytes = [0; Descriptor::BYTES];
        read(regions, self.at(place), &mut bytes).map_err(|source| self.away(source))?;
        let descriptor = Descriptor::decode(&bytes);
        Ok(Some(Next { place, descriptor }))
    }

    /// Gives the descriptor at the head back to the driver.
    fn give_back(
        &mut self,
        regions: &Regions,
        place: MailboxPlace,
        bytes: &[u8],
    ) -> Result<(), MailboxError> {
        // What is in the buffer is there before the descriptor says so.
        fence(Ordering::Release);
        write(regions, self.at(place), bytes).map_err(|source| self.away(source))?;
        let next = self.head + 1;
        self.head = if next == place.size { 0 } else { next };
        Ok(())
    }
}

/// Both admin queues of a function.
#[derive(Debug)]
pub struct Mailbox {
    send: Queue,
    receive: Queue,
    backlog: VecDeque<MailboxReply>,
    lost: u64,
    malformed: u64,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Mailbox {
    /// Of a function whose driver has placed neither queue.
    pub const fn new() -> Self {
        Self {
            send: Queue::new(MailboxSide::Send),
            receive: Queue::new(MailboxSide::Receive),
            backlog: VecDeque::new(),
            lost: 0,
            malformed: 0,
        }
    }

    /// Places a queue; `None` takes it away. Its head stays where it is, in a queue that has room for it. What waits for
    /// the driver is forgotten when its receive queue is.
    pub fn place(&mut self, side: MailboxSide, place: Option<MailboxPlace>) {
        match side {
            MailboxSide::Send => self.send.put(place),
            MailboxSide::Receive => {
                self.receive.put(place);
                self.backlog.clear();
            }
        }
    }

    /// As [`Self::place`], for the queue that the driver sends by.
    pub fn place_send(&mut self, place: Option<MailboxPlace>) {
        self.place(MailboxSide::Send, place);
    }

    /// As [`Self::place`], for the queue that the driver receives by.
    pub fn place_receive(&mut self, place: Option<MailboxPlace>) {
        self.place(MailboxSide::Receive, place);
    }

    /// The driver wrote `ATQH` or `ARQH`.
    pub fn set_head(&mut self, side: MailboxSide, head: u16) {
        match side {
            MailboxSide::Send => self.send.move_to(head),
            MailboxSide::Receive => self.receive.move_to(head),
        }
    }

    /// What `ATQH` or `ARQH` reads.
    pub const fn head(&self, side: MailboxSide) -> u16 {
        match side {
            MailboxSide::Send => self.send.head,
            MailboxSide::Receive => self.receive.head,
        }
    }

    /// True while either queue is placed.
    pub const fn is_placed(&self) -> bool {
        self.send.place.is_some() || self.receive.place.is_some()
    }

    /// Messages that the driver never got, because it posted too few buffers, or too small ones.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Messages of the driver that were none, or lay where there is no memory: it has an error for each.
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// True while messages wait for buffers.
    pub fn waits(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The driver's next message before `tail`. What is none is completed with an error, or, where it is the
    /// driver's farewell (0x0003), without one.
    ///
    /// # Errors
    /// [`MailboxError`]; the message that was next still is.
    pub fn take(
        &mut self,
        regions: &Regions,
        tail: u16,
    ) -> Result<Option<MailboxMessage>, MailboxError> {
        // The tail is fixed and inside the queue: at most one turn.
        while let Some(Next { place, descriptor }) = self.send.next(regions, tail)? {
            let read = match descriptor.opcode {
                opcode::SEND_TO_PF => copied(regions, &descriptor).map(Some),
                opcode::QUEUE_SHUTDOWN => Ok(None),
                _ => Err(Fault::Invalid),
            };
            let done = descriptor.completed(read.as_ref().err().copied());
            self.send.give_back(regions, place, &done)?;
            self.malformed = self.malformed.saturating_add(u64::from(read.is_err()));
            if let Ok(Some(bytes)) = read {
                let opcode = descriptor.cookie_high;
                return Ok(Some(MailboxMessage { opcode, bytes }));
            }
        }
        Ok(None)
    }

    /// Sends the driver a message: now, if it has posted a buffer before `tail`, else as soon as it has. True
    /// when something was written: an interrupt is due. Without a receive queue nobody is there to get it.
    ///
    /// # Errors
    /// [`MailboxError`]; the message waits.
    pub fn post(
        &mut self,
        regions: &Regions,
        tail: u16,
        message: &MailboxReply,
    ) -> Result<bool, MailboxError> {
        if self.receive.place.is_none() {
            return Ok(false);
        }
        if self.backlog.len() < MAILBOX_BACKLOG {
            self.backlog.push_back(message.clone());
        } else {
            self.lost = self.lost.saturating_add(1);
        }
        self.flush(regions, tail)
    }

    /// Sends what waits, as far as there are buffers before `tail`. True when something was written.
    ///
    /// # Errors
    /// [`MailboxError`]; what was not sent waits.
    pub fn flush(&mut self, regions: &Regions, tail: u16) -> Result<bool, MailboxError> {
        let mut written = false;
        while let Some(message) = self.backlog.front() {
            let Some(Next { place, descriptor }) = self.receive.next(regions, tail)? else {
                break;
            };
            let len = message.bytes.len().min(MAX_MAILBOX_MESSAGE);
            let filled = fill(regions, &descriptor, &message.bytes[..len]);
            let done = match filled {
                Ok(()) => descriptor.filled(message.opcode, message.status, len as u16),
                Err(fault) => descriptor.failed(fault),
            };
            self.receive.give_back(regions, place, &done)?;
            self.backlog.pop_front();
            self.lost = self.lost.saturating_add(u64::from(filled.is_err()));
            written = true;
        }
        Ok(written)
    }
}

/// The buffer of a message; empty where it has none.
fn copied(regions: &Regions, descriptor: &Descriptor) -> Result<Vec<u8>, Fault> {
    let len = usize::from(descriptor.datalen);
    if descriptor.flags & flags::BUF == 0 {
        return Ok(Vec::new());
    }
    if len > MAX_MAILBOX_MESSAGE {
        return Err(Fault::Invalid);
    }
    let mut bytes = vec![0; len];
    read(regions, descriptor.address(), &mut bytes).map_err(|_| Fault::Address)?;
    Ok(bytes)
}

/// Puts a message into the buffer that the driver posted.
fn fill(regions: &Regions, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Fault> {
    let has_buffer = descriptor.flags & flags::BUF != 0;
    let room = if has_buffer { descriptor.datalen } else { 0 };
    if bytes.len() > usize::from(room) {
        return Err(Fault::TooSmall);
    }
    write(regions, descriptor.address(), bytes).map_err(|_| Fault::Address)
}

fn read(regions: &Regions, address: u64, into: &mut [u8]) -> Result<(), TranslateError> {
    let mut at = 0;
    regions.readable(address, into.len() as u64, |piece| {
        at += piece.read(&mut into[at..]);
        true
    })?;
    Ok(())
}

fn write(regions: &Regions, address: u64, bytes: &[u8]) -> Result<(), TranslateError> {
    let mut left = bytes;
    regions.writable(address, bytes.len() as u64, |to| {
        let written = to.write(left);
        left = &left[written..];
        true
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
