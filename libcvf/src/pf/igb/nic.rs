//! The function's registers, and what is done to it as a whole.

use std::time::{Duration, Instant};

use super::regs;
use crate::pf::vfio::Registers;

/// How long hardware is given to end or begin something. The datasheet speaks of milliseconds at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// An 82576, or a model of one.
pub(super) struct Nic {
    registers: Box<dyn Registers>,
    name: String,
    /// Pools interrupt by virtual functions, to which all vectors but one belong then.
    virtuals: bool,
}

impl Nic {
    pub(super) fn new(registers: Box<dyn Registers>, name: impl Into<String>) -> Self {
        Self {
            registers,
            name: name.into(),
            virtuals: false,
        }
    }

    /// The same where its virtual functions are on.
    pub(super) const fn with_virtuals(mut self, on: bool) -> Self {
        self.virtuals = on;
        self
    }

    /// The vector of all that is not a pool's.
    const fn others(&self) -> u32 {
        if self.virtuals {
            0
        } else {
            regs::VECTORS as u32 - 1
        }
    }

    #[inline]
    pub(super) fn read(&self, register: u32) -> u32 {
        self.registers.read32(register)
    }

    #[inline]
    pub(super) fn write(&self, register: u32, value: u32) {
        self.registers.write32(register, value);
    }

    fn change(&self, register: u32, clear: u32, set: u32) {
        self.write(register, self.read(register) & !clear | set);
    }

    /// Nobody answers: its control register is never all ones.
    pub(super) fn is_gone(&self) -> bool {
        self.read(regs::CTRL) == u32::MAX
    }

    /// Waits until the bits of `mask` are `wanted`; false where they are not in time.
    fn wait(&self, register: u32, mask: u32, wanted: u32) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.read(register) & mask == wanted {
                return true;
            }
            if Instant::now() >= until {
                tracing::warn!(
                    pf = self.name,
                    register,
                    mask,
                    wanted,
                    "the function takes too long"
                );
                return false;
            }
            std::thread::yield_now();
        }
    }

    /// Ends everything that the function does, and sets every register back.
    pub(super) fn reset(&self) {
        if self.is_gone() {
            return;
        }
        self.write(regs::IMC, u32::MAX);
        self.write(regs::EIMC, u32::MAX);
        self.write(regs::RCTL, 0);
        self.write(regs::TCTL, TCTL_IDLE);
        // What is under way to memory ends first.
        self.change(regs::CTRL, 0, regs::CTRL_GIO_MASTER_DISABLE);
        self.wait(regs::STATUS, regs::STATUS_GIO_MASTER_ENABLE, 0);
        self.change(regs::CTRL, 0, regs::CTRL_RST);
        self.wait(regs::CTRL, regs::CTRL_RST, 0);
        self.write(regs::IMC, u32::MAX);
        self.write(regs::EIMC, u32::MAX);
        let _ = self.read(regs::ICR);
    }

    /// Sets the function up for pools: none receives or transmits yet, and nothing is filtered for anybody.
    pub(super) fn set_up(&self) {
        self.reset();
        self.change(regs::CTRL, regs::CTRL_GIO_MASTER_DISABLE, regs::CTRL_SLU);
        self.change(regs::CTRL_EXT, 0, regs::CTRL_EXT_DRV_LOAD);
        for word in 0..regs::MTA_WORDS {
            // Which multicast a pool takes is decided per pool.
            self.write(regs::mta(word), u32::MAX);
        }
        for word in 0..regs::VFTA_WORDS {
            self.write(regs::vfta(word), 0);
        }
        for entry in 0..regs::VLVF_ENTRIES as u32 {
            self.write(regs::vlvf(entry), 0);
        }
        for entry in 0..regs::RAR_ENTRIES as u32 {
            self.write(regs::ral(entry), 0);
            self.write(regs::rah(entry), 0);
        }
        for pool in 0..u32::from(regs::POOLS) {
            self.write(regs::vmolr(pool), 0);
            self.write(regs::vmvir(pool), 0);
        }
        self.write(regs::VFRE, 0);
        self.write(regs::VFTE, 0);
        // Frames between pools are switched in software, and never come back from here.
        self.write(regs::DTXSWC, 0);
        self.write(regs::MRQC, regs::MRQC_VMDQ);
        self.write(
            regs::VT_CTL,
            regs::VT_CTL_DIS_DEF_POOL | regs::VT_CTL_REPL_EN,
        );
        self.write(regs::RLPML, regs::VMOLR_RLPML);
        self.write(regs::RXCSUM, regs::RXCSUM_OFFLOAD);
        self.set_up_vectors();
        self.write(regs::TCTL, TCTL_IDLE | regs::TCTL_EN);
        let receive =
            regs::RCTL_EN | regs::RCTL_LPE | regs::RCTL_BAM | regs::RCTL_VFE | regs::RCTL_SECRC;
        self.write(regs::RCTL, receive);
        // The link comes when both ends have agreed, and is told by an interrupt.
        let begin = regs::PHY_CONTROL << regs::MDIC_REGISTER | regs::PHY_NEGOTIATE;
        self.write(regs::MDIC, begin | regs::MDIC_PHY | regs::MDIC_WRITE);
        self.wait(regs::MDIC, regs::MDIC_READY, regs::MDIC_READY);
    }

    /// A vector for each pool, and one for all else; all masked but that.
    fn set_up_vectors(&self) {
        self.write(
            regs::GPIE,
            regs::GPIE_NSICR | regs::GPIE_MULTIPLE_MSIX | regs::GPIE_PBA_SUPPORT,
        );
        let other = self.others();
        // Where they are the virtual functions', there is none of a pool.
        for pool in 0..other {
            self.set_up_queue(pool, pool);
        }
        self.write(regs::IVAR_MISC, (other | regs::IVAR_VALID) << 8);
        self.write(regs::EIAC, (2 << other) - 1);
        self.write(regs::IMS, regs::ICR_LSC);
        self.write(regs::EIMS, 1 << other);
    }

    /// Tells of both queues of a pool by a vector.
    fn set_up_queue(&self, pool: u32, vector: u32) {
        let entry = vector | regs::IVAR_VALID;
        self.write(regs::ivar(pool), entry | entry << 8);
        self.write(regs::eitr(vector), 0);
    }

    /// Sets a virtual function up, whose registers these are: its first vector tells of its queues. Of its registers
    /// those of interrupts are used, which are where the physical function has its own.
    pub(super) fn set_up_virtual(&self) {
        self.set_up_queue(0, 0);
        self.write(regs::EIAC, 1);
    }

    /// Filters tagged frames by VLAN, or leaves that to software.
    pub(super) fn filter_vlans(&self, on: bool) {
        let (clear, set) = if on {
            (0, regs::RCTL_VFE)
        } else {
            (regs::RCTL_VFE, 0)
        };
        self.change(regs::RCTL, clear, set);
    }

    /// Lets a pool receive and transmit, or not.
    pub(super) fn enable_pool(&self, pool: u32, on: bool) {
        let bit = 1 << pool;
        let (clear, set) = if on { (0, bit) } else { (bit, 0) };
        self.change(regs::VFRE, clear, set);
        self.change(regs::VFTE, clear, set);
    }

    /// Has a queue work, whose control register this is.
    pub(super) fn start_queue(&self, control: u32) {
        if self.is_gone() {
            return;
        }
        self.change(control, 0, regs::DCTL_ENABLE);
        self.wait(control, regs::DCTL_ENABLE, regs::DCTL_ENABLE);
    }

    /// Has it end. What it had begun is done on return, and it is empty; unless the function does not answer, which is told.
    /// One that has gone has ended everything.
    pub(super) fn stop_queue(&self, control: u32, (head, tail): (u32, u32)) {
        if self.is_gone() {
            return;
        }
        self.change(control, regs::DCTL_ENABLE, 0);
        self.wait(control, regs::DCTL_ENABLE, 0);
        self.write(head, 0);
        self.write(tail, 0);
    }

    /// The link is up.
    pub(super) fn link(&self) -> bool {
        let status = self.read(regs::STATUS);
        status != u32::MAX && status & regs::STATUS_LU != 0
    }

    /// The other causes of interrupts: what of them came since the last look; they are armed again.
    pub(super) fn heard(&self) {
        let _ = self.read(regs::ICR);
        self.write(regs::IMS, regs::ICR_LSC);
        self.write(regs::EIMS, 1 << self.others());
    }
}

/// Transmit control while nothing is sent.
const TCTL_IDLE: u32 = regs::TCTL_PSP | regs::TCTL_CT;
