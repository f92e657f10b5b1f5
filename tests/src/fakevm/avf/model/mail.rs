//! The mailbox of the model: it answers as a PF does, and is strict about lengths.

use super::{
    ARQH, ARQLEN, ARQT, ATQH, ATQLEN, ATQT, ENABLE, ICR0, ICR0_ENA, Model, Pair, RxModel, Seen,
    TxModel,
};

const ADMINQ: u32 = 1 << 30;
const ARQBAL: u64 = 0x6c00;
const ARQBAH: u64 = 0x6000;
const ATQBAL: u64 = 0x7c00;
const ATQBAH: u64 = 0x7800;
const VSI: u16 = 11;
const CRC: u32 = 1 << 10;
const FLEX: u32 = 1 << 26;
const ERR_PARAM: i32 = -5;
const ERR_NOT_SUPPORTED: i32 = -64;

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

impl Model {
    fn base(&self, low: u64, high: u64) -> u64 {
        u64::from(self.reg(low)) | u64::from(self.reg(high)) << 32
    }

    /// Takes what the driver has sent.
    pub(super) fn work_mail(&mut self) {
        while self.reg(ATQLEN) & ENABLE != 0 && self.reg(ATQH) != self.reg(ATQT) {
            let size = self.reg(ATQLEN) & 0x3ff;
            let head = self.reg(ATQH);
            let at = self.base(ATQBAL, ATQBAH) + 32 * u64::from(head);
            let mut descriptor = [0; 32];
            self.memory.read(at, &mut descriptor);
            let (flags, opcode) = (half(&descriptor, 0), half(&descriptor, 2));
            let mut body = vec![0; half(&descriptor, 4).into()];
            if !body.is_empty() {
                assert_eq!(flags & 0x1400, 0x1400, "BUF and RD");
                assert_eq!(flags & 0x200 != 0, body.len() > 512, "LB");
                let address = u64::from(word(&descriptor, 24)) << 32;
                let address = address | u64::from(word(&descriptor, 28));
                self.memory.read(address, &mut body);
            }
            self.regs.insert(ATQH, (head + 1) % size);
            match opcode {
                0x0801 => {
                    assert_ne!(flags & 0x2000, 0, "SI");
                    self.hear(word(&descriptor, 8), &body);
                }
                0x0003 => self.seen.push(Seen::Op(0)),
                other => panic!("opcode {other:#x}"),
            }
        }
    }

    /// Puts a message where the driver sees it, now or when it has room.
    pub(super) fn reply(&mut self, op: u32, status: i32, body: &[u8]) {
        let op = match self.behaviour.confuses {
            Some((asked, answered)) if asked == op => answered,
            _ => op,
        };
        self.backlog.push_back((op, status, body.to_vec()));
        self.flush_mail();
    }

    pub(super) fn event(&mut self, event: i32, speed: u32, up: u8) {
        let mut body = event.to_le_bytes().to_vec();
        body.extend(speed.to_le_bytes());
        body.extend([up, 0, 0, 0]);
        body.extend(if event == 2 { 255_i32 } else { 0 }.to_le_bytes());
        self.reply(17, 0, &body);
    }

    pub(super) fn flush_mail(&mut self) {
        let mut wrote = false;
        while self.reg(ARQLEN) & ENABLE != 0
            && self.reg(ARQH) != self.reg(ARQT)
            && let Some((op, status, body)) = self.backlog.pop_front()
        {
            let size = self.reg(ARQLEN) & 0x3ff;
            let head = self.reg(ARQH);
            let at = self.base(ARQBAL, ARQBAH) + 32 * u64::from(head);
            let mut descriptor = [0; 32];
            self.memory.read(at, &mut descriptor);
            assert_eq!(half(&descriptor, 0) & 0x1200, 0x1200, "BUF and LB");
            assert!(usize::from(half(&descriptor, 4)) >= body.len(), "room");
            let address = u64::from(word(&descriptor, 24)) << 32;
            let address = address | u64::from(word(&descriptor, 28));
            self.memory.write(address, &body);
            descriptor[..2].copy_from_slice(&0x1003_u16.to_le_bytes());
            descriptor[2..4].copy_from_slice(&0x0802_u16.to_le_bytes());
            descriptor[4..6].copy_from_slice(&(body.len() as u16).to_le_bytes());
            descriptor[8..12].copy_from_slice(&op.to_le_bytes());
            descriptor[12..16].copy_from_slice(&status.to_le_bytes());
            self.memory.write(at, &descriptor);
            self.regs.insert(ARQH, (head + 1) % size);
            wrote = true;
        }
        if wrote {
            *self.regs.entry(ICR0).or_insert(0) |= ADMINQ;
            if self.reg(ICR0_ENA) & ADMINQ != 0 {
                self.fire(0);
            }
        }
    }

    /// One message of the driver.
    fn hear(&mut self, op: u32, body: &[u8]) {
        self.seen.push(Seen::Op(op));
        if let Some(status) = self.behaviour.refuses.get(&op) {
            return self.reply(op, *status, &[]);
        }
        let is_long = |expected: usize| assert_eq!(body.len(), expected, "operation {op}");
        match op {
            1 => {
                is_long(8);
                self.reply(op, 0, &[1, 0, 0, 0, 1, 0, 0, 0]);
            }
            2 => {
                is_long(0);
                self.begin_reset();
            }
            3 => {
                is_long(4);
                self.granted = word(body, 0) & self.behaviour.offers | self.behaviour.forces;
                let answer = self.resources();
                self.reply(op, 0, &answer);
            }
            51 => {
                is_long(0);
                let can: u32 = 1 << 31 | 1 << 8 | 1;
                let caps = [0, 1, 0, 64, 0, can, 0, can, 0, 0];
                let caps: Vec<u8> = caps.iter().flat_map(|word| word.to_le_bytes()).collect();
                self.reply(op, 0, &caps);
            }
            6 => {
                is_long(72 + 64 * usize::from(half(body, 2)));
                let status = self.place(body);
                self.reply(op, status, &[]);
            }
            7 => {
                let count = usize::from(half(body, 0));
                is_long(14 + 12 * count);
                for map in body[2..].chunks_exact(12).take(count) {
                    assert_eq!(half(map, 0), VSI);
                    for (bit, pair) in (0..).zip(&mut self.pairs) {
                        if half(map, 4) & 1 << bit != 0 {
                            pair.vector = half(map, 2);
                        }
                    }
                }
                self.reply(op, 0, &[]);
            }
            8 | 9 => {
                is_long(12);
                let bits = [word(body, 4), word(body, 8)];
                for (bit, pair) in (0..).zip(&mut self.pairs) {
                    for (on, bits) in pair.on.iter_mut().zip(bits) {
                        if bits & 1 << bit != 0 {
                            *on = op == 8;
                        }
                    }
                }
                self.reply(op, 0, &[]);
                if op == 8 {
                    self.say_link(true);
                }
            }
            10 | 11 => {
                let count = usize::from(half(body, 2));
                is_long(12 + 8 * count);
                for address in body[4..].chunks_exact(8).take(count) {
                    let mac: [u8; 6] = address[..6].try_into().expect("6 bytes");
                    self.macs.retain(|old| *old != mac);
                    if op == 10 {
                        self.macs.push(mac);
                    }
                }
                self.reply(op, 0, &[]);
            }
            12 | 13 => {
                let count = usize::from(half(body, 2));
                is_long(6 + 2 * count);
                let ids = body[4..].chunks_exact(2).take(count).map(|id| half(id, 0));
                self.keep_vlans(op == 12, &ids.collect::<Vec<_>>());
                self.reply(op, 0, &[]);
            }
            52 | 53 => {
                let count = usize::from(half(body, 2));
                is_long(8 + 32 * count);
                let ids = body[8..].chunks_exact(32).map(|filter| {
                    assert_eq!(half(filter, 4), 0x8100, "the inner tag");
                    half(filter, 0)
                });
                self.keep_vlans(op == 52, &ids.collect::<Vec<_>>());
                self.reply(op, 0, &[]);
            }
            14 => {
                is_long(4);
                self.promiscuous = half(body, 2);
                self.reply(op, 0, &[]);
            }
            15 => {
                is_long(12);
                let numbers = (1..=12_u64).flat_map(u64::to_le_bytes);
                self.reply(op, 0, &numbers.collect::<Vec<u8>>());
            }
            23 | 24 => {
                let count = usize::from(half(body, 2));
                is_long(5 + count);
                self.rss[op as usize - 23] = body[4..4 + count].to_vec();
                self.reply(op, 0, &[]);
            }
            27 | 28 => {
                is_long(0);
                let status = self.switch_strip(op == 27);
                self.reply(op, status, &[]);
            }
            44 if self.granted & FLEX != 0 => {
                is_long(0);
                let formats = self.behaviour.formats.to_le_bytes();
                self.reply(op, 0, &formats);
            }
            54..=57 => {
                is_long(16);
                assert_eq!((word(body, 0), word(body, 4)), (0, 1), "the inner tag");
                let status = match op {
                    54 | 55 => self.switch_strip(op == 54),
                    _ => 0,
                };
                self.reply(op, status, &[]);
            }
            29 => {
                is_long(2);
                if half(body, 0) <= 16 {
                    self.behaviour.queue_pairs = half(body, 0);
                    self.reset_soon();
                } else {
                    self.reply(op, 0, &16_u16.to_le_bytes());
                }
            }
            _ => self.reply(op, -64, &[]),
        }
    }

    /// Tags cannot be taken out of frames whose check sequence is kept.
    fn switch_strip(&mut self, on: bool) -> i32 {
        let kept = |pair: &Pair| pair.rx.as_ref().is_some_and(|rx| rx.crc);
        if on && self.pairs.iter().any(kept) {
            return ERR_NOT_SUPPORTED;
        }
        self.strip = on;
        0
    }

    fn keep_vlans(&mut self, on: bool, ids: &[u16]) {
        self.vlans.retain(|id| !ids.contains(id));
        if on {
            self.vlans.extend(ids);
        }
    }

    fn resources(&self) -> Vec<u8> {
        let Model {
            behaviour, granted, ..
        } = self;
        let mut out = Vec::new();
        for number in [1, behaviour.queue_pairs, behaviour.vectors, 0] {
            out.extend(number.to_le_bytes());
        }
        for number in [*granted, 52, 64] {
            out.extend(number.to_le_bytes());
        }
        out.extend(VSI.to_le_bytes());
        out.extend(behaviour.queue_pairs.to_le_bytes());
        out.extend(6_i32.to_le_bytes());
        out.extend([0; 2]);
        out.extend(behaviour.mac);
        out
    }

    fn place(&mut self, body: &[u8]) -> i32 {
        assert_eq!(half(body, 0), VSI);
        let count = usize::from(half(body, 2));
        for pair in body[8..].chunks_exact(64).take(count) {
            let (tx, rx) = pair.split_at(24);
            let number = usize::from(half(tx, 2));
            assert_eq!(number, usize::from(half(rx, 2)));
            let flex = self.granted & FLEX != 0;
            let crc = self.granted & CRC != 0 && rx[20] != 0;
            if flex && !matches!(rx[21], 1 | 2) || crc && self.strip {
                return ERR_PARAM;
            }
            let Some(to) = self.pairs.get_mut(number) else {
                continue;
            };
            to.tx = Some(TxModel::new(long(tx, 8), half(tx, 4)));
            let (size, buffer) = (word(rx, 4) as u16, word(rx, 12));
            let mut model = RxModel::new(long(rx, 24), size, buffer as usize);
            (model.flex, model.crc) = (flex && rx[21] == 2, crc);
            to.rx = Some(model);
        }
        0
    }
}
