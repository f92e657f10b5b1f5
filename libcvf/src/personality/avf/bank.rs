//! Accesses to BAR0, of any width at any place: whole registers are read and written.

use super::super::Host;
use super::registers::{self, AdminRegister, Piece, Register};
use super::state::State;
use crate::ring::MailboxSide;

impl State {
    pub(super) fn registers_read(&mut self, host: &mut dyn Host, at: usize, data: &mut [u8]) {
        data.fill(0);
        for piece in registers::touched(at, data.len()) {
            let value = self.get(host, piece.register).to_le_bytes();
            let Piece { range, from, .. } = piece;
            let end = from + range.len();
            data[range].copy_from_slice(&value[from..end]);
        }
    }

    /// A write of part of a register leaves its other bytes as they read.
    pub(super) fn registers_write(&mut self, host: &mut dyn Host, at: usize, data: &[u8]) {
        for piece in registers::touched(at, data.len()) {
            let mut value = if piece.is_whole() {
                [0; 4]
            } else {
                self.peek(host, piece.register).to_le_bytes()
            };
            let Piece {
                register,
                range,
                from,
            } = piece;
            let end = from + range.len();
            value[from..end].copy_from_slice(&data[range]);
            self.set(host, register, u32::from_le_bytes(value));
        }
    }

    /// Reads with side effects.
    fn get(&mut self, host: &dyn Host, register: Register) -> u32 {
        match register {
            Register::VfintIcr0 => self.causes.take(),
            Register::VfgenRstat => {
                let value = self.peek(host, register);
                self.reset = self.reset.next();
                value
            }
            _ => self.peek(host, register),
        }
    }

    fn peek(&self, host: &dyn Host, register: Register) -> u32 {
        match register {
            Register::QrxTail(pair) => self.tail(2 * pair),
            Register::QtxTail(pair) => self.tail(2 * pair + 1),
            Register::VfintItrn { index, nth } => self.itr(nth + 1, index.into()),
            Register::VfintDynCtln(nth) => self.dyn_ctl(nth + 1),
            Register::VfintDynCtl0 => self.dyn_ctl(0),
            Register::VfintIcr0 => self.causes.peek(),
            Register::VfintIcr0Ena => self.causes.enabled(),
            Register::VfgenRstat => self.reset as u32,
            Register::Admin(which, register) => self.admin(which).get(host, which, register),
        }
    }

    fn set(&mut self, host: &mut dyn Host, register: Register, value: u32) {
        match register {
            Register::QrxTail(pair) => self.write_tail(host, 2 * pair, value),
            Register::QtxTail(pair) => self.write_tail(host, 2 * pair + 1, value),
            Register::VfintItrn { index, nth } => {
                self.set_itr(host, nth + 1, index.into(), value);
            }
            Register::VfintDynCtln(nth) => self.write_dyn_ctl(host, nth + 1, value),
            Register::VfintDynCtl0 => self.write_dyn_ctl(host, 0, value),
            Register::VfintIcr0Ena => self.write_icr0_ena(host, value),
            Register::Admin(MailboxSide::Receive, register @ AdminRegister::Tail) => {
                let which = MailboxSide::Receive;
                let before = host.mailbox_head(which);
                self.receive.set(host, which, register, value);
                if host.mailbox_head(which) != before {
                    // What waited for room has gone out, with an interrupt of its own.
                    self.causes.message();
                }
            }
            Register::Admin(which, register) => {
                self.admin_mut(which).set(host, which, register, value);
            }
            // The device's to write.
            Register::VfintIcr0 | Register::VfgenRstat => {}
        }
    }
}
