//! A CVF as a vfio-user device.

use std::sync::Arc;

use libcvf::cvf::{Cvf, MapRequest, Quiescing};
use vfio_user_server::vfio::{VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX};
use vfio_user_server::wire::{Backing, DmaMap, DmaUnmap, IoFd, IrqAction, SetIrqs};
use vfio_user_server::{
    Answer, Context, Description, DescriptionError, Device, Ended, Errno, Irq, Link, Mapping,
    MmapArea, Region, RegionRange,
};

use super::bells::Bells;
use super::gate::DeviceGate;
use super::irqs::{self, UnmaskWatch};
use super::numbers;
use super::patrol::{Patrol, Watch};
use super::quiet::quiet;
use crate::engine::{Events, Happening};

/// What a client sees of `cvf`.
///
/// # Errors
/// No client could map its doorbells.
pub(super) fn describe(cvf: &Cvf) -> Result<Description, DescriptionError> {
    let mut description = Description::pci();
    for (index, info) in (0..).zip(cvf.regions()) {
        let mapping = info.map.as_ref().map(|map| Mapping {
            fd: map.fd.clone(),
            offset: map.fd_offset,
            areas: map
                .areas
                .iter()
                .map(|&(offset, size)| MmapArea { offset, size })
                .collect(),
        });
        let region = Region {
            size: info.size,
            readable: info.readable,
            writable: info.writable,
            registers_only: false,
            mapping,
        };
        description = description.region(index, region)?;
    }
    for (index, count) in (0..).zip(cvf.irq_counts()).filter(|&(_, count)| count > 0) {
        let irq = if index == VFIO_PCI_INTX_IRQ_INDEX {
            Irq::intx()
        } else {
            Irq::message_signalled(count)
        };
        description = description.irq(index, irq)?;
    }
    Ok(description)
}

/// One client's session with a CVF.
pub(super) struct Adapter {
    cvf: Arc<Cvf>,
    gate: Arc<DeviceGate>,
    description: Arc<Description>,
    unmask: Option<UnmaskWatch>,
    /// Doorbells by event, once the client has asked for them.
    bells: Option<Bells>,
    /// What the client left behind.
    leaving: Option<Quiescing>,
    patrol: Patrol,
    watch: Option<Watch>,
    events: Events,
    /// What was told last: the driver runs.
    told: bool,
    /// Whether the device counted its frames then.
    counted: bool,
}

impl Adapter {
    pub(super) fn new(
        cvf: Arc<Cvf>,
        gate: Arc<DeviceGate>,
        description: Arc<Description>,
        patrol: Patrol,
        events: Events,
    ) -> Self {
        Self {
            counted: cvf.counts(),
            cvf,
            gate,
            description,
            unmask: None,
            bells: None,
            leaving: None,
            patrol,
            watch: None,
            events,
            told: false,
        }
    }

    /// Tells it when the driver has begun or ended to run, or the device was stopped under it. Looked at
    /// after each message: a driver that was stopped is interrupted, and asks for the reason.
    fn tell_driver(&mut self) {
        let counts = self.cvf.counts();
        if counts != self.counted {
            self.counted = counts;
            if let Some(watch) = &self.watch {
                watch.turned();
            }
        }
        let runs = self.cvf.driver_runs();
        if runs != self.told {
            self.told = runs;
            self.events.publish(Happening::Driver {
                device: self.cvf.spec().name.clone(),
                driver: numbers::driver(&self.cvf.health()),
            });
        }
    }

    /// After the session: what must be quiet before the next client.
    pub(super) fn leaving(&mut self) -> Option<Quiescing> {
        self.leaving.take()
    }

    /// Answers now if it is quiet already, else when it is; a client whose memory the data plane
    /// does not let go of is cut off.
    fn answer(&self, cx: &mut Context<'_>, mut quiescing: Quiescing) -> Answer<()> {
        if quiescing.try_finish() {
            return Answer::ok(());
        }
        let (deferred, answer) = cx.defer();
        let shutdown = cx.link().shutdown_handle();
        let identity = self.cvf.spec().identity();
        tokio::spawn(async move {
            match quiet(quiescing).await {
                Ok(()) => deferred.complete(Ok(())),
                Err(late) => {
                    tracing::error!(device = identity.device, uuid = %identity.uuid(), "a client is cut off: {late}");
                    deferred.complete(Err(Errno::ETIMEDOUT));
                    shutdown.shutdown();
                }
            }
        });
        answer
    }
}

fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw(errno as i32)
}

impl Device for Adapter {
    fn describe(&self) -> Arc<Description> {
        self.description.clone()
    }

    fn connected(&mut self, link: &Link) {
        self.gate.conduct().client(link.shutdown_handle());
        self.cvf.connected();
        self.counted = self.cvf.counts();
        self.watch = Some(self.patrol.watch(&self.cvf, &self.gate));
    }

    fn disconnected(&mut self, _: &Ended) {
        self.unmask = None;
        self.bells = None;
        // Before the reset, which would take back what follows from the last look.
        self.watch = None;
        self.leaving = Some(self.cvf.disconnected());
        self.tell_driver();
    }

    fn region_read(&mut self, _: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        let mut data = vec![0; at.count as usize];
        let read = self.cvf.read(at.region, at.offset, &mut data);
        self.tell_driver();
        match read {
            Ok(()) => Answer::ok(data),
            Err(_) => Answer::err(Errno::EINVAL),
        }
    }

    fn region_write(&mut self, _: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()> {
        let written = self.cvf.write(at.region, at.offset, data);
        self.tell_driver();
        written.map_err(|_| Errno::EINVAL).into()
    }

    fn dma_map(&mut self, _: &mut Context<'_>, map: DmaMap) -> Answer<()> {
        let request = MapRequest {
            iova: map.address,
            size: map.size,
            fd: match map.backing {
                Backing::Mmap(fd) => Some(fd),
                Backing::Messages | Backing::FileIo(_) => None,
            },
            fd_offset: map.offset,
            read: map.readable,
            write: map.writable,
        };
        self.cvf
            .map(request)
            .map_err(|error| errno(error.errno()))
            .into()
    }

    fn dma_unmap(&mut self, cx: &mut Context<'_>, unmap: DmaUnmap) -> Answer<()> {
        let unmapped = match unmap {
            DmaUnmap::Range { address, size } => self.cvf.unmap(address, size),
            DmaUnmap::All => Ok(self.cvf.unmap_all()),
        };
        match unmapped {
            Ok(quiescing) => self.answer(cx, quiescing),
            Err(error) => Answer::err(errno(error.errno())),
        }
    }

    fn set_irqs(&mut self, _: &mut Context<'_>, irqs: SetIrqs) -> Answer<()> {
        let about_unmask = irqs.index == VFIO_PCI_INTX_IRQ_INDEX
            && (irqs.count == 0 || irqs.action == IrqAction::Unmask);
        let request = irqs::request(irqs);
        let events = matches!(request.data, libcvf::cvf::IrqData::Events(_)) || request.count == 0;
        let watch = match self.cvf.set_irqs(request) {
            Ok(watch) => watch,
            Err(error) => return Answer::err(errno(error.errno())),
        };
        if about_unmask && events {
            self.unmask = None;
        }
        if let Some(fd) = watch {
            match UnmaskWatch::start(self.cvf.clone(), fd) {
                Ok(watch) => self.unmask = Some(watch),
                Err(_) => return Answer::err(Errno::EINVAL),
            }
        }
        Answer::ok(())
    }

    fn region_io_fds(&mut self, cx: &mut Context<'_>, region: u32) -> Answer<Vec<IoFd>> {
        let limit = cx
            .link()
            .negotiated()
            .map_or(0, |agreed| agreed.client_max_msg_fds as usize)
            .min(vfio_user_server::limits::SCM_MAX_FD);
        let bells = match self.bells.take() {
            Some(bells) => bells,
            None => match Bells::hang(&self.cvf, limit) {
                Ok(bells) => bells,
                Err(error) => {
                    let identity = self.cvf.spec().identity();
                    tracing::warn!(device = identity.device, uuid = %identity.uuid(), "a client gets no doorbells by event: {error}");
                    return Answer::err(Errno::from(error));
                }
            },
        };
        let entries = bells.of_region(region);
        self.bells = Some(bells);
        Answer::ok(entries)
    }

    fn reset(&mut self, cx: &mut Context<'_>) -> Answer<()> {
        let quiescing = self.cvf.reset();
        self.tell_driver();
        self.answer(cx, quiescing)
    }
}

const _: () = assert!(VFIO_PCI_INTX_IRQ_INDEX == 0 && VFIO_PCI_MSIX_IRQ_INDEX == 2);
