//! Messages as a client might send them: right, nearly right, and wrong.

use vfio_user_server::wire::{Command, Header, MessageType};

use super::MAX_XFER;
use crate::input::Input;

#[derive(Default)]
pub struct Builder {
    serial: u16,
}

fn put32(body: &mut Vec<u8>, value: u64) {
    body.extend((value as u32).to_ne_bytes());
}

fn put64(body: &mut Vec<u8>, value: u64) {
    body.extend(value.to_ne_bytes());
}

impl Builder {
    fn next(&mut self) -> u16 {
        self.serial = self.serial.wrapping_add(1);
        // Apart from the ids that the session gives its own commands.
        self.serial | 0x8000
    }

    /// A VERSION that is agreed with.
    pub fn greeting(&mut self) -> Vec<u8> {
        let json =
            br#"{"capabilities":{"max_msg_fds":8,"write_multiple":true,"migration":{"pgsize":4096}}}"#;
        let body = [&[0; 4], &json[..], &[0]].concat();
        self.message(Command::Version.number(), false, &body)
    }

    fn message(&mut self, command: u16, no_reply: bool, body: &[u8]) -> Vec<u8> {
        let header = Header {
            id: self.next(),
            command,
            size: 16 + body.len() as u32,
            kind: MessageType::Command,
            no_reply,
            error: false,
            errno: 0,
        };
        let mut bytes = Vec::new();
        header.write_to(&mut bytes);
        bytes.extend_from_slice(body);
        bytes
    }

    /// A command and how many descriptors go with it.
    pub fn command(&mut self, input: &mut Input<'_>) -> (Vec<u8>, usize) {
        let numbers = [2, 3, 8, 9, 10, 15, 13, 16, 17, 18, 4, 5, 6, 7, 1, 11, 14];
        let number = numbers[input.below(numbers.len())];
        let (mut body, mut fds) = self.body(number, input);
        let bend = input.byte();
        let no_reply = bend & 0x80 != 0;
        match bend & 0x7f {
            1 => body.truncate(body.len() / 2),
            2 => body.extend([0; 5]),
            3 => fds += input.below(6),
            4 => {
                let at = input.below(body.len());
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= input.byte();
                }
            }
            _ => {}
        }
        let mut bytes = self.message(number, no_reply, &body);
        if bend & 0x7f == 5 {
            let at = input.below(16);
            bytes[at] ^= input.byte();
        }
        (bytes, fds)
    }

    fn body(&mut self, number: u16, input: &mut Input<'_>) -> (Vec<u8>, usize) {
        let mut body = Vec::new();
        let mut fds = 0;
        match number {
            1 => {
                let texts: [&[u8]; 4] = [
                    b"{}\0",
                    b"",
                    b"{\"capabilities\":{\"pgsizes\":8192}}\0",
                    b"{\"capabilities\":3}\0",
                ];
                body.extend([0; 4]);
                body.extend(texts[input.below(4)]);
            }
            2 => {
                fds = input.below(2);
                put32(&mut body, 32);
                put32(&mut body, input.below(16) as u64);
                // A number of its own, by which the oracle knows the map again.
                put64(&mut body, u64::from(self.serial) << 12);
                put64(&mut body, (input.below(16) as u64) << 12);
                put64(&mut body, (1 + input.below(4) as u64) << 12);
                if input.byte() == 0xff {
                    body.truncate(16);
                    put64(&mut body, input.number());
                    put64(&mut body, input.number());
                }
            }
            3 => {
                let flags = [0, 0, 0, 0, 1, 2, 2, 4][input.below(8)];
                let (address, size) = (
                    (input.below(16) as u64) << 12,
                    (1 + input.below(4) as u64) << 12,
                );
                put32(&mut body, if flags == 1 { 48 } else { 24 });
                put32(&mut body, flags);
                put64(&mut body, if flags == 2 { 0 } else { address });
                put64(&mut body, if flags == 2 { 0 } else { size });
                if flags == 1 {
                    put64(&mut body, 4096);
                    put64(&mut body, 8);
                }
            }
            4 => [16, 0, 0, 0]
                .map(|value| put32(&mut body, value))
                .iter()
                .for_each(drop),
            5 => {
                put32(&mut body, [32, 64, 4096][input.below(3)]);
                put32(&mut body, 0);
                put32(&mut body, input.below(10) as u64);
                body.extend([0; 20]);
            }
            6 => {
                put32(&mut body, [16, 56, 4096][input.below(3)]);
                put32(&mut body, 0);
                put32(&mut body, input.below(10) as u64);
                put32(&mut body, 0);
            }
            7 => {
                put32(&mut body, 16);
                put32(&mut body, 0);
                put32(&mut body, input.below(6) as u64);
                put32(&mut body, 0);
            }
            8 => fds = set_irqs(&mut body, input),
            9 => access(&mut body, input),
            10 => {
                access(&mut body, input);
                let count = u32::from_ne_bytes(body[12..16].try_into().expect("four bytes"));
                body.resize(16 + count.min(MAX_XFER + 1) as usize, 0x77);
            }
            15 => {
                let count = input.below(5);
                put64(&mut body, count as u64);
                for _ in 0..count {
                    put64(&mut body, input.below(64) as u64);
                    put32(&mut body, [0, 0, 1, 7, 6][input.below(5)]);
                    put32(&mut body, [4, 8, 1, 0, 9][input.below(5)]);
                    put64(&mut body, 0x5555);
                }
            }
            16 => {
                let data = input.below(3) * 8;
                put32(
                    &mut body,
                    [4096, 8, 16][input.below(3)].max(8 + data as u64),
                );
                let operation = [1, 2, 4, 7, 3, 0][input.below(6)];
                put32(&mut body, operation << 16 | input.below(10) as u64);
                body.resize(8 + data, 1);
            }
            17 => {
                let size = [8, 0, 4096, u64::from(MAX_XFER) + 1][input.below(4)];
                put32(&mut body, size + 8);
                put32(&mut body, size);
            }
            18 => {
                let size = input.below(32);
                put32(&mut body, 8 + size as u64);
                put32(&mut body, size as u64);
                body.resize(8 + size, 3);
            }
            _ => body.resize(input.below(48), 0),
        }
        (body, fds)
    }
}

fn access(body: &mut Vec<u8>, input: &mut Input<'_>) {
    let region = [0, 0, 0, 1, 2, 3, 6, 7, 8, 9][input.below(10)];
    let wild = input.byte() == 0xff;
    put64(
        body,
        if wild {
            input.number()
        } else {
            4 * input.below(16) as u64
        },
    );
    put32(body, region);
    let counts = [
        4,
        1,
        2,
        8,
        0,
        64,
        u64::from(MAX_XFER),
        u64::from(MAX_XFER) + 1,
    ];
    put32(
        body,
        if wild {
            input.number()
        } else {
            counts[input.below(8)]
        },
    );
}

fn set_irqs(body: &mut Vec<u8>, input: &mut Input<'_>) -> usize {
    let data = [4, 4, 1, 2, 6][input.below(5)];
    let action = [0x20, 0x20, 0x20, 8, 0x10, 0x30][input.below(6)];
    let index = [2, 2, 0, 0, 1, 7][input.below(6)];
    let (start, count) = (input.below(5) as u64, input.below(5));
    put32(body, 20);
    put32(body, data | action);
    put32(body, index);
    put32(
        body,
        if count == 0 {
            start / 4
        } else {
            start.min(4 - count.min(4) as u64)
        },
    );
    put32(body, count as u64);
    if data == 2 {
        body.resize(20 + count, 1);
    }
    if data == 4 && input.below(4) > 0 {
        count
    } else {
        0
    }
}
