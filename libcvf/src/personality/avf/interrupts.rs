//! Interrupt registers: `VFINT_DYN_CTL*`, `VFINT_ITRN1`, `VFINT_ICR0*`.
//!
//! A vector that fires is held back until `INTENA` is written again; who fires and who holds back is the device
//! ([`Host::vector_enable`]), so `INTENA` reads as written. A write that only holds a vector back is mostly 0 and means
//! no interval, although it names the first one. What is pending fires when the vector is enabled, so
//! `CLEARPBA` is ignored: at worst an interrupt comes for what the driver has seen. `WB_ON_ITR` asks for
//! what is always done: descriptors are written back at once.

use super::super::Host;
use super::registers::itr_of;
use super::state::State;
use crate::mem::SharedRegisters;

/// `INTENA`.
const INTENA: u32 = 1;
/// `SWINT_TRIG`.
const SWINT_TRIG: u32 = 1 << 2;
const ITR_INDX_SHIFT: u32 = 3;
const ITR_INDX: u32 = 3;
const INTERVAL_SHIFT: u32 = 5;
/// 12 bits of 2 us.
const INTERVAL: u32 = 0xfff;
/// `WB_ON_ITR`.
const WB_ON_ITR: u32 = 1 << 30;
/// `INTENA_MSK`: this write leaves `INTENA` as it is.
const INTENA_MSK: u32 = 1 << 31;
/// What reads back.
const KEPT: u32 = INTENA | ITR_INDX << ITR_INDX_SHIFT | INTERVAL << INTERVAL_SHIFT | WB_ON_ITR;

/// `VFINT_ICR0*.ADMINQ`.
pub(super) const ADMINQ: u32 = 1 << 30;
/// `VFINT_ICR01.SWINT`.
const SWINT: u32 = 1 << 31;
/// `VFINT_ICR01.INTEVENT`: set with any other.
const INTEVENT: u32 = 1;

/// ITR indices of a vector; the one after them is none.
pub(super) const ITRS: usize = 3;

/// What the driver wrote about one vector.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vector {
    control: u32,
    /// Intervals, as in the registers.
    itr: [u16; ITRS],
    /// What the device was told last.
    enabled: bool,
}

/// Causes of vector 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Causes {
    pending: u32,
    enabled: u32,
}

impl Causes {
    /// A message for the driver is on its way.
    pub fn message(&mut self) {
        self.pending |= ADMINQ | INTEVENT;
    }

    /// `VFINT_ICR01`, which clears when it is read.
    pub fn take(&mut self) -> u32 {
        std::mem::take(&mut self.pending)
    }

    pub const fn peek(&self) -> u32 {
        self.pending
    }

    /// `VFINT_ICR0_ENA1`.
    pub const fn enabled(&self) -> u32 {
        self.enabled
    }
}

impl State {
    /// `VFINT_DYN_CTL*` as it reads.
    pub(super) fn dyn_ctl(&self, vector: u16) -> u32 {
        let found = self.lines.get(usize::from(vector));
        found.map_or(0, |line| line.control)
    }

    pub(super) fn write_dyn_ctl(&mut self, host: &mut dyn Host, vector: u16, value: u32) {
        let Some(line) = self.lines.get_mut(usize::from(vector)) else {
            return;
        };
        let kept = if value & INTENA_MSK != 0 {
            value & !INTENA | line.control & INTENA
        } else {
            value
        };
        line.control = kept & KEPT;
        let holds_back = value & (INTENA | INTENA_MSK) == 0;
        let enables = value & (INTENA | INTENA_MSK) == INTENA;
        if enables {
            self.take_up_intervals(host, vector);
        }
        let index = (value >> ITR_INDX_SHIFT & ITR_INDX) as usize;
        if index < ITRS && !holds_back {
            self.set_itr(host, vector, index, value >> INTERVAL_SHIFT);
        }
        if holds_back {
            self.enable_vector(host, vector, false);
        }
        if value & SWINT_TRIG != 0 {
            if vector == 0 {
                self.causes.pending |= SWINT | INTEVENT;
            }
            host.vector_trigger(vector);
        }
        if enables {
            self.arm(host, vector);
        }
    }

    /// The driver has rewritten `INTENA`.
    fn arm(&mut self, host: &mut dyn Host, vector: u16) {
        // The mailbox is vector 0's only cause, and has an enable of its own.
        let on = vector != 0 || self.causes.enabled & ADMINQ != 0;
        self.enable_vector(host, vector, on);
    }

    fn enable_vector(&mut self, host: &mut dyn Host, vector: u16, on: bool) {
        let Some(line) = self.lines.get_mut(usize::from(vector)) else {
            return;
        };
        // On is good for one interrupt, so it is said each time.
        if on || line.enabled {
            line.enabled = on;
            host.vector_enable(vector, on);
        }
    }

    /// `VFINT_ICR0_ENA1`.
    pub(super) fn write_icr0_ena(&mut self, host: &mut dyn Host, value: u32) {
        let changed = (self.causes.enabled ^ value) & ADMINQ != 0;
        self.causes.enabled = value;
        if changed {
            let on = value & ADMINQ != 0 && self.dyn_ctl(0) & INTENA != 0;
            self.enable_vector(host, 0, on);
        }
    }

    /// `VFINT_ITRN1` as it reads.
    pub(super) fn itr(&self, vector: u16, index: usize) -> u32 {
        if let Some((shared, at)) = self.mapped_itr(vector, index) {
            return shared.load(at) & INTERVAL;
        }
        let line = self.lines.get(usize::from(vector));
        let itr = line.and_then(|line| line.itr.get(index));
        itr.copied().unwrap_or_default().into()
    }

    /// Where a driver that may map that register has it, if there is such a one.
    fn mapped_itr(&self, vector: u16, index: usize) -> Option<(&SharedRegisters, usize)> {
        let nth = vector.checked_sub(1)?;
        let exists = index < ITRS && usize::from(vector) < self.lines.len();
        let shared = self.shared.as_deref().filter(|_| exists)?;
        Some((shared, itr_of(index, nth)))
    }

    pub(super) fn set_itr(&mut self, host: &mut dyn Host, vector: u16, index: usize, value: u32) {
        if let Some((shared, at)) = self.mapped_itr(vector, index) {
            shared.store(at, value & INTERVAL);
        }
        self.throttle(host, vector, index, value);
    }

    /// What a driver wrote into registers that it maps is seen when it enables the vector, or maps a queue to it.
    fn take_up_intervals(&mut self, host: &mut dyn Host, vector: u16) {
        for index in 0..ITRS {
            if let Some((shared, at)) = self.mapped_itr(vector, index) {
                let value = shared.load(at);
                self.throttle(host, vector, index, value);
            }
        }
    }

    /// An interval is this one from here on.
    fn throttle(&mut self, host: &mut dyn Host, vector: u16, index: usize, value: u32) {
        let interval = (value & INTERVAL) as u16;
        let line = self.lines.get_mut(usize::from(vector));
        let Some(itr) = line.and_then(|line| line.itr.get_mut(index)) else {
            return;
        };
        if std::mem::replace(itr, interval) == interval {
            return;
        }
        for queue in 0..self.queues.len() as u16 {
            let mapped = &self.queues[usize::from(queue)].route;
            if mapped.is_some_and(|route| (route.vector, usize::from(route.itr)) == (vector, index))
            {
                host.throttle(queue, 2 * interval);
            }
        }
    }

    /// Maps a queue to a vector, and its interrupts to one of the vector's intervals.
    pub(super) fn map_queue(&mut self, host: &mut dyn Host, queue: u16, route: Route) {
        self.take_up_intervals(host, route.vector);
        let line = self.lines.get(usize::from(route.vector));
        let interval = line.and_then(|line| line.itr.get(usize::from(route.itr)));
        let interval = interval.copied().unwrap_or_default();
        let Some(mapped) = self.queues.get_mut(usize::from(queue)) else {
            return;
        };
        // What a vector's intervals become is told when they do.
        if mapped.route.replace(route) == Some(route) {
            return;
        }
        host.queue_vector(queue, Some(route.vector));
        host.throttle(queue, 2 * interval);
    }

    /// All vectors as after a reset.
    pub(super) fn silence(&mut self, host: &mut dyn Host) {
        for vector in 0..self.lines.len() as u16 {
            self.enable_vector(host, vector, false);
        }
    }
}

/// Where a queue's interrupts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub vector: u16,
    /// 0 to 2, or 3 for none.
    pub itr: u8,
}
