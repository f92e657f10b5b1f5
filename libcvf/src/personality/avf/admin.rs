//! Registers of the admin queues: the mailbox. What is in them is the device's business, through [`Host`].

use super::super::Host;
use super::registers::AdminRegister;
use crate::ring::{MailboxPlace, MailboxSide};

/// `ATQLEN`, `ARQLEN`: the queue works.
pub(super) const ENABLE: u32 = 1 << 31;
/// `ATQLEN`, `ARQLEN`: descriptors. The bits between are errors, which the device does not report.
const LENGTH: u32 = 0x3ff;
/// `ATQH`, `ATQT`, `ARQH`, `ARQT`: a position.
const POSITION: u32 = 0x3ff;

/// What the driver wrote of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AdminQueue {
    bal: u32,
    bah: u32,
    len: u32,
    tail: u32,
    /// The device's position is the driver's business: it wrote it, or has had the queue since the last reset. Until then a
    /// queue begins at 0, whatever the position reads.
    known: bool,
}

impl AdminQueue {
    /// Where it is, once it is enabled.
    pub fn place(&self) -> Option<MailboxPlace> {
        let size = (self.len & LENGTH) as u16;
        let enabled = self.len & ENABLE != 0 && size > 0;
        enabled.then(|| MailboxPlace {
            size,
            base: u64::from(self.bah) << 32 | u64::from(self.bal),
        })
    }

    pub fn get(&self, host: &dyn Host, which: MailboxSide, register: AdminRegister) -> u32 {
        match register {
            AdminRegister::Bal => self.bal,
            AdminRegister::Bah => self.bah,
            AdminRegister::Len => self.len,
            AdminRegister::Head => host.mailbox_head(which).into(),
            AdminRegister::Tail => self.tail,
        }
    }

    /// Drivers enable a queue before they say where it is, so each of these places it anew. As in hardware it goes on where
    /// the head register says: what was taken is not taken again.
    pub fn set(
        &mut self,
        host: &mut dyn Host,
        which: MailboxSide,
        register: AdminRegister,
        value: u32,
    ) {
        let before = self.place();
        match register {
            AdminRegister::Bal => self.bal = value,
            AdminRegister::Bah => self.bah = value,
            AdminRegister::Len => self.len = value & (ENABLE | LENGTH),
            AdminRegister::Head => {
                self.known = true;
                host.set_mailbox_head(which, (value & POSITION) as u16);
                return;
            }
            AdminRegister::Tail => {
                self.tail = value & POSITION;
                if before.is_some() {
                    host.mailbox_tail(which, self.tail as u16);
                }
                return;
            }
        }
        let place = self.place();
        if place != before {
            if place.is_some() && !std::mem::replace(&mut self.known, true) {
                host.set_mailbox_head(which, 0);
            }
            host.mailbox(which, place);
        }
        if before.is_none() && place.is_some() && self.tail != 0 {
            host.mailbox_tail(which, self.tail as u16);
        }
    }
}
