//! From a socket's path to a running device, and back.

use std::path::Path;

use super::FakeVm;
use super::attach::{self, Attached};
use super::bus::Bus;
use super::client::{Client, flags};
use super::config::{FakeVmConfig, InterruptMode};
use super::control::{Ack, ControlQueue};
use super::doorbell::{DoorbellFinder, DoorbellMode};
use super::error::{Error, Result};
use super::interrupts::Interrupts;
use super::net::{NetGuest, NetPair, feature, rx_queue, tx_queue};
use super::ring::QueueLayout;
use super::virtio::{NO_VECTOR, Transport, common, status};

impl FakeVm<Client> {
    /// Connects, brings the device up and starts its queues.
    ///
    /// # Errors
    /// Fails when the server refuses, or the device lacks what `config` demands.
    pub fn connect(path: &Path, config: FakeVmConfig) -> Result<Self> {
        let mut vm = Self::attach(path, config)?;
        vm.start()?;
        Ok(vm)
    }

    /// Connects and walks the PCI function, as a VMM and its firmware do; no driver runs yet.
    ///
    /// # Errors
    /// Fails when the server refuses, or the function is no modern virtio device.
    pub fn attach(path: &Path, config: FakeVmConfig) -> Result<Self> {
        Self::over(attach::client(path, config.capabilities)?, config)
    }
}

impl<B: Bus> FakeVm<B> {
    /// Gives the function memory and walks it; no driver runs yet.
    ///
    /// # Errors
    /// Fails when whoever has the function refuses, or it is no modern virtio device.
    pub fn over(client: B, config: FakeVmConfig) -> Result<Self> {
        let Attached {
            mut client,
            memory,
            mark,
            info,
            pci,
        } = Attached::walk(client, &config.memory_plan(), config.skew)?;
        let mappable = pci
            .bars
            .iter()
            .any(|bar| bar.flags & flags::REGION_MMAP != 0);
        let transport = Transport::new(&pci, !mappable)?;
        if info.flags & flags::DEVICE_RESET != 0 {
            client.reset()?;
            // The reset has taken bus mastering away.
            pci.set_bus_master(&mut client, true)?;
        }
        Ok(FakeVm {
            client,
            memory,
            info,
            pci,
            transport,
            correspondent: super::frame::BROADCAST,
            config,
            offered: 0,
            features: 0,
            pairs: Vec::new(),
            control: None,
            doorbells: Vec::new(),
            interrupts: None,
            mark,
            kicks: 0,
        })
    }

    /// Resets the device, agrees on features, sets up the queues and starts them.
    ///
    /// # Errors
    /// Fails when the device does not take what the configuration demands.
    pub fn start(&mut self) -> Result<()> {
        self.stop()?;
        self.offered = self.transport.device_features(&mut self.client)?;
        self.features = self.offered & self.config.features;
        if self.features & feature::VERSION_1 == 0 {
            return Err(Error::Device("VERSION_1 is not offered".into()));
        }
        self.transport.negotiate(&mut self.client, self.features)?;
        self.assign_interrupts()?;
        let pairs = self.config.queue_pairs;
        let multiqueue = self.features & (feature::MQ | feature::RSS) != 0;
        let largest = if multiqueue {
            self.max_queue_pairs()?
        } else {
            1
        };
        if pairs > largest {
            return Err(Error::Unsupported(format!(
                "{pairs} queue pairs of {largest}"
            )));
        }
        for index in 0..pairs {
            let mut pair = NetPair::new(&mut self.memory, &self.config.rings, self.features)?;
            let (rx, tx) = (*pair.rx.queue().layout(), *pair.tx.queue().layout());
            self.enable(rx_queue(index), &rx)?;
            self.enable(tx_queue(index), &tx)?;
            self.pairs.push(pair);
        }
        if self.features & feature::CTRL_VQ != 0 {
            let queue = ControlQueue::new(&mut self.memory, 2 * largest, self.features)?;
            let layout = *queue.layout();
            self.enable(queue.index, &layout)?;
            self.control = Some(queue);
        }
        for pair in &mut self.pairs {
            pair.rx.publish();
        }
        let bits = self.transport.status(&mut self.client)? | status::DRIVER_OK;
        self.transport.set_status(&mut self.client, bits)?;
        // The write is posted: what others send arrives only once the device has seen it.
        if self.transport.status(&mut self.client)? != bits {
            return Err(Error::Device("DRIVER_OK was not accepted".into()));
        }
        self.kick_receive_queues()?;
        if pairs > 1 && self.features & feature::MQ != 0 && self.set_queue_pairs(pairs)? != Ack::Ok
        {
            return Err(Error::Device(format!("{pairs} queue pairs were refused")));
        }
        Ok(())
    }

    /// Resets the device and gives back the memory of its queues.
    ///
    /// # Errors
    /// Fails when the device does not finish its reset.
    pub fn stop(&mut self) -> Result<()> {
        self.transport.reset(&mut self.client)?;
        self.forget_queues();
        if self.interrupts.take().is_some() {
            Interrupts::disable(&mut self.client)?;
        }
        Ok(())
    }

    /// Forgets all queues, for after a reset that came another way.
    pub fn forget_queues(&mut self) {
        self.pairs.clear();
        self.control = None;
        self.doorbells.clear();
        self.memory.release(&self.mark);
    }

    /// Changes what the VM is asked to be, from the next [`FakeVm::start`] on.
    pub fn configure(&mut self, change: impl FnOnce(&mut FakeVmConfig)) {
        change(&mut self.config);
    }

    /// Resets the transmit ring of a pair alone and starts it again (virtio 1.3 2.6.1).
    ///
    /// # Errors
    /// Fails when the feature was not agreed on, or the device does not finish.
    pub fn restart_tx(&mut self, pair: u16) -> Result<()> {
        let queue = tx_queue(pair);
        self.disable(queue)?;
        let tx = &mut self.pairs[usize::from(pair)].tx;
        tx.renew(&self.memory)?;
        let layout = *tx.queue().layout();
        self.enable(queue, &layout)
    }

    /// Resets the receive ring of a pair alone and starts it again (virtio 1.3 2.6.1).
    ///
    /// # Errors
    /// Fails when the feature was not agreed on, or the device does not finish.
    pub fn restart_rx(&mut self, pair: u16) -> Result<()> {
        let queue = rx_queue(pair);
        self.disable(queue)?;
        let rx = &mut self.pairs[usize::from(pair)].rx;
        rx.renew(&self.memory)?;
        let layout = *rx.queue().layout();
        self.enable(queue, &layout)?;
        if self.pair(pair).rx.publish() {
            self.kick(queue)?;
        }
        Ok(())
    }

    fn disable(&mut self, queue: u16) -> Result<()> {
        if self.features & feature::RING_RESET == 0 {
            return Err(Error::Unsupported("RING_RESET was not agreed on".into()));
        }
        self.transport.reset_queue(&mut self.client, queue)?;
        self.doorbells.retain(|(index, _)| *index != queue);
        Ok(())
    }

    fn assign_interrupts(&mut self) -> Result<()> {
        if self.config.interrupts == InterruptMode::Polling {
            return Ok(());
        }
        // One for the configuration, one for each queue, the control queue included.
        let wanted = 2 + 2 * self.config.queue_pairs;
        let vectors = wanted.min(self.client.vectors()?);
        if vectors == 0 {
            return Err(Error::Unsupported("the device has no MSI-X vectors".into()));
        }
        self.pci.enable_msix(&mut self.client, true)?;
        self.interrupts = Some(Interrupts::assign(&mut self.client, vectors)?);
        let vector = 0_u16.to_le_bytes();
        self.transport
            .write(&mut self.client, common::CONFIG_MSIX_VECTOR, &vector)
    }

    /// The vector of a queue, if it has one of its own.
    pub fn vector_of(&self, queue: u16) -> Option<u16> {
        let vectors = self.interrupts.as_ref()?.vectors();
        Some(queue + 1).filter(|vector| *vector < vectors)
    }

    fn enable(&mut self, queue: u16, layout: &QueueLayout) -> Result<()> {
        let vector = self.vector_of(queue).unwrap_or(NO_VECTOR);
        let notify_off = self
            .transport
            .enable_queue(&mut self.client, queue, layout, vector)?;
        let region = &self.pci.bars[self.transport.notify.region as usize];
        // A device may keep the slow path of its control queue to messages.
        let mode = if queue < 2 * self.config.queue_pairs {
            self.config.doorbells
        } else {
            DoorbellMode::Auto
        };
        let bell = DoorbellFinder::new(mode, region).find(
            &mut self.client,
            &self.transport,
            queue,
            notify_off,
        )?;
        self.doorbells.push((queue, bell));
        Ok(())
    }

    /// Buffers may be there before `DRIVER_OK`, notifications come after it (virtio 1.3 3.1.1).
    fn kick_receive_queues(&mut self) -> Result<()> {
        for index in 0..self.pairs() {
            self.kick(rx_queue(index))?;
        }
        Ok(())
    }
}
