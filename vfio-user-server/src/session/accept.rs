//! A message becomes a request for the device, an answer, or a refusal.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use super::checks::{self, IrqRange};
use super::config::negotiate;
use super::framer::Message;
use super::refused::Refused;
use super::request::{Request, RequestKind};
use super::slots::{Class, Outgoing, Pending, class};
use super::{Phase, Session, Violation};
use crate::device::RegionRange;
use crate::dma_table::DmaTableLimits;
use crate::eventfd::is_eventfd;
use crate::wire::{
    Backing, Command, DmaMap, DmaMapBody, DmaUnmap, DmaUnmapBody, FeatureBody, HEADER_SIZE, Header,
    InfoBody, IoFdsBody, IrqData, IrqDataKind, MessageType, MigrationBody, MultiWrite,
    RegionAccessBody, RegionInfoReply, SetIrqs, SetIrqsBody, VersionBody, device_info_reply,
    irq_info_reply, multi_reply, multi_writes, region_access_reply, version_reply,
};

/// What becomes of a message.
enum Step {
    /// The session answers: a body and descriptors.
    Answer(Outgoing),
    /// The device has to answer.
    Ask {
        kind: RequestKind,
        pending: Pending,
        reserve: usize,
    },
    /// A REGION_WRITE_MULTI with at least one write: they are delivered one by one.
    Multi {
        next: VecDeque<MultiWrite>,
        total: u64,
    },
}

impl Step {
    fn body(body: Vec<u8>) -> Self {
        Self::Answer(Outgoing {
            bytes: body,
            fds: Vec::new(),
        })
    }

    fn ask(kind: RequestKind, pending: Pending) -> Self {
        Self::Ask {
            kind,
            pending,
            reserve: 0,
        }
    }
}

impl Session {
    pub(super) fn class_of(&self, message: &Message) -> Class {
        let command = Command::from_number(message.header.command);
        match command {
            // All maps at once: not to be mixed with single ones.
            Some(Command::DmaUnmap)
                if !matches!(
                    DmaUnmapBody::parse(&message.body, self.config.max_data_xfer_size),
                    Ok(DmaUnmapBody {
                        unmap: DmaUnmap::Range { .. },
                        ..
                    })
                ) =>
            {
                Class::Exclusive
            }
            Some(command) => class(command),
            None => Class::Access,
        }
    }

    pub(super) fn accept(&mut self, message: Message) -> Option<Request> {
        let header = message.header;
        let class = self.class_of(&message);
        if header.kind == MessageType::Command {
            self.observer.request(header.command);
        }
        match self.step(message) {
            Ok((_, Step::Answer(answer))) => {
                self.observer.succeeded();
                let outgoing = (!header.no_reply).then(|| reply(&header, answer));
                self.slots.answered(header, outgoing);
                None
            }
            Ok((
                command,
                Step::Ask {
                    kind,
                    pending,
                    reserve,
                },
            )) => {
                let reserve = if header.no_reply {
                    0
                } else {
                    HEADER_SIZE + reserve
                };
                let token = self.slots.wait(header, class, reserve, pending);
                Some(Request {
                    token,
                    command,
                    kind,
                })
            }
            Ok((command, Step::Multi { mut next, total })) => {
                let reserve = if header.no_reply { 0 } else { HEADER_SIZE + 8 };
                let first = next.pop_front()?;
                let pending = Pending::Multi { next, total };
                let token = self.slots.wait(header, class, reserve, pending);
                Some(Request {
                    token,
                    command,
                    kind: write_request(&first),
                })
            }
            Err(refused) => {
                let outgoing = self.refusal(&header, &refused);
                self.slots.answered(header, outgoing);
                if matches!(self.phase, Phase::Greeting) {
                    self.phase = Phase::Closing(Violation::Negotiation(refused.to_string()));
                }
                None
            }
        }
    }

    fn step(&mut self, message: Message) -> Result<(Command, Step), Refused> {
        let Message { header, body, fds } = message;
        match header.kind {
            MessageType::Command => {}
            MessageType::Reply => return Err(Refused::UnsolicitedReply(header.id)),
            MessageType::Unknown(bits) => return Err(Refused::MessageType(bits)),
        }
        if fds.lost {
            return Err(Refused::FdsLost);
        }
        if fds.excess {
            return Err(Refused::TooManyFds(self.config.max_msg_fds as usize));
        }
        let mut fds = fds.fds;
        let command =
            Command::from_number(header.command).ok_or(Refused::UnknownCommand(header.command))?;
        match (&self.phase, command) {
            (Phase::Running, Command::Version) => return Err(Refused::AlreadyNegotiated),
            (Phase::Running, _) | (_, Command::Version) => {}
            _ => return Err(Refused::NotNegotiated(header.command)),
        }
        if !matches!(command, Command::DmaMap | Command::DeviceSetIrqs) {
            checks::no_fds(&fds)?;
        }
        let max = self.config.max_data_xfer_size;
        let step = match command {
            Command::Version => self.version(&body)?,
            Command::DmaMap => {
                checks::at_most_one(&fds)?;
                self.dma_map(&body, fds.pop())?
            }
            Command::DmaUnmap => self.dma_unmap(&body)?,
            Command::DeviceGetInfo => self.device_info(&body)?,
            Command::DeviceGetRegionInfo => self.region_info(&body)?,
            Command::DeviceGetRegionIoFds => self.region_io_fds(&body)?,
            Command::DeviceGetIrqInfo => self.irq_info(&body)?,
            Command::DeviceSetIrqs => self.set_irqs(&body, fds)?,
            Command::RegionRead => self.region_read(&body)?,
            Command::RegionWrite => self.region_write(body)?,
            Command::DmaRead | Command::DmaWrite => return Err(Refused::ServerCommand(command)),
            Command::DeviceReset => Step::ask(RequestKind::Reset, Pending::Plain),
            Command::RegionWriteMulti => self.region_write_multi(&body)?,
            Command::DeviceFeature => {
                let FeatureBody { flags, request } = FeatureBody::parse(&body, max)?;
                let (operation, max_data) = (request.operation, request.max_data);
                let data = request.data.clone();
                Step::Ask {
                    kind: RequestKind::Feature(request),
                    pending: Pending::Feature {
                        flags,
                        operation,
                        data,
                        max_data,
                    },
                    reserve: 8 + max_data as usize,
                }
            }
            Command::MigDataRead => {
                let MigrationBody { size } = MigrationBody::read(&body, max)?;
                Step::Ask {
                    kind: RequestKind::MigrationRead(size),
                    pending: Pending::MigrationRead(size),
                    reserve: 8 + size as usize,
                }
            }
            Command::MigDataWrite => {
                let (_, data) = MigrationBody::write(&body, max)?;
                Step::ask(RequestKind::MigrationWrite(data.to_vec()), Pending::Plain)
            }
        };
        Ok((command, step))
    }

    fn version(&mut self, body: &[u8]) -> Result<Step, Refused> {
        let client = VersionBody::parse(body)?;
        let (negotiated, capabilities) =
            negotiate(&self.config, self.description.migration(), &client)?;
        self.transfers.set_chunk(
            negotiated.max_data_xfer_size,
            negotiated.client_max_data_xfer_size,
        );
        self.negotiated = Some(negotiated);
        self.phase = Phase::Running;
        Ok(Step::body(version_reply(negotiated.minor, capabilities)))
    }

    fn device_info(&self, body: &[u8]) -> Result<Step, Refused> {
        InfoBody::device(body)?;
        let description = &self.description;
        Ok(Step::body(device_info_reply(
            description.flags(),
            description.regions().len() as u32,
            description.irqs().len() as u32,
        )))
    }

    fn region_info(&self, body: &[u8]) -> Result<Step, Refused> {
        let InfoBody { argsz, index } = InfoBody::region(body)?;
        let region = checks::region(&self.description, index)?;
        let mappable = self
            .negotiated
            .is_some_and(|agreed| agreed.client_max_msg_fds > 0);
        let RegionInfoReply { body, with_fd } =
            RegionInfoReply::new(region, index, argsz, mappable);
        let mapping = region.mapping.as_ref().filter(|_| with_fd);
        let fds = mapping
            .map(|mapping| mapping.fd.clone())
            .into_iter()
            .collect();
        Ok(Step::Answer(Outgoing { bytes: body, fds }))
    }

    fn irq_info(&self, body: &[u8]) -> Result<Step, Refused> {
        let InfoBody { index, .. } = InfoBody::irq(body)?;
        let irq = checks::irq(&self.description, index)?;
        Ok(Step::body(irq_info_reply(index, irq.flags(), irq.count)))
    }

    fn region_io_fds(&self, body: &[u8]) -> Result<Step, Refused> {
        let request = IoFdsBody::parse(body, self.config.max_data_xfer_size)?;
        if checks::region(&self.description, request.index)?.flags() == 0 {
            return Err(Refused::EmptyRegion(request.index));
        }
        Ok(Step::Ask {
            kind: RequestKind::RegionIoFds(request.index),
            pending: Pending::RegionIoFds(request),
            reserve: request.argsz as usize,
        })
    }

    fn dma_map(&mut self, body: &[u8], fd: Option<OwnedFd>) -> Result<Step, Refused> {
        let map = DmaMapBody::parse(body)?;
        let backing = match fd {
            Some(fd) => {
                checks::file_range(map.offset, map.size)?;
                if map.file_io {
                    Backing::FileIo(fd)
                } else {
                    Backing::Mmap(fd)
                }
            }
            None if map.mmap || map.file_io => return Err(Refused::MissingFd),
            None => Backing::Messages,
        };
        let limits = DmaTableLimits {
            maps: self
                .negotiated
                .map_or(0, |agreed| agreed.max_dma_maps as usize),
            size: self.config.max_dma_map_size,
            page: self.negotiated.map_or(1, |agreed| agreed.page_size()),
        };
        let range = (map.address, map.size);
        self.table
            .insert(range, map.readable, map.writable, limits)?;
        let kind = RequestKind::DmaMap(DmaMap {
            address: map.address,
            size: map.size,
            offset: map.offset,
            readable: map.readable,
            writable: map.writable,
            backing,
        });
        Ok(Step::ask(
            kind,
            Pending::DmaMap {
                address: map.address,
            },
        ))
    }

    fn dma_unmap(&mut self, body: &[u8]) -> Result<Step, Refused> {
        let unmap = DmaUnmapBody::parse(body, self.config.max_data_xfer_size)?;
        if let DmaUnmap::Range { address, size } = unmap.unmap {
            self.table.leave(address, size)?;
        }
        let bitmap = unmap.dirty.map_or(0, |query| query.bitmap_size as usize);
        Ok(Step::Ask {
            kind: RequestKind::DmaUnmap(unmap.unmap, unmap.dirty),
            pending: Pending::DmaUnmap(unmap),
            reserve: 40 + bitmap,
        })
    }

    fn set_irqs(&self, body: &[u8], fds: Vec<OwnedFd>) -> Result<Step, Refused> {
        let SetIrqsBody {
            index,
            start,
            count,
            action,
            data,
        } = SetIrqsBody::parse(body)?;
        let irq = checks::irq(&self.description, index)?;
        let eventfds = data == IrqDataKind::EventFd;
        let range = IrqRange {
            index,
            start,
            count,
        };
        let disable = checks::irq_range(irq, range, action, &data)?;
        if !fds.is_empty() && (!eventfds || fds.len() != count as usize) {
            let want = if eventfds { count as usize } else { 0 };
            return Err(Refused::UnexpectedFds {
                got: fds.len(),
                want,
            });
        }
        if self.config.require_eventfds
            && let Some(which) = fds.iter().position(|fd| !is_eventfd(fd.as_fd()))
        {
            return Err(Refused::NotEventFd(which));
        }
        let data = match data {
            IrqDataKind::None if disable => IrqData::DisableAll,
            IrqDataKind::None => IrqData::All,
            IrqDataKind::Bool(bools) => IrqData::Where(bools),
            IrqDataKind::EventFd if fds.is_empty() => IrqData::Disconnect,
            IrqDataKind::EventFd => IrqData::Connect(fds),
        };
        let kind = RequestKind::SetIrqs(SetIrqs {
            index,
            start,
            count,
            action,
            data,
        });
        Ok(Step::ask(kind, Pending::Plain))
    }

    fn region_read(&self, body: &[u8]) -> Result<Step, Refused> {
        let access = RegionAccessBody::read(body)?;
        checks::access(
            &self.description,
            access,
            self.config.max_data_xfer_size,
            false,
        )?;
        if access.count == 0 {
            return Ok(Step::body(region_access_reply(access, &[])));
        }
        Ok(Step::Ask {
            kind: RequestKind::RegionRead(range(access)),
            pending: Pending::RegionRead(access),
            reserve: 16 + access.count as usize,
        })
    }

    fn region_write(&self, mut body: Vec<u8>) -> Result<Step, Refused> {
        let (access, data) = RegionAccessBody::write(&body)?;
        checks::access(
            &self.description,
            access,
            self.config.max_data_xfer_size,
            true,
        )?;
        if access.count == 0 {
            return Ok(Step::body(region_access_reply(access, &[])));
        }
        let fixed = body.len() - data.len();
        body.drain(..fixed);
        Ok(Step::Ask {
            kind: RequestKind::RegionWrite(range(access), body),
            pending: Pending::RegionWrite(access),
            reserve: 16,
        })
    }

    fn region_write_multi(&self, body: &[u8]) -> Result<Step, Refused> {
        if !self.negotiated.is_some_and(|agreed| agreed.write_multiple) {
            return Err(Refused::NoWriteMulti);
        }
        let writes = multi_writes(body)?;
        for write in &writes {
            checks::access(&self.description, write.access, 8, true)?;
        }
        let total = writes.len() as u64;
        let next: VecDeque<_> = writes
            .into_iter()
            .filter(|write| write.access.count > 0)
            .collect();
        if next.is_empty() {
            return Ok(Step::body(multi_reply(total)));
        }
        Ok(Step::Multi { next, total })
    }
}

/// One write of a REGION_WRITE_MULTI as a request.
pub(super) fn write_request(write: &MultiWrite) -> RequestKind {
    RequestKind::RegionWrite(range(write.access), write.data().to_vec())
}

fn range(access: RegionAccessBody) -> RegionRange {
    RegionRange {
        region: access.region,
        offset: access.offset,
        count: access.count,
    }
}

/// Puts the header before a reply's body.
pub(super) fn reply(header: &Header, answer: Outgoing) -> Outgoing {
    let mut bytes = Vec::with_capacity(HEADER_SIZE + answer.bytes.len());
    header.reply(answer.bytes.len()).write_to(&mut bytes);
    bytes.extend_from_slice(&answer.bytes);
    Outgoing {
        bytes,
        fds: answer.fds,
    }
}
