//! A model of the 82576 as far as this driver uses it: registers, descriptors of both directions, the filter of pools.
//! It works when a tail is written and when a frame is given to it; memory it finds by address, like the IOMMU.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::regs;
use crate::mem::OwnMemory;
use crate::pf::vfio::Registers;

/// What a frame was when it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub queue: u32,
    pub bytes: Vec<u8>,
    /// Of its last context descriptor, and of its first data descriptor, where something was asked.
    pub context: Option<(u64, u64)>,
    pub command: u64,
}

#[derive(Default)]
struct State {
    registers: HashMap<u32, u32>,
    memory: Vec<(u64, Weak<OwnMemory>)>,
    sent: Vec<Sent>,
    /// Tails written, by queue register.
    kicks: u32,
    /// DMA that found nothing.
    faults: u32,
    /// Nothing is sent for now.
    paused: bool,
    /// The function is not there any more.
    gone: bool,
}

/// Shared with the driver.
#[derive(Clone, Default)]
pub(super) struct Model(Arc<Mutex<State>>);

impl State {
    fn get(&self, register: u32) -> u32 {
        self.registers.get(&register).copied().unwrap_or_default()
    }

    fn find(&mut self, iova: u64, len: usize) -> Option<(Arc<OwnMemory>, usize)> {
        let found = self.memory.iter().find_map(|(first, memory)| {
            let memory = memory.upgrade()?;
            let at = usize::try_from(iova.checked_sub(*first)?).ok()?;
            (at.checked_add(len)? <= memory.len()).then_some((memory, at))
        });
        self.faults += u32::from(found.is_none());
        found
    }

    fn descriptor(&mut self, ring: u64, index: u32) -> Option<(Arc<OwnMemory>, usize)> {
        self.find(
            ring + u64::from(index) * regs::DESCRIPTOR as u64,
            regs::DESCRIPTOR,
        )
    }

    fn ring(&self, base: u32) -> (u64, u32) {
        let low = self.get(base + regs::TDBAL);
        let high = self.get(base + regs::TDBAH);
        (
            u64::from(high) << 32 | u64::from(low),
            self.get(base + regs::TDLEN) / regs::DESCRIPTOR as u32,
        )
    }

    /// Sends what a queue has.
    fn transmit(&mut self, queue: u32) {
        let base = regs::transmit(queue);
        let pool = queue % u32::from(regs::POOLS);
        let enabled = self.get(base + regs::TXDCTL) & regs::DCTL_ENABLE != 0
            && self.get(regs::TCTL) & regs::TCTL_EN != 0
            && self.get(regs::VFTE) & 1 << pool != 0;
        if !enabled || self.paused {
            return;
        }
        let (ring, size) = self.ring(base);
        let (mut bytes, mut context, mut command) = (Vec::new(), None, None);
        while self.get(base + regs::TDH) != self.get(base + regs::TDT) {
            let head = self.get(base + regs::TDH);
            let Some((memory, at)) = self.descriptor(ring, head) else {
                return;
            };
            let (low, high) = (memory.load64(at), memory.load64(at + 8));
            assert_ne!(high & 1 << 29, 0, "advanced descriptors only");
            if high >> 20 & 0xf == 2 {
                context = Some((low, high));
            } else {
                command.get_or_insert(high);
                let len = (high & 0xffff) as usize;
                if let Some((buffer, at)) = self.find(low, len) {
                    let before = bytes.len();
                    bytes.resize(before + len, 0);
                    buffer.read(at, len).read(&mut bytes[before..]);
                }
                if high & 1 << 24 != 0 {
                    let command = command.take().unwrap_or_default();
                    let bytes = std::mem::take(&mut bytes);
                    self.sent.push(Sent {
                        queue,
                        bytes,
                        context: context.take(),
                        command,
                    });
                }
                if high & 1 << 27 != 0 {
                    memory.store32(at + 12, memory.load32(at + 12) | 1);
                }
            }
            self.registers.insert(base + regs::TDH, (head + 1) % size);
        }
    }

    /// Pools that take a frame.
    fn pools(&self, frame: &[u8]) -> u32 {
        let low = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let high = u32::from(u16::from_le_bytes([frame[4], frame[5]]));
        let vmolr = |pool| self.get(regs::vmolr(pool));
        let with = |bit| {
            (0..8)
                .filter(|pool| vmolr(*pool) & bit != 0)
                .fold(0, |all, pool| all | 1 << pool)
        };
        let mut pools = if frame[..6] == [0xff; 6] {
            with(regs::VMOLR_BAM)
        } else {
            (0..regs::RAR_ENTRIES as u32)
                .filter(|entry| {
                    self.get(regs::ral(*entry)) == low
                        && self.get(regs::rah(*entry)) & 0xffff == high
                })
                .filter(|entry| self.get(regs::rah(*entry)) & regs::RAH_VALID != 0)
                .fold(0, |all, entry| {
                    all | self.get(regs::rah(entry)) >> regs::RAH_POOLS & 0xff
                })
        };
        if pools == 0 && frame[0] & 1 != 0 {
            pools = with(regs::VMOLR_ROMPE);
        }
        if self.get(regs::RCTL) & regs::RCTL_VFE != 0 {
            let tag = (frame[12..14] == [0x81, 0])
                .then(|| u32::from(u16::from_be_bytes([frame[14], frame[15]]) & 0xfff));
            pools &= match tag {
                None => with(regs::VMOLR_AUPE),
                Some(vid) => (0..regs::VLVF_ENTRIES as u32)
                    .map(|entry| self.get(regs::vlvf(entry)))
                    .filter(|value| value & 0xfff == vid && value & regs::VLVF_ENABLE != 0)
                    .fold(0, |all, value| all | value >> regs::VLVF_POOLS & 0xff),
            };
        }
        pools &= self.get(regs::VFRE);
        (0..8)
            .filter(|pool| frame.len() as u32 + 4 <= vmolr(*pool) & regs::VMOLR_RLPML)
            .fold(0, |all, pool| all | pools & 1 << pool)
    }

    fn receive(&mut self, queue: u32, frame: &[u8], flags: u64) {
        let base = regs::receive(queue);
        if self.get(base + regs::RXDCTL) & regs::DCTL_ENABLE == 0 {
            return;
        }
        let (ring, size) = self.ring(base);
        let buffer = (self.get(base + regs::SRRCTL) & 0x7f) as usize * 1024;
        let mut left = frame;
        while !left.is_empty() {
            let head = self.get(base + regs::RDH);
            if head == self.get(base + regs::RDT) {
                return;
            }
            let Some((memory, at)) = self.descriptor(ring, head) else {
                return;
            };
            let (now, rest) = left.split_at(left.len().min(buffer));
            left = rest;
            if let Some((to, place)) = self.find(memory.load64(at), now.len()) {
                to.write(place, now.len()).write(now);
            }
            let end = u64::from(left.is_empty()) << 1;
            memory.store64(at, 0);
            memory.store64(at + 8, (now.len() as u64) << 32 | flags | end | 1);
            self.registers.insert(base + regs::RDH, (head + 1) % size);
        }
    }
}

impl Model {
    /// Has it find memory at an address, while that lives.
    pub(super) fn add(&self, iova: u64, memory: &Arc<OwnMemory>) {
        self.0.lock().memory.push((iova, Arc::downgrade(memory)));
    }

    /// Frames that it has sent since the last call.
    pub(super) fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.0.lock().sent)
    }

    /// A frame from outside, with these bits in what is written back; the pools that took it.
    pub(super) fn receive(&self, frame: &[u8], flags: u64) -> u32 {
        let mut state = self.0.lock();
        let pools = state.pools(frame);
        for pool in 0..8 {
            if pools & 1 << pool != 0 {
                state.receive(pool, frame, flags);
            }
        }
        pools
    }

    /// Sends nothing until it is let go.
    pub(super) fn pause(&self, paused: bool) {
        let mut state = self.0.lock();
        state.paused = paused;
        for queue in 0..16 {
            state.transmit(queue);
        }
    }

    /// From here on nobody answers.
    pub(super) fn vanish(&self) {
        self.0.lock().gone = true;
    }

    /// DMA that found nothing.
    pub(super) fn faults(&self) -> u32 {
        self.0.lock().faults
    }

    pub(super) fn register(&self, register: u32) -> u32 {
        self.0.lock().get(register)
    }
}

impl Registers for Model {
    fn read8(&self, _: u32) -> u8 {
        u8::MAX
    }

    fn read16(&self, _: u32) -> u16 {
        u16::MAX
    }

    fn read32(&self, offset: u32) -> u32 {
        if self.0.lock().gone {
            return u32::MAX;
        }
        let mut value = self.register(offset);
        match offset {
            regs::STATUS => value |= regs::STATUS_LU,
            regs::MDIC => value |= regs::MDIC_READY,
            _ => {}
        }
        value
    }

    fn write8(&self, _: u32, _: u8) {}

    fn write16(&self, _: u32, _: u16) {}

    fn write32(&self, offset: u32, value: u32) {
        let mut state = self.0.lock();
        if state.gone {
            return;
        }
        if offset == regs::CTRL && value & regs::CTRL_RST != 0 {
            state.registers.clear();
            return;
        }
        state.registers.insert(offset, value);
        if offset >= regs::transmit(0) && offset < regs::transmit(16) && offset % 0x40 == regs::TDT
        {
            state.kicks += 1;
            state.transmit((offset - regs::transmit(0)) / 0x40);
        }
    }
}
