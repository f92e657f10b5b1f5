//! What the client knows: what it sent, and so what it must get back.

use std::collections::{HashMap, VecDeque};

use vfio_user_server::wire::{Backing, Command, HEADER_SIZE, Header, MessageType};
use vfio_user_server::{Request, RequestKind};

use crate::input::Input;

#[derive(Debug)]
struct Expected {
    id: u16,
    command: u16,
    // A reply to a DMA message: the session knows better than we whether it was asked for.
    maybe: bool,
}

#[derive(Debug)]
struct Asked {
    header: Header,
    address: u64,
    count: u64,
}

pub struct Oracle {
    limit: usize,
    later_limit: usize,
    max_fds: usize,
    stream: Vec<u8>,
    fds: usize,
    lost: bool,
    largest: usize,
    over: bool,
    expected: VecDeque<Expected>,
    // Descriptors of DMA_MAPs by the number in their offset; None if one was used twice.
    maps: HashMap<u64, Option<usize>>,
    output: Vec<u8>,
    asked: Vec<Asked>,
}

impl Oracle {
    pub fn new(limit: usize, later_limit: usize, max_fds: usize) -> Self {
        Self {
            limit,
            later_limit,
            max_fds,
            stream: Vec::new(),
            fds: 0,
            lost: false,
            largest: 0,
            over: false,
            expected: VecDeque::new(),
            maps: HashMap::new(),
            output: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub fn largest_chunk(&self) -> usize {
        self.largest
    }

    /// Sees what the session is fed.
    pub fn receive(&mut self, bytes: &[u8], fds: usize, lost: bool) {
        self.largest = self.largest.max(bytes.len());
        self.stream.extend_from_slice(bytes);
        let (mut new_fds, mut new_lost) = (fds, lost);
        while let Some(head) = self.stream.first_chunk::<HEADER_SIZE>() {
            if self.over {
                return;
            }
            let header = Header::parse(head);
            let size = header.size as usize;
            if size < HEADER_SIZE || size > self.limit {
                self.over = true;
                if !header.no_reply {
                    self.expect(header, false);
                }
                return;
            }
            if self.stream.len() < size {
                break;
            }
            let message: Vec<u8> = self.stream.drain(..size).collect();
            self.limit = self.later_limit;
            let mut fds = std::mem::take(&mut self.fds);
            let mut lost = std::mem::take(&mut self.lost);
            if self.stream.is_empty() {
                fds += std::mem::take(&mut new_fds);
                lost |= std::mem::take(&mut new_lost);
            }
            self.message(
                header,
                &message[HEADER_SIZE..],
                if lost { usize::MAX } else { fds },
            );
        }
        self.fds += new_fds;
        self.lost |= new_lost;
    }

    fn expect(&mut self, header: Header, maybe: bool) {
        self.expected.push_back(Expected {
            id: header.id,
            command: header.command,
            maybe,
        });
    }

    fn message(&mut self, header: Header, body: &[u8], fds: usize) {
        if header.command == Command::DmaMap.number()
            && let Some(offset) = body.get(8..16)
        {
            let offset = u64::from_ne_bytes(offset.try_into().expect("eight bytes"));
            let entry = self.maps.entry(offset);
            entry.and_modify(|twice| *twice = None).or_insert(Some(fds));
        }
        if !header.no_reply {
            let dma = matches!(header.command, 11 | 12);
            self.expect(header, header.kind == MessageType::Reply && dma);
        }
    }

    /// Checks that a DMA_MAP got exactly the descriptors that came with its last byte.
    pub fn check_fds(&self, request: &Request) {
        if let RequestKind::DmaMap(map) = &request.kind
            && let Some(&Some(fds)) = self.maps.get(&map.offset)
        {
            let got = usize::from(!matches!(map.backing, Backing::Messages));
            assert!(
                fds <= self.max_fds && got == fds,
                "{fds} came with the map, it got {got}"
            );
        }
    }

    /// Sees what the session sends.
    pub fn output(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        while let Some(head) = self.output.first_chunk::<HEADER_SIZE>() {
            let header = Header::parse(head);
            let size = header.size as usize;
            assert!(size >= HEADER_SIZE);
            if self.output.len() < size {
                return;
            }
            let message: Vec<u8> = self.output.drain(..size).collect();
            match header.kind {
                MessageType::Reply => self.reply(header),
                MessageType::Command => self.command(header, &message[HEADER_SIZE..]),
                MessageType::Unknown(bits) => panic!("message of type {bits}"),
            }
        }
    }

    fn reply(&mut self, header: Header) {
        assert!(!header.no_reply);
        assert_eq!(
            header.error,
            header.errno != 0,
            "errors have a number, successes none"
        );
        assert!(!header.error || header.size as usize == HEADER_SIZE);
        loop {
            let next = self
                .expected
                .pop_front()
                .expect("no reply to what was not asked");
            if (next.id, next.command) == (header.id, header.command) {
                return;
            }
            assert!(
                next.maybe,
                "replies keep their order: {header:?} came for {next:?}"
            );
        }
    }

    fn command(&mut self, header: Header, body: &[u8]) {
        let word = |at: usize| u64::from_ne_bytes(body[at..at + 8].try_into().expect("a number"));
        let (address, count) = (word(0), word(8));
        assert!(count > 0 && count <= 64 << 10);
        match header.command {
            11 => assert_eq!(body.len(), 16),
            12 => assert_eq!(body.len() as u64, 16 + count),
            other => panic!("the session sent command {other}"),
        }
        assert!(
            self.asked.iter().all(|one| one.header.id != header.id),
            "ids in use are not reused"
        );
        self.asked.push(Asked {
            header,
            address,
            count,
        });
    }

    /// Answers a DMA message, rightly or not.
    pub fn dma_reply(&mut self, input: &mut Input<'_>) -> Option<Vec<u8>> {
        if self.asked.is_empty() {
            return None;
        }
        let index = input.below(self.asked.len());
        let Asked {
            header,
            address,
            count,
        } = self.asked.remove(index);
        let mut body = [address.to_ne_bytes(), count.to_ne_bytes()].concat();
        if header.command == 11 {
            body.resize(16 + count as usize, 0xaa);
        }
        let mut errno = 0;
        match input.below(8) {
            4 => body.truncate(input.below(20)),
            5 => body[8] ^= 1,
            6 => {
                body.clear();
                errno = input.byte().into();
            }
            7 if header.command == 12 => body.truncate(12),
            _ => {}
        }
        let header = Header {
            size: (HEADER_SIZE + body.len()) as u32,
            kind: MessageType::Reply,
            error: errno != 0,
            errno,
            ..header
        };
        let mut bytes = Vec::new();
        header.write_to(&mut bytes);
        bytes.extend(body);
        Some(bytes)
    }

    /// Everything has been served and read.
    pub fn finish(&self, ended: bool) {
        assert!(self.output.is_empty(), "no half messages");
        assert!(
            !self.over || ended,
            "a stream that cannot be followed ends the session"
        );
        let owed = self.expected.iter().filter(|one| !one.maybe).count();
        assert!(ended || owed == 0, "{owed} requests were never answered");
    }
}
