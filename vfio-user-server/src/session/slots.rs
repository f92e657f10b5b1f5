//! Requests that have been taken up and not yet answered, in their order.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::request::Token;
use crate::wire::{
    Command, DmaUnmapBody, FeatureOperation, Header, IoFdsBody, MultiWrite, RegionAccessBody,
};

/// What has to be done when a request is answered.
#[derive(Debug)]
pub(super) enum Pending {
    DmaMap {
        address: u64,
    },
    DmaUnmap(DmaUnmapBody),
    RegionIoFds(IoFdsBody),
    RegionRead(RegionAccessBody),
    RegionWrite(RegionAccessBody),
    Multi {
        next: VecDeque<MultiWrite>,
        total: u64,
    },
    Feature {
        flags: u32,
        operation: FeatureOperation,
        data: Vec<u8>,
        max_data: u32,
    },
    MigrationRead(u32),
    // SET_IRQS, RESET, MIG_DATA_WRITE: a reply without body.
    Plain,
}

/// Which later requests may be delivered while this one is deferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Region accesses and questions: all.
    Access,
    /// DMA_UNMAP of a range: further ones.
    Unmap,
    /// Whatever changes the state that later requests are judged by: none.
    Exclusive,
}

/// A complete reply.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) fds: Vec<Arc<OwnedFd>>,
}

#[derive(Debug)]
enum State {
    Waiting {
        token: Token,
        class: Class,
        reserved: usize,
        pending: Pending,
    },
    Answered(Option<Outgoing>),
}

#[derive(Debug)]
struct Slot {
    header: Header,
    state: State,
}

/// A request whose answer has arrived.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) index: usize,
    pub(super) header: Header,
    pub(super) pending: Pending,
}

/// The requests between dispatch and reply. Keeps their order, whatever the order of the answers.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: VecDeque<Slot>,
    last_token: u64,
    exclusive: usize,
    unmaps: usize,
    reserved: usize,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Reply bytes that deferred requests may still produce.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Whether a request of this class may be delivered now.
    pub(super) fn allows(&self, class: Class) -> bool {
        self.exclusive == 0 && (self.unmaps == 0 || class == Class::Unmap)
    }

    /// Adds a request that waits for the device. Returns its token.
    pub(super) fn wait(
        &mut self,
        header: Header,
        class: Class,
        reserved: usize,
        pending: Pending,
    ) -> Token {
        let index = self.slots.len();
        // Replaced at once; the slot must exist for the token to be put into it.
        self.slots.push_back(Slot {
            header,
            state: State::Answered(None),
        });
        self.wait_again(index, class, reserved, pending)
    }

    /// Makes the slot at `index` wait (once more) for the device.
    pub(super) fn wait_again(
        &mut self,
        index: usize,
        class: Class,
        reserved: usize,
        pending: Pending,
    ) -> Token {
        self.last_token += 1;
        let token = Token(self.last_token);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = State::Waiting {
                token,
                class,
                reserved,
                pending,
            };
            self.reserved += reserved;
            match class {
                Class::Access => {}
                Class::Unmap => self.unmaps += 1,
                Class::Exclusive => self.exclusive += 1,
            }
        }
        token
    }

    /// Adds a request that is answered already.
    pub(super) fn answered(&mut self, header: Header, outgoing: Option<Outgoing>) {
        self.slots.push_back(Slot {
            header,
            state: State::Answered(outgoing),
        });
    }

    /// Finds the request of `token`; it must be given an answer, or wait again.
    pub(super) fn take(&mut self, token: Token) -> Option<Taken> {
        let index = self.slots.iter().position(
            |slot| matches!(slot.state, State::Waiting { token: other, .. } if other == token),
        )?;
        let slot = self.slots.get_mut(index)?;
        match std::mem::replace(&mut slot.state, State::Answered(None)) {
            State::Waiting {
                class,
                reserved,
                pending,
                ..
            } => {
                self.reserved -= reserved;
                match class {
                    Class::Access => {}
                    Class::Unmap => self.unmaps -= 1,
                    Class::Exclusive => self.exclusive -= 1,
                }
                Some(Taken {
                    index,
                    header: slot.header,
                    pending,
                })
            }
            State::Answered(_) => None,
        }
    }

    /// Gives the slot at `index` its answer.
    pub(super) fn answer(&mut self, index: usize, outgoing: Option<Outgoing>) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.state = State::Answered(outgoing);
        }
    }

    /// Removes the oldest request if it has been answered.
    pub(super) fn pop(&mut self) -> Option<(Header, Option<Outgoing>)> {
        match self.slots.front()?.state {
            State::Waiting { .. } => None,
            State::Answered(_) => self.slots.pop_front().map(|slot| match slot.state {
                State::Answered(outgoing) => (slot.header, outgoing),
                State::Waiting { .. } => (slot.header, None),
            }),
        }
    }
}

/// The class of a command.
pub(super) fn class(command: Command) -> Class {
    match command {
        Command::DmaUnmap => Class::Unmap,
        Command::DmaMap
        | Command::DeviceSetIrqs
        | Command::DeviceReset
        | Command::RegionWriteMulti
        | Command::DeviceFeature
        | Command::MigDataRead
        | Command::MigDataWrite => Class::Exclusive,
        Command::Version
        | Command::DeviceGetInfo
        | Command::DeviceGetRegionInfo
        | Command::DeviceGetRegionIoFds
        | Command::DeviceGetIrqInfo
        | Command::RegionRead
        | Command::RegionWrite
        | Command::DmaRead
        | Command::DmaWrite => Class::Access,
    }
}
