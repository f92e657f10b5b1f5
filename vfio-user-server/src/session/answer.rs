//! A device's answer becomes a reply, or a refusal if it does not fit the request.

use super::Session;
use super::accept::{reply, write_request};
use super::refused::Refused;
use super::request::{Reply, Request};
use super::slots::{Class, Outgoing, Pending, Taken};
use crate::errno::Errno;
use crate::limits;
use crate::wire::{
    Command, DirtyBitmap, DmaUnmap, DmaUnmapBody, FeatureBody, FeatureOperation, HEADER_SIZE, IoFd,
    IoFdsBody, MigrationBody, io_fds_reply, multi_reply, region_access_reply,
};

const WRONG_KIND: Refused = Refused::BadAnswer("it is of another kind");

impl Session {
    pub(super) fn answer(&mut self, taken: Taken, result: Result<Reply, Errno>) {
        let Taken {
            index,
            header,
            pending,
        } = taken;
        let result = match pending {
            Pending::Multi { mut next, total } => match (result, next.pop_front()) {
                (Ok(_), Some(write)) => {
                    let reserve = if header.no_reply { 0 } else { HEADER_SIZE + 8 };
                    let pending = Pending::Multi { next, total };
                    let token = self
                        .slots
                        .wait_again(index, Class::Exclusive, reserve, pending);
                    let command = Command::RegionWriteMulti;
                    self.ready = Some(Request {
                        token,
                        command,
                        kind: write_request(&write),
                    });
                    return;
                }
                (Ok(_), None) => Ok(body(multi_reply(total))),
                (Err(errno), _) => Err(Refused::Device(errno)),
            },
            pending => self.fit(pending, result),
        };
        let outgoing = match result {
            Ok(answer) => {
                self.observer.succeeded();
                (!header.no_reply).then(|| reply(&header, answer))
            }
            Err(refused) => self.refusal(&header, &refused),
        };
        self.slots.answer(index, outgoing);
    }

    /// Applies an answer to the session's own state and makes it the body of a reply.
    fn fit(&mut self, pending: Pending, result: Result<Reply, Errno>) -> Result<Outgoing, Refused> {
        match pending {
            Pending::DmaMap { address } => {
                if result.is_err() {
                    self.table.remove(address);
                }
                done(result)
            }
            Pending::DmaUnmap(unmap) => self.unmapped(&unmap, result),
            Pending::RegionIoFds(request) => match result.map_err(Refused::Device)? {
                Reply::IoFds(entries) => self.io_fds(request, &entries),
                _ => Err(WRONG_KIND),
            },
            Pending::RegionRead(access) => {
                let data = data(result)?;
                if data.len() != access.count as usize {
                    return Err(Refused::BadAnswer(
                        "it has another length than was asked for",
                    ));
                }
                Ok(body(region_access_reply(access, &data)))
            }
            Pending::RegionWrite(access) => {
                done(result)?;
                Ok(body(region_access_reply(access, &[])))
            }
            Pending::Feature {
                flags,
                operation,
                data: request,
                max_data,
            } => {
                let data = data(result)?;
                let data = if matches!(operation, FeatureOperation::Probe { .. }) {
                    request
                } else {
                    data
                };
                if data.len() > max_data as usize {
                    return Err(Refused::NoRoom {
                        needed: data.len(),
                        room: max_data as usize,
                    });
                }
                Ok(body(FeatureBody::reply(flags, &data)))
            }
            Pending::MigrationRead(size) => {
                let data = data(result)?;
                if data.len() > size as usize {
                    return Err(Refused::BadAnswer("it is longer than was asked for"));
                }
                Ok(body(MigrationBody::reply(&data)))
            }
            // Multi is answered above.
            Pending::Plain | Pending::Multi { .. } => done(result),
        }
    }

    fn unmapped(
        &mut self,
        unmap: &DmaUnmapBody,
        result: Result<Reply, Errno>,
    ) -> Result<Outgoing, Refused> {
        // Even with an answer of the wrong kind the device has let go of the memory.
        match (unmap.unmap, &result) {
            (DmaUnmap::Range { address, .. }, Ok(_)) => self.table.remove(address),
            (DmaUnmap::Range { address, .. }, Err(_)) => self.table.stay(address),
            (DmaUnmap::All, Ok(_)) => self.table.clear(),
            (DmaUnmap::All, Err(_)) => {}
        }
        match (result.map_err(Refused::Device)?, unmap.dirty) {
            (Reply::Done, None) => Ok(body(unmap.reply(None))),
            (Reply::Dirty(DirtyBitmap(bits)), Some(query)) => {
                if bits.len() as u64 != query.bitmap_size {
                    return Err(Refused::BadAnswer("the bitmap has another size"));
                }
                Ok(body(unmap.reply(Some(&bits))))
            }
            _ => Err(WRONG_KIND),
        }
    }

    fn io_fds(&self, request: IoFdsBody, entries: &[IoFd]) -> Result<Outgoing, Refused> {
        let size = self
            .description
            .regions()
            .get(request.index as usize)
            .map_or(0, |region| region.size);
        let inside = |entry: &IoFd| {
            entry
                .offset
                .checked_add(entry.size)
                .is_some_and(|end| end <= size)
        };
        if entries.len() > limits::MAX_IO_FDS || !entries.iter().all(inside) {
            return Err(Refused::BadAnswer("an entry lies outside the region"));
        }
        let (bytes, fds) = io_fds_reply(request, entries);
        let limit = self
            .negotiated
            .map_or(0, |agreed| agreed.client_max_msg_fds);
        let limit = limit.min(limits::SCM_MAX_FD as u32);
        if fds.len() > limit as usize {
            return Err(Refused::TooManyReplyFds {
                needed: fds.len(),
                limit,
            });
        }
        Ok(Outgoing { bytes, fds })
    }
}

fn body(bytes: Vec<u8>) -> Outgoing {
    Outgoing {
        bytes,
        fds: Vec::new(),
    }
}

fn done(result: Result<Reply, Errno>) -> Result<Outgoing, Refused> {
    match result.map_err(Refused::Device)? {
        Reply::Done => Ok(body(Vec::new())),
        _ => Err(WRONG_KIND),
    }
}

fn data(result: Result<Reply, Errno>) -> Result<Vec<u8>, Refused> {
    match result.map_err(Refused::Device)? {
        Reply::Data(data) => Ok(data),
        _ => Err(WRONG_KIND),
    }
}
