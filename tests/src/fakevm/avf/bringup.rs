//! From a socket's path to a running device, and back, in the order of Linux's driver.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Instant;

use super::config::{AvfVmConfig, MAX_FRAME};
use super::desc::rxdid;
use super::mailbox::Mailbox;
use super::messages::{self, AddressKind, QueuePair, Resources, VlanCaps};
use super::registers::{BAR, Registers, ResetState, reg};
use super::virtchnl::{VLAN_8100, VLAN_TOGGLE, cap, op};
use super::{AvfPair, AvfRx, AvfTx, AvfVm, RxFormat};
use crate::fakevm::attach::{self, Attached};
use crate::fakevm::bus::Bus;
use crate::fakevm::client::{Client, flags};
use crate::fakevm::doorbell::DoorbellFinder;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::frame::BROADCAST;
use crate::fakevm::limits::{AVF_RESET_DEADLINE, VIRTCHNL_DEADLINE};
use crate::fakevm::net::{NetGuest, rx_queue, tx_queue};

/// Functions that Linux's driver takes.
const IDS: [(u16, u16); 4] = [
    (0x8086, 0x1889),
    (0x8086, 0x154c),
    (0x8086, 0x1571),
    (0x8086, 0x37cd),
];
/// The version of virtchnl that the driver speaks.
const VERSION: [u32; 2] = [1, 1];
/// The address that the driver takes when the PF has none for it.
const OWN_MAC: [u8; 6] = [0x02, 0x1a, 0xf0, 0, 0, 1];
/// Interval registers after a start, in units of 2 us: 50 us.
const ITR: u32 = 25;

impl AvfVm<Client> {
    /// Connects, brings the device up and starts its queues.
    ///
    /// # Errors
    /// Fails when the server refuses, or the device lacks what `config` demands.
    pub fn connect(path: &Path, config: AvfVmConfig) -> Result<Self> {
        let mut vm = Self::attach(path, config)?;
        vm.start()?;
        Ok(vm)
    }

    /// Connects and walks the PCI function, as a VMM and its firmware do; no driver runs yet.
    ///
    /// # Errors
    /// Fails when the server refuses, or the function is no AVF.
    pub fn attach(path: &Path, config: AvfVmConfig) -> Result<Self> {
        Self::over(attach::client(path, config.capabilities)?, config)
    }
}

impl<B: Bus> AvfVm<B> {
    /// Gives the function memory and walks it; no driver runs yet.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses, or it is no AVF.
    pub fn over(client: B, config: AvfVmConfig) -> Result<Self> {
        let Attached {
            client,
            memory,
            mark,
            info,
            pci,
        } = Attached::walk(client, &config.memory_plan(), config.skew)?;
        if !IDS.contains(&pci.id) {
            let (vendor, device) = pci.id;
            return Err(Error::Unsupported(format!(
                "{vendor:04x}:{device:04x} is no AVF"
            )));
        }
        let registers = Registers::new(&pci)?;
        Ok(AvfVm {
            client,
            memory,
            info,
            pci,
            registers,
            refused: Vec::new(),
            correspondent: BROADCAST,
            config,
            mailbox: None,
            resources: Resources::default(),
            vlan_caps: None,
            rxdids: 0,
            mac: [0; 6],
            link: None,
            events: VecDeque::new(),
            impending: false,
            pairs: Vec::new(),
            interrupts: None,
            armed: Vec::new(),
            fired: 0,
            mark,
            kicks: 0,
        })
    }

    /// Resets the function, and brings the device up as a driver that has just been loaded does.
    ///
    /// # Errors
    /// Fails when the device does not give what the configuration demands.
    pub fn start(&mut self) -> Result<()> {
        self.stop()?;
        self.bring_up(true)
    }

    /// Resets the function and gives back the memory of mailbox and rings.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses.
    pub fn stop(&mut self) -> Result<()> {
        if self.info.flags & flags::DEVICE_RESET != 0 {
            self.client.reset()?;
            // The reset has taken bus mastering away.
            self.pci.set_bus_master(&mut self.client, true)?;
        } else if let Some(mailbox) = &self.mailbox {
            mailbox.stop(&mut self.client)?;
        }
        self.forget()
    }

    /// Stops the queues and leaves, as a driver that is unloaded does.
    ///
    /// # Errors
    /// Fails when the device does not answer.
    pub fn unload(&mut self) -> Result<()> {
        if !self.pairs.is_empty() {
            self.disable_queues(self.all_queues(), self.all_queues())?;
        }
        let (mailbox, client) = self.mailbox()?;
        mailbox.shut_down(client)?;
        self.forget()
    }

    /// Forgets mailbox, rings and vectors, for after a reset.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.pairs.clear();
        self.mailbox = None;
        self.events.clear();
        self.link = None;
        self.impending = false;
        self.memory.release(&self.mark);
        self.close_interrupts()
    }

    /// Changes what the VM is asked to be, from the next start or reset on.
    pub fn configure(&mut self, change: impl FnOnce(&mut AvfVmConfig)) {
        change(&mut self.config);
    }

    /// Everything from the mailbox to the link. After a reset the version is not asked for again.
    pub(super) fn bring_up(&mut self, version: bool) -> Result<()> {
        self.refused.clear();
        self.open_mailbox(version)?;
        let vectors = self.open_interrupts()?;
        self.map_vectors(vectors)?;
        let vsi = self.resources.vsi;
        let own = messages::ether_addresses(vsi, &[(self.mac, AddressKind::Primary)]);
        self.try_request(op::ADD_ETH_ADDR, &own)?;
        self.open_rss()?;
        self.open_vlan()?;
        self.open_rings(vectors)?;
        self.configure_queues()?;
        self.enable_queue_interrupts()?;
        let all = self.all_queues();
        self.demand(op::ENABLE_QUEUES, &messages::queue_select(vsi, all, all))?;
        // What was said of the link before does not count.
        self.link = None;
        let deadline = Instant::now() + VIRTCHNL_DEADLINE;
        if !self.wait_until(deadline, |vm| vm.link.is_some())? {
            let what = "word of the link".into();
            return Err(Error::Timeout { what });
        }
        Ok(())
    }

    /// Waits for the device, and opens the mailbox and nothing more: for whoever wants to say the rest himself.
    ///
    /// # Errors
    /// Fails when the device is not there in time, or the mailbox cannot be placed.
    pub fn open(&mut self) -> Result<()> {
        let there = |state| matches!(state, ResetState::Completed | ResetState::Active);
        self.wait_state(there)?;
        self.mailbox = Some(Mailbox::start(
            &mut self.memory,
            &mut self.client,
            self.registers,
        )?);
        Ok(())
    }

    /// The mailbox, and what the device gives the function.
    fn open_mailbox(&mut self, version: bool) -> Result<()> {
        self.open()?;
        if version {
            let body = VERSION.map(u32::to_le_bytes).concat();
            let answer = self.demand(op::VERSION, &body)?;
            let (words, rest) = answer.as_chunks::<4>();
            let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
            match (&words[..], rest) {
                ([1, minor], []) if *minor <= VERSION[1] => {}
                _ => return Err(Error::Device(format!("version {words:?}"))),
            }
        }
        let wanted = self.config.asked();
        let answer = self.demand(op::GET_VF_RESOURCES, &wanted.to_le_bytes())?;
        self.resources = Resources::decode(&answer)?;
        let unasked = self.resources.capabilities & !wanted;
        if unasked != 0 {
            return Err(Error::Device(format!("{unasked:#x} was granted unasked")));
        }
        let (pairs, given) = (self.config.queue_pairs, self.resources.queue_pairs);
        if pairs == 0 || pairs > given.min(self.resources.vsi_queue_pairs).min(16) {
            return Err(Error::Unsupported(format!(
                "{pairs} queue pairs of {given}"
            )));
        }
        self.mac = match self.resources.mac {
            [0, 0, 0, 0, 0, 0] => OWN_MAC,
            given => given,
        };
        self.vlan_caps = None;
        if self.resources.capabilities & cap::VLAN_V2 != 0 {
            let answer = self.demand(op::GET_OFFLOAD_VLAN_V2_CAPS, &[])?;
            self.vlan_caps = Some(VlanCaps::decode(&answer)?);
        }
        self.rxdids = 0;
        if self.resources.capabilities & cap::RX_FLEX_DESC != 0 {
            let formats = self.supported_rxdids()?;
            let all = formats.filter(|formats| has_format(*formats, rxdid::LEGACY));
            self.rxdids = all.ok_or_else(|| {
                Error::Device(format!("formats of receive descriptors: {formats:x?}"))
            })?;
        }
        Ok(())
    }

    /// How received frames are told of, as far as the device has what the configuration wants.
    fn rx_format(&self) -> RxFormat {
        RxFormat {
            flex: self.config.flex && has_format(self.rxdids, rxdid::FLEX),
            crc: self.config.keep_crc && self.resources.capabilities & cap::CRC != 0,
        }
    }

    /// Spreads the pairs over the vectors; that of the mailbox comes last.
    fn map_vectors(&mut self, vectors: u16) -> Result<()> {
        let mut map: Vec<(u16, u16)> = (1..vectors).map(|vector| (vector, 0)).collect();
        for pair in 0..self.config.queue_pairs {
            let queues = vectors - 1;
            map[usize::from(pair % queues)].1 |= 1 << pair;
        }
        map.push((0, 0));
        let body = messages::irq_map(self.resources.vsi, &map);
        self.demand(op::CONFIG_IRQ_MAP, &body).map(drop)
    }

    /// A key, and a table that spreads evenly.
    fn open_rss(&mut self) -> Result<()> {
        if self.resources.capabilities & cap::RSS_PF == 0 {
            return Ok(());
        }
        let own = (0..self.resources.key_size).map(|at| (at as u8).wrapping_mul(37) ^ 0x6d);
        let key = self.config.rss_key.clone();
        let key = key.unwrap_or_else(|| own.collect());
        self.set_rss_key(&key)?;
        let pairs = u32::from(self.config.queue_pairs);
        let table: Vec<u8> = (0..self.resources.lut_size)
            .map(|at| (at % pairs) as u8)
            .collect();
        self.set_rss_lut(&table).map(drop)
    }

    /// Switches tags in the rings on or off, where they can be.
    fn open_vlan(&mut self) -> Result<()> {
        // A device does not do both.
        let strip = self.config.strip_vlan && !self.rx_format().crc;
        if let Some(caps) = self.vlan_caps {
            if caps.stripping.iter().any(can_toggle) {
                self.set_vlan_strip(strip)?;
            }
            if caps.insertion.iter().any(can_toggle) {
                self.set_vlan_insert(true)?;
            }
        } else if self.resources.capabilities & cap::VLAN != 0 {
            self.set_vlan_strip(strip)?;
        }
        Ok(())
    }

    /// Makes the rings, and shows their receive buffers to the device before it knows where the rings are, as Linux's
    /// driver does.
    fn open_rings(&mut self, vectors: u16) -> Result<()> {
        let mut finder = DoorbellFinder::new(self.config.doorbells, &self.pci.bars[BAR as usize]);
        let format = self.rx_format();
        for pair in 0..self.config.queue_pairs {
            let rx = AvfRx::new(&mut self.memory, &self.config.rings, format)?;
            let tx = AvfTx::new(&mut self.memory, &self.config.rings)?;
            let bells = [
                finder.place(rx_queue(pair), reg::rx_tail(pair), 4)?,
                finder.place(tx_queue(pair), reg::tx_tail(pair), 4)?,
            ];
            let vector = 1 + pair % (vectors - 1);
            self.pairs.push(AvfPair {
                tx,
                rx,
                bells,
                vector,
            });
        }
        for pair in 0..self.config.queue_pairs {
            let vector = self.pair(pair).vector;
            for itr in [0, 1] {
                self.write_register(reg::itr(itr, vector), ITR)?;
            }
            self.pair(pair).rx.publish();
            self.kick(rx_queue(pair))?;
        }
        Ok(())
    }

    /// Tells the device where all rings are, and what is in them.
    ///
    /// # Errors
    /// Fails when the device refuses.
    pub fn configure_queues(&mut self) -> Result<()> {
        let pairs = self.queue_pairs();
        let body = messages::config_queues(self.resources.vsi, &pairs);
        self.demand(op::CONFIG_VSI_QUEUES, &body).map(drop)
    }

    /// What [`AvfVm::configure_queues`] tells the device.
    pub fn queue_pairs(&self) -> Vec<QueuePair> {
        // What the device names is the largest frame, whatever its name.
        let given = match self.resources.max_mtu {
            0 => MAX_FRAME,
            given => u32::from(given).min(MAX_FRAME),
        };
        let max_frame = self.config.max_frame.unwrap_or(given);
        let rxdid = |format: RxFormat| match (self.rxdids, format.flex) {
            (0, _) => 0,
            (_, true) => rxdid::FLEX,
            (_, false) => rxdid::LEGACY,
        };
        let each = |(queue, pair): (u16, &AvfPair)| QueuePair {
            queue,
            tx_len: pair.tx.size(),
            tx_base: pair.tx.base(),
            rx_len: pair.rx.size().into(),
            rx_base: pair.rx.base(),
            buffer: pair.rx.buffer_len() as u32,
            max_frame,
            keep_crc: pair.rx.format().crc,
            rxdid: rxdid(pair.rx.format()),
        };
        (0..).zip(&self.pairs).map(each).collect()
    }

    /// All queues of a direction, as bits.
    pub(super) fn all_queues(&self) -> u32 {
        (1 << self.pairs.len()) - 1
    }

    /// Waits until a reset is as far as `there` wants it.
    pub(super) fn wait_state(&mut self, there: impl Fn(ResetState) -> bool) -> Result<()> {
        let deadline = Instant::now() + AVF_RESET_DEADLINE;
        loop {
            let state = self.registers.reset_state(&mut self.client)?;
            if there(state) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = format!("a reset that is {state:?}");
                return Err(Error::Timeout { what });
            }
            self.breathe()?;
        }
    }
}

/// Whether a format is among these.
fn has_format(formats: u64, format: u8) -> bool {
    formats >> format & 1 != 0
}

/// Whether the driver may switch tags of the usual type.
fn can_toggle(caps: &u32) -> bool {
    let wanted = VLAN_TOGGLE | VLAN_8100;
    caps & wanted == wanted
}
