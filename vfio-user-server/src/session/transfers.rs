//! DMA_READ and DMA_WRITE: the server's own requests.
//!
//! Message ids of the two directions are separate: a reply is matched with what was asked here, a
//! command of the client with nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::outbox::Outbox;
use super::request::{DmaDone, DmaId};
use crate::dma_table::DmaTable;
use crate::errno::Errno;
use crate::limits;
use crate::wire::{Command, DmaReadReply, DmaWriteReply, HEADER_SIZE, Header, dma_access_body};

#[derive(Debug)]
enum Data {
    Read(Vec<u8>),
    Write(Vec<u8>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Read(data) | Self::Write(data) => data.len(),
        }
    }
}

#[derive(Debug)]
struct Job {
    address: u64,
    data: Data,
    // Bytes asked for so far, and messages not yet replied to.
    asked: usize,
    in_flight: usize,
    failed: Option<Errno>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    job: u64,
    offset: usize,
    length: usize,
    command: Command,
}

/// Transfers under way.
#[derive(Debug)]
pub(super) struct Transfers {
    chunk: usize,
    jobs: BTreeMap<u64, Job>,
    // Jobs with something left to ask for, oldest first.
    unasked: VecDeque<u64>,
    in_flight: HashMap<u16, Part>,
    done: VecDeque<DmaDone>,
    last_id: u64,
    next_message: u16,
    bytes: usize,
}

impl Transfers {
    pub(super) fn new() -> Self {
        Self {
            chunk: limits::MAX_DMA_CHUNK,
            jobs: BTreeMap::new(),
            unasked: VecDeque::new(),
            in_flight: HashMap::new(),
            done: VecDeque::new(),
            last_id: 0,
            next_message: 0,
            bytes: 0,
        }
    }

    /// Bounds a message's data by what both sides accept.
    pub(super) fn set_chunk(&mut self, ours: u32, client: u64) {
        let client = usize::try_from(client).unwrap_or(usize::MAX);
        self.chunk = limits::MAX_DMA_CHUNK.min(ours as usize).min(client);
    }

    pub(super) fn read(&mut self, address: u64, length: usize) -> Result<DmaId, Errno> {
        self.admit(length)?;
        Ok(self.start(address, Data::Read(vec![0; length])))
    }

    pub(super) fn write(&mut self, address: u64, data: Vec<u8>) -> Result<DmaId, Errno> {
        self.admit(data.len())?;
        Ok(self.start(address, Data::Write(data)))
    }

    fn admit(&self, length: usize) -> Result<(), Errno> {
        if length > limits::MAX_DMA_TRANSFER {
            return Err(Errno::EMSGSIZE);
        }
        if self.chunk == 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.jobs.len() >= limits::MAX_DMA_PENDING
            || self.bytes + length > limits::MAX_DMA_PENDING_BYTES
        {
            return Err(Errno::ENOBUFS);
        }
        Ok(())
    }

    fn start(&mut self, address: u64, data: Data) -> DmaId {
        self.last_id += 1;
        let id = self.last_id;
        self.bytes += data.len();
        self.jobs.insert(
            id,
            Job {
                address,
                data,
                asked: 0,
                in_flight: 0,
                failed: None,
            },
        );
        self.unasked.push_back(id);
        DmaId(id)
    }

    /// Asks for as much as may be under way at once.
    pub(super) fn pump(&mut self, table: &DmaTable, out: &mut Outbox) {
        while self.in_flight.len() < limits::MAX_DMA_IN_FLIGHT
            && out.queued() < limits::MAX_QUEUED_OUTPUT
        {
            let Some(&id) = self.unasked.front() else {
                return;
            };
            if !self.ask(id, table, out) {
                self.unasked.pop_front();
                self.finish(id);
            }
        }
    }

    // Sends the next message of a job; false if it has none left.
    fn ask(&mut self, id: u64, table: &DmaTable, out: &mut Outbox) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else {
            return false;
        };
        let left = job.data.len() - job.asked;
        if left == 0 || job.failed.is_some() {
            return false;
        }
        let write = matches!(job.data, Data::Write(_));
        let address = job.address.checked_add(job.asked as u64);
        // The client may have unmapped the range since the transfer began.
        let length = address.map_or(0, |address| {
            table.extent(address, left.min(self.chunk), write)
        });
        let (Some(address), 1..) = (address, length) else {
            job.failed = Some(Errno::EFAULT);
            return false;
        };
        let mut message = self.next_message;
        while self.in_flight.contains_key(&message) {
            message = message.wrapping_add(1);
        }
        self.next_message = message.wrapping_add(1);
        let (command, data) = match &job.data {
            Data::Read(_) => (Command::DmaRead, &[][..]),
            Data::Write(data) => (
                Command::DmaWrite,
                data.get(job.asked..job.asked + length).unwrap_or_default(),
            ),
        };
        let mut bytes = Vec::with_capacity(HEADER_SIZE + 16 + data.len());
        Header::command(message, command, 16 + data.len()).write_to(&mut bytes);
        dma_access_body(&mut bytes, address, length as u64);
        bytes.extend_from_slice(data);
        out.push(bytes, Vec::new());
        self.in_flight.insert(
            message,
            Part {
                job: id,
                offset: job.asked,
                length,
                command,
            },
        );
        job.asked += length;
        job.in_flight += 1;
        true
    }

    /// Takes a reply of the client. False if it answers nothing that was asked.
    pub(super) fn reply(&mut self, header: Header, body: &[u8]) -> bool {
        let expected = self.in_flight.get(&header.id).copied();
        let Some(part) = expected.filter(|part| part.command.number() == header.command) else {
            return false;
        };
        self.in_flight.remove(&header.id);
        if let Some(job) = self.jobs.get_mut(&part.job) {
            job.in_flight -= 1;
            if let Err(errno) = job.take(part, header, body) {
                job.failed.get_or_insert(errno);
            }
        }
        self.finish(part.job);
        true
    }

    fn finish(&mut self, id: u64) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let asked_all = job.asked == job.data.len() || job.failed.is_some();
        if job.in_flight > 0 || !asked_all {
            return;
        }
        if let Some(job) = self.jobs.remove(&id) {
            self.bytes -= job.data.len();
            self.unasked.retain(|&other| other != id);
            let result = match (job.failed, job.data) {
                (Some(errno), _) => Err(errno),
                (None, Data::Read(data)) => Ok(data),
                (None, Data::Write(_)) => Ok(Vec::new()),
            };
            self.done.push_back(DmaDone {
                id: DmaId(id),
                result,
            });
        }
    }

    pub(super) fn next_done(&mut self) -> Option<DmaDone> {
        self.done.pop_front()
    }
}

impl Job {
    fn take(&mut self, part: Part, header: Header, body: &[u8]) -> Result<(), Errno> {
        if header.error {
            return Err(i32::try_from(header.errno).map_or(Errno::EIO, Errno::from_raw));
        }
        match &mut self.data {
            Data::Read(data) => {
                let reply = DmaReadReply::parse(body).map_err(|_| Errno::EPROTO)?;
                let into = data
                    .get_mut(part.offset..part.offset + part.length)
                    .filter(|into| into.len() == reply.data.len())
                    .ok_or(Errno::EPROTO)?;
                into.copy_from_slice(reply.data);
            }
            Data::Write(_) => {
                let reply = DmaWriteReply::parse(body).map_err(|_| Errno::EPROTO)?;
                if reply.count != part.length as u64 {
                    return Err(Errno::EPROTO);
                }
            }
        }
        Ok(())
    }
}
