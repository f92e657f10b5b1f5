//! The rings of the model, one descriptor at a time.

use super::Memory;

/// The device's side of a transmit ring.
#[derive(Debug)]
pub struct TxModel {
    base: u64,
    size: u16,
    head: u16,
}

/// A frame as it was taken from the ring.
#[derive(Debug)]
pub struct Taken {
    /// Its bytes as they lay there.
    pub bytes: Vec<u8>,
    /// The context descriptor in front of it.
    pub context: Option<[u64; 2]>,
    /// The second word of its last descriptor.
    pub word: u64,
    /// Bytes of each descriptor.
    pub pieces: Vec<usize>,
    /// The descriptor to report on.
    pub report: Option<u16>,
}

impl TxModel {
    pub fn new(base: u64, size: u16) -> Self {
        let head = 0;
        TxModel { base, size, head }
    }

    fn at(&self, index: u16) -> u64 {
        self.base + 16 * u64::from(index)
    }

    /// Takes the next frame, if all of it is before `tail`.
    pub fn take(&mut self, memory: &Memory, tail: u16) -> Option<Taken> {
        let mut taken = Taken {
            bytes: Vec::new(),
            context: None,
            word: 0,
            pieces: Vec::new(),
            report: None,
        };
        let mut index = self.head;
        while index != tail {
            let words = [memory.load(self.at(index)), memory.load(self.at(index) + 8)];
            let this = index;
            index = (index + 1) % self.size;
            let [address, word] = words;
            match word & 0xf {
                1 => {
                    assert!(taken.context.is_none() && taken.pieces.is_empty());
                    taken.context = Some(words);
                    continue;
                }
                0 => {}
                other => panic!("descriptor {this} of type {other:#x}"),
            }
            let len = (word >> 34 & 0x3fff) as usize;
            assert!(len > 0, "descriptor {this} is empty");
            let start = taken.bytes.len();
            taken.bytes.resize(start + len, 0);
            memory.read(address, &mut taken.bytes[start..]);
            taken.pieces.push(len);
            taken.word = word;
            if word & 1 << 4 != 0 {
                taken.report = (word & 2 << 4 != 0).then_some(this);
                self.head = index;
                assert!(taken.bytes.len() >= 17, "a frame of {}", taken.bytes.len());
                return Some(taken);
            }
            assert_eq!(word & 2 << 4, 0, "RS without EOP");
        }
        None
    }

    /// Says that it is done with everything up to a descriptor; of that nothing else is left.
    pub fn report(&self, memory: &Memory, index: u16) {
        memory.store(self.at(index) + 8, 0xf);
    }
}

/// Where the checksum is in a header of it.
#[derive(Clone, Copy)]
enum Transport {
    Tcp = 16,
    Udp = 6,
}

impl Taken {
    /// Bits of the command of its data descriptors.
    pub fn command(&self) -> u64 {
        self.word >> 4 & 0x3ff
    }

    /// Lengths of Ethernet, IP and transport headers.
    pub fn lengths(&self) -> [usize; 3] {
        [
            (self.word >> 16 & 0x7f) as usize * 2,
            (self.word >> 23 & 0x7f) as usize * 4,
            (self.word >> 30 & 0xf) as usize * 4,
        ]
    }

    /// The frames that leave for it: cut, summed up and tagged as its descriptors say.
    pub fn leave(&self) -> Vec<Vec<u8>> {
        let tso = self.context.filter(|context| context[1] >> 4 & 1 != 0);
        let mut frames = match tso {
            Some([_, word]) => self.cut((word >> 30 & 0x3_ffff) as usize, (word >> 50) as usize),
            None => vec![self.bytes.clone()],
        };
        if let Some(transport) = self.transport() {
            for frame in &mut frames {
                self.sum(frame, transport, tso.is_some());
            }
        }
        if self.command() & 8 != 0 {
            assert!(self.pieces.len() <= 8);
            let tag = (self.word >> 48) as u16;
            for frame in &mut frames {
                *frame = crate::fakevm::frame::tagged(frame, tag);
            }
        }
        frames
    }

    /// What is to be summed up.
    fn transport(&self) -> Option<Transport> {
        match self.command() & 0x300 {
            0x100 => Some(Transport::Tcp),
            0x300 => Some(Transport::Udp),
            _ => None,
        }
    }

    fn cut(&self, payload: usize, mss: usize) -> Vec<Vec<u8>> {
        let [mac, ip, l4] = self.lengths();
        let headers = mac + ip + l4;
        assert_eq!(
            self.bytes.len(),
            headers + payload,
            "payload of a large frame"
        );
        assert_eq!(self.command() & 0x60, 0x60, "IPv4 with checksum");
        let (head, data) = self.bytes.split_at(headers);
        assert_eq!(head[mac + 2..mac + 4], [0, 0], "length");
        assert_eq!(head[mac + 10..mac + 12], [0, 0], "checksum");
        let mut frames = Vec::new();
        for chunk in data.chunks(mss) {
            let mut frame = [head, chunk].concat();
            let len = (ip + l4 + chunk.len()) as u16;
            frame[mac + 2..mac + 4].copy_from_slice(&len.to_be_bytes());
            let sum = !sum(&frame[mac..mac + ip], 0);
            frame[mac + 10..mac + 12].copy_from_slice(&sum.to_be_bytes());
            if let Some(Transport::Udp) = self.transport() {
                assert_eq!(l4, 8, "the header of UDP");
                let len = (l4 + chunk.len()) as u16;
                frame[mac + ip + 4..mac + ip + 6].copy_from_slice(&len.to_be_bytes());
            }
            frames.push(frame);
        }
        frames
    }

    fn sum(&self, frame: &mut [u8], transport: Transport, add_length: bool) {
        let [mac, ip, _] = self.lengths();
        let all = &mut frame[mac + ip..];
        let len = if add_length { all.len() as u32 } else { 0 };
        let sum = !sum(all, len);
        let at = transport as usize;
        all[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What the device says of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Say {
    pub ptype: u8,
    pub vlan: Option<u16>,
    pub hash: Option<u32>,
    /// Checksums were looked at, with these errors.
    pub checked: Option<u8>,
}

impl Say {
    /// What can be said of a frame; its tag is taken out of it if `strip`.
    pub fn about(frame: &mut Vec<u8>, strip: bool) -> Self {
        let mut say = Say {
            ptype: 1,
            ..Say::default()
        };
        if strip && frame[12..14] == [0x81, 0] {
            say.vlan = Some(u16::from_be_bytes([frame[14], frame[15]]));
            frame.drain(12..16);
        }
        if frame[12..14] == [8, 0] {
            say.ptype = match frame[23] {
                6 => 26,
                17 => 24,
                _ => 23,
            };
            say.checked = Some(0);
            say.hash = Some(0x1234_5678);
        }
        say
    }
}

/// The device's side of a receive ring.
#[derive(Debug)]
pub struct RxModel {
    base: u64,
    size: u16,
    buffer: usize,
    head: u16,
    /// Descriptors are written in the flexible format.
    pub flex: bool,
    /// Frames are followed by their check sequence.
    pub crc: bool,
}

impl RxModel {
    pub fn new(base: u64, size: u16, buffer: usize) -> Self {
        RxModel {
            base,
            size,
            buffer,
            head: 0,
            flex: false,
            crc: false,
        }
    }

    fn at(&self, index: u16) -> u64 {
        self.base + 32 * u64::from(index)
    }

    /// Buffers that are posted.
    pub fn posted(&self, tail: u16) -> usize {
        usize::from((tail + self.size - self.head) % self.size)
    }

    /// Puts a frame into as many buffers as it takes, if there are so many.
    pub fn put(&mut self, memory: &Memory, tail: u16, frame: &[u8], say: Say) -> bool {
        let mut frame = frame.to_vec();
        if self.crc {
            frame.extend(lab_guest::crc::of(&frame).to_le_bytes());
        }
        self.put_bytes(memory, tail, &frame, say)
    }

    /// The same for what is said to be a frame and its check sequence.
    pub fn put_bytes(&mut self, memory: &Memory, tail: u16, bytes: &[u8], say: Say) -> bool {
        let count = bytes.len().div_ceil(self.buffer);
        if count > self.posted(tail) {
            return false;
        }
        for (nth, chunk) in bytes.chunks(self.buffer).enumerate() {
            self.put_piece(memory, chunk, nth + 1 == count, say);
        }
        true
    }

    /// Puts one buffer's worth.
    pub fn put_piece(&mut self, memory: &Memory, chunk: &[u8], last: bool, say: Say) {
        let at = self.at(self.head);
        assert_eq!(memory.load(at + 8), 0, "the second word of a posted buffer");
        memory.write(memory.load(at), chunk);
        let say = last.then_some(say);
        let [first, second] = if self.flex {
            flexible(chunk.len(), say)
        } else {
            legacy(chunk.len(), say)
        };
        memory.store(at, first);
        memory.store(at + 16, 0);
        memory.store(at + 8, second);
        self.head = (self.head + 1) % self.size;
    }
}

/// What is written for `len` bytes, which are the last of a frame of which something is said.
fn legacy(len: usize, say: Option<Say>) -> [u64; 2] {
    let (mut first, mut second) = (0, 1 | (len as u64) << 38);
    if let Some(say) = say {
        second |= 2 | u64::from(say.ptype) << 30;
        if let Some(vlan) = say.vlan {
            first |= u64::from(vlan) << 16;
            second |= 4;
        }
        if let Some(hash) = say.hash {
            first |= u64::from(hash) << 32;
            second |= 3 << 12;
        }
        if let Some(errors) = say.checked {
            second |= 8 | u64::from(errors) << 19;
        }
    }
    [first, second]
}

/// The same in the flexible format. Of errors there are those of checksums only.
fn flexible(len: usize, say: Option<Say>) -> [u64; 2] {
    let (mut first, mut second) = (2 | (len as u64) << 32, 1);
    if let Some(say) = say {
        first |= u64::from(say.ptype) << 16;
        second |= 2;
        if let Some(vlan) = say.vlan {
            second |= 1 << 13 | u64::from(vlan) << 16;
        }
        if let Some(hash) = say.hash {
            second |= 1 << 12 | u64::from(hash) << 32;
        }
        if let Some(errors) = say.checked {
            assert_eq!(errors & !0x38, 0, "errors of checksums");
            second |= 8 | u64::from(errors >> 3) << 4;
        }
    }
    [first, second]
}
