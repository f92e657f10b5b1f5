//! What a driver asks of its queues by command: scaling, hash reports, coalescing, statistics
//! (virtio 1.3 5.1.6.5.5 to 5.1.6.5.10).

use super::bus::Bus;
use super::control::{Ack, ctrl};
use super::error::{Error, Result};
use super::{FakeVm, net};

/// `struct virtio_net_rss_config`, with nothing that keeps it from being wrong.
#[derive(Clone, Debug, Default)]
pub struct Rss {
    /// Enabled hash types.
    pub types: u32,
    /// Receive queue of frames without hash, by pair.
    pub unclassified: u16,
    /// Receive queues by the hash's low bits, by pair.
    pub table: Vec<u16>,
    /// Transmit queues in use.
    pub max_tx_vq: u16,
    /// The key.
    pub key: Vec<u8>,
}

impl Rss {
    /// The command's data.
    pub fn encode(&self) -> Vec<u8> {
        let mask = (self.table.len() as u16).wrapping_sub(1);
        let mut out = self.types.to_le_bytes().to_vec();
        out.extend_from_slice(&mask.to_le_bytes());
        out.extend_from_slice(&self.unclassified.to_le_bytes());
        out.extend(self.table.iter().flat_map(|queue| queue.to_le_bytes()));
        out.extend_from_slice(&self.max_tx_vq.to_le_bytes());
        out.push(self.key.len() as u8);
        out.extend_from_slice(&self.key);
        out
    }
}

/// One reply of `VIRTIO_NET_CTRL_STATS_GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// `type`.
    pub kind: u8,
    /// `vq_index`.
    pub queue: u16,
    /// The counters, in the order of their structure.
    pub numbers: Vec<u64>,
}

/// The Toeplitz hash as its definition has it, bit by bit: independent of the device's.
pub fn toeplitz(key: &[u8], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], at: usize| {
        bytes
            .get(at / 8)
            .is_some_and(|b| b >> (7 - at % 8) & 1 != 0)
    };
    let mut hash = 0;
    for at in (0..input.len() * 8).filter(|at| bit(input, *at)) {
        hash ^= (0..32).fold(0, |word, next| word << 1 | u32::from(bit(key, at + next)));
    }
    hash
}

impl<B: Bus> FakeVm<B> {
    /// Lets a hash choose the receive queue.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_rss(&mut self, rss: &Rss) -> Result<Ack> {
        self.control(ctrl::MQ, ctrl::MQ_RSS_CONFIG, &rss.encode())
    }

    /// Chooses what hash reports are made of.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_hash(&mut self, types: u32, key: &[u8]) -> Result<Ack> {
        let mut data = types.to_le_bytes().to_vec();
        data.extend_from_slice(&[0; 8]);
        data.push(key.len() as u8);
        data.extend_from_slice(key);
        self.control(ctrl::MQ, ctrl::MQ_HASH_CONFIG, &data)
    }

    /// Has the interrupts of all receive queues held back, or of all transmit queues.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_coalescing(&mut self, receive: bool, packets: u32, usecs: u32) -> Result<Ack> {
        let command = if receive {
            ctrl::NOTF_COAL_RX_SET
        } else {
            ctrl::NOTF_COAL_TX_SET
        };
        let data = [packets.to_le_bytes(), usecs.to_le_bytes()].concat();
        self.control(ctrl::NOTF_COAL, command, &data)
    }

    /// Has the interrupts of one queue held back.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn set_queue_coalescing(&mut self, queue: u16, packets: u32, usecs: u32) -> Result<Ack> {
        let mut data = u32::from(queue).to_le_bytes().to_vec();
        data.extend_from_slice(&packets.to_le_bytes());
        data.extend_from_slice(&usecs.to_le_bytes());
        self.control(ctrl::NOTF_COAL, ctrl::NOTF_COAL_VQ_SET, &data)
    }

    /// How a queue's interrupts are held back: packets and microseconds; none when refused.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn queue_coalescing(&mut self, queue: u16) -> Result<Option<(u32, u32)>> {
        let data = u32::from(queue).to_le_bytes();
        let (ack, found) = self.ask(ctrl::NOTF_COAL, ctrl::NOTF_COAL_VQ_GET, &data, (8, 0))?;
        let [p0, p1, p2, p3, u0, u1, u2, u3] = found[..] else {
            return Err(Error::Device("no limits".into()));
        };
        let packets = u32::from_le_bytes([p0, p1, p2, p3]);
        let usecs = u32::from_le_bytes([u0, u1, u2, u3]);
        Ok((ack == Ack::Ok).then_some((packets, usecs)))
    }

    /// Types of statistics that the device has; none when refused.
    ///
    /// # Errors
    /// As [`FakeVm::control`].
    pub fn statistics_types(&mut self) -> Result<Option<u64>> {
        let (ack, found) = self.ask(ctrl::STATS, ctrl::STATS_QUERY, &[], (0, 8))?;
        let types = found.first_chunk().copied().map(u64::from_le_bytes);
        Ok(types.filter(|_| ack == Ack::Ok))
    }

    /// Statistics of queues, by queue and types; none when refused.
    ///
    /// # Errors
    /// As [`FakeVm::control`], and when the device's answer is not a row of replies.
    pub fn statistics(&mut self, wanted: &[(u16, u64)]) -> Result<Option<Vec<Statistics>>> {
        const ROOM: usize = 16 << 10;
        let mut data = Vec::new();
        for (queue, types) in wanted {
            data.extend_from_slice(&u64::from(*queue).to_le_bytes());
            data.extend_from_slice(&types.to_le_bytes());
        }
        let (ack, found) = self.ask(ctrl::STATS, ctrl::STATS_GET, &data, (0, ROOM))?;
        if ack == Ack::Err {
            return Ok(None);
        }
        let mut rest = &found[..];
        let mut replies = Vec::new();
        while let Some(([kind, _, low, high, _, _, s0, s1], _)) = rest.split_first_chunk::<8>() {
            let size = usize::from(u16::from_le_bytes([*s0, *s1]));
            if size == 0 {
                break;
            }
            let body = rest.get(8..size);
            let body = body.ok_or_else(|| Error::Device(format!("a reply of {size} bytes")))?;
            let (numbers, _) = body.as_chunks();
            replies.push(Statistics {
                kind: *kind,
                queue: u16::from_le_bytes([*low, *high]),
                numbers: numbers.iter().map(|n| u64::from_le_bytes(*n)).collect(),
            });
            rest = &rest[size..];
        }
        Ok(Some(replies))
    }

    /// Interrupts of a queue that have come since the last look.
    pub fn take_interrupts(&self, queue: u16) -> u64 {
        match (self.interrupts(), self.vector_of(queue)) {
            (Some(interrupts), Some(vector)) => interrupts.take(vector),
            _ => 0,
        }
    }

    /// Takes all frames that have come in on a pair, without waiting, with their headers.
    ///
    /// # Errors
    /// Fails when the device breaks the specification.
    pub fn take_frames(&mut self, pair: u16) -> Result<Vec<(net::NetHeader, Vec<u8>)>> {
        let mut frames = Vec::new();
        let mut frame = Vec::new();
        while let Some(header) = self.poll_rx(pair, &mut frame)? {
            frames.push((header, frame.clone()));
        }
        Ok(frames)
    }
}
