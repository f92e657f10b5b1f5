//! What a driver does: registers and messages, in Linux' order.

use super::super::wire::Writer;
use super::super::{Avf, AvfConfig};
use super::host::FakeHost;
use crate::control::MacAddr;
use crate::personality::Personality;
use crate::ring::{MailboxMessage, MailboxReply};

/// Registers' offsets.
pub mod reg {
    pub const QTX_TAIL: u64 = 0x0000;
    pub const QRX_TAIL: u64 = 0x2000;
    pub const ITRN: u64 = 0x2800;
    pub const DYN_CTLN: u64 = 0x3800;
    pub const ICR0: u64 = 0x4800;
    pub const ICR0_ENA: u64 = 0x5000;
    pub const DYN_CTL0: u64 = 0x5c00;
    pub const ATQ: Queue = Queue {
        bal: 0x7c00,
        bah: 0x7800,
        len: 0x6800,
        head: 0x6400,
        tail: 0x8400,
    };
    pub const ARQ: Queue = Queue {
        bal: 0x6c00,
        bah: 0x6000,
        len: 0x8000,
        head: 0x7400,
        tail: 0x7000,
    };
    pub const RSTAT: u64 = 0x8800;

    #[derive(Clone, Copy)]
    pub struct Queue {
        pub bal: u64,
        pub bah: u64,
        pub len: u64,
        pub head: u64,
        pub tail: u64,
    }
}

/// Numbers of operations.
pub mod op {
    pub const VERSION: u32 = 1;
    pub const RESET_VF: u32 = 2;
    pub const GET_VF_RESOURCES: u32 = 3;
    pub const CONFIG_VSI_QUEUES: u32 = 6;
    pub const CONFIG_IRQ_MAP: u32 = 7;
    pub const ENABLE_QUEUES: u32 = 8;
    pub const DISABLE_QUEUES: u32 = 9;
    pub const ADD_ETH_ADDR: u32 = 10;
    pub const DEL_ETH_ADDR: u32 = 11;
    pub const ADD_VLAN: u32 = 12;
    pub const DEL_VLAN: u32 = 13;
    pub const CONFIG_PROMISCUOUS_MODE: u32 = 14;
    pub const GET_STATS: u32 = 15;
    pub const EVENT: u32 = 17;
    pub const CONFIG_RSS_HFUNC: u32 = 18;
    pub const CONFIG_RSS_KEY: u32 = 23;
    pub const CONFIG_RSS_LUT: u32 = 24;
    pub const GET_RSS_HENA_CAPS: u32 = 25;
    pub const SET_RSS_HENA: u32 = 26;
    pub const ENABLE_VLAN_STRIPPING: u32 = 27;
    pub const DISABLE_VLAN_STRIPPING: u32 = 28;
    pub const REQUEST_QUEUES: u32 = 29;
    pub const GET_SUPPORTED_RXDIDS: u32 = 44;
    pub const GET_OFFLOAD_VLAN_V2_CAPS: u32 = 51;
    pub const ADD_VLAN_V2: u32 = 52;
    pub const DEL_VLAN_V2: u32 = 53;
    pub const ENABLE_VLAN_STRIPPING_V2: u32 = 54;
    pub const DISABLE_VLAN_STRIPPING_V2: u32 = 55;
    pub const ENABLE_VLAN_INSERTION_V2: u32 = 56;
    pub const DISABLE_VLAN_INSERTION_V2: u32 = 57;
}

pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0xaf, 0, 1]);
/// `VIRTCHNL_STATUS_*`.
pub const OK: i32 = 0;
pub const PARAM: i32 = -5;
pub const FAILED: i32 = -53;
pub const UNSUPPORTED: i32 = -64;
/// What Linux asks for.
pub const LINUX: u32 = 1 << 0
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 10
    | 1 << 15
    | 1 << 16
    | 1 << 18
    | 1 << 19
    | 1 << 20
    | 1 << 21
    | 1 << 23
    | 1 << 25
    | 1 << 26
    | 1 << 27
    | 1 << 28;
/// What is granted of it.
pub const GRANTED: u32 =
    1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 15 | 1 << 19 | 1 << 25 | 1 << 26;
/// An older driver's, without version 2 of VLANs.
pub const OLD: u32 = LINUX & !(1 << 15);

pub fn settings(pairs: u16) -> AvfConfig {
    AvfConfig {
        queue_pairs: pairs,
        speed_mbps: Some(25_000),
        ..AvfConfig::new(MAC)
    }
}

pub struct Driver {
    pub device: Avf,
    pub host: FakeHost,
}

impl Driver {
    pub fn new(config: AvfConfig) -> Self {
        let device = Avf::new(config).expect("a device");
        let host = FakeHost {
            vectors: device.vectors(),
            ..FakeHost::default()
        };
        Self { device, host }
    }

    /// A device whose driver has enabled the mailbox.
    pub fn mailbox(pairs: u16) -> Self {
        let mut d = Self::new(settings(pairs));
        d.init_mailbox();
        d
    }

    /// A device whose driver was granted what it wants, and that is otherwise idle.
    pub fn granted(pairs: u16, capabilities: u32) -> Self {
        let mut d = Self::mailbox(pairs);
        d.resources(capabilities);
        d.host.posted.clear();
        d.host.take();
        d
    }

    /// A device all of whose queues run.
    pub fn running(pairs: u16) -> Self {
        Self::running_as(settings(pairs))
    }

    /// One made of these settings.
    pub fn running_as(config: AvfConfig) -> Self {
        let pairs = config.queue_pairs;
        let mut d = Self::new(config);
        d.init_mailbox();
        d.resources(LINUX);
        d.host.posted.clear();
        d.good(op::CONFIG_IRQ_MAP, irq_map(pairs));
        d.good(op::CONFIG_VSI_QUEUES, queue_config(pairs));
        d.good(op::ENABLE_QUEUES, select(ones(pairs), ones(pairs)));
        d.host.posted.clear();
        d.host.take();
        d
    }

    pub fn read(&mut self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.device
            .read(&mut self.host, 0, offset, &mut data)
            .unwrap();
        u32::from_le_bytes(data)
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        let data = value.to_le_bytes();
        self.device.write(&mut self.host, 0, offset, &data).unwrap();
    }

    /// Enables both queues, in Linux' order.
    pub fn init_mailbox(&mut self) {
        for (queue, base) in [(reg::ATQ, 0x1_2345_6000_u64), (reg::ARQ, 0x0_8765_4000)] {
            self.write(queue.head, 0);
            self.write(queue.tail, 0);
            self.write(queue.len, 32 | 1 << 31);
            self.write(queue.bal, base as u32);
            self.write(queue.bah, (base >> 32) as u32);
            if queue.tail == reg::ARQ.tail {
                self.write(queue.tail, 31);
            }
            assert_eq!(self.read(queue.bal), base as u32, "reads back");
        }
    }

    /// Sends a message.
    pub fn send(&mut self, opcode: u32, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.device
            .message(&mut self.host, MailboxMessage { opcode, bytes });
    }

    /// The next message of the device.
    pub fn next(&mut self) -> Option<MailboxReply> {
        self.host.posted.pop_front()
    }

    /// Sends a message and takes the answer to it, which is the first that comes.
    pub fn ask(&mut self, opcode: u32, bytes: impl Into<Vec<u8>>) -> (i32, Vec<u8>) {
        assert_eq!(self.next(), None, "unread");
        self.send(opcode, bytes);
        let reply = self.next().expect("an answer");
        assert_eq!(reply.opcode, opcode);
        (reply.status, reply.bytes)
    }

    /// The status of an answer that has no content.
    pub fn status(&mut self, opcode: u32, bytes: impl Into<Vec<u8>>) -> i32 {
        let (status, bytes) = self.ask(opcode, bytes);
        assert!(bytes.is_empty(), "content of {opcode}'s answer");
        status
    }

    /// Asks for what is granted; events are passed over.
    pub fn good(&mut self, opcode: u32, bytes: impl Into<Vec<u8>>) -> Vec<u8> {
        let (status, bytes) = self.ask(opcode, bytes);
        assert_eq!(status, OK, "operation {opcode}: {:?}", self.host.refusals);
        while let Some(event) = self.next() {
            assert_eq!(event.opcode, op::EVENT);
        }
        bytes
    }

    pub fn resources(&mut self, capabilities: u32) -> Vec<u8> {
        self.good(op::GET_VF_RESOURCES, capabilities.to_le_bytes())
    }
}

pub fn ones(pairs: u16) -> u32 {
    (1 << pairs) - 1
}

/// `struct virtchnl_queue_select`.
pub fn select(receive: u32, transmit: u32) -> Vec<u8> {
    Writer::new()
        .u16(1)
        .u16(0)
        .u32(receive)
        .u32(transmit)
        .done()
}

/// `struct virtchnl_queue_pair_info`, with what Linux writes into it.
#[derive(Clone, Copy)]
pub struct Pair {
    pub vsi: [u16; 2],
    pub queue: [u16; 2],
    pub ring_len: [u32; 2],
    pub headwb: u16,
    pub splithdr: u16,
    pub buffer: u32,
    pub longest: u32,
    pub crc_disable: u8,
    pub rxdid: u8,
    pub address: [u64; 2],
}

impl Pair {
    pub fn new(queue: u16) -> Self {
        let base = 0x10_0000 * (u64::from(queue) + 1);
        Self {
            vsi: [1; 2],
            queue: [queue; 2],
            ring_len: [256, 512],
            headwb: 0,
            splithdr: 0,
            buffer: 2048,
            longest: 1526,
            crc_disable: 0,
            rxdid: 1,
            address: [base, base + 0x1_0000],
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u16(self.vsi[0])
            .u16(self.queue[0])
            .u16(self.ring_len[0] as u16)
            .u16(self.headwb)
            .u64(self.address[0])
            .u64(0)
            .u16(self.vsi[1])
            .u16(self.queue[1])
            .u32(self.ring_len[1])
            .u16(0)
            .u16(self.splithdr)
            .u32(self.buffer)
            .u32(self.longest)
            .bytes(&[self.crc_disable, self.rxdid, 0, 0])
            .u64(self.address[1])
            .u64(0)
            .done()
    }
}

/// `struct virtchnl_vsi_queue_config_info` with one pair more at its end, as drivers send it.
pub fn config_of(pairs: &[Pair]) -> Vec<u8> {
    let head = Writer::new().u16(1).u16(pairs.len() as u16).u32(0);
    let all = pairs
        .iter()
        .fold(head, |message, pair| message.bytes(&pair.encode()));
    all.bytes(&[0; 64]).done()
}

pub fn queue_config(pairs: u16) -> Vec<u8> {
    config_of(&(0..pairs).map(Pair::new).collect::<Vec<_>>())
}

/// `struct virtchnl_vector_map`: VSI, vector, receive and transmit queues, their ITRs.
pub fn vector_map(vector: u16, queues: [u16; 2], itr: [u16; 2]) -> Vec<u8> {
    [1, vector, queues[0], queues[1], itr[0], itr[1]]
        .iter()
        .flat_map(|word: &u16| word.to_le_bytes())
        .collect()
}

/// `struct virtchnl_irq_map_info` with one map more at its end, as drivers send it.
pub fn irq_map_of(maps: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = (maps.len() as u16).to_le_bytes().to_vec();
    maps.iter().for_each(|map| bytes.extend(map));
    bytes.extend([0; 12]);
    bytes
}

/// A vector for each pair, and the mailbox's at the end.
pub fn irq_map(pairs: u16) -> Vec<u8> {
    let mut maps: Vec<_> = (0..pairs)
        .map(|pair| vector_map(pair + 1, [1 << pair; 2], [0, 1]))
        .collect();
    maps.push(vector_map(0, [0; 2], [0; 2]));
    irq_map_of(&maps)
}

/// `struct virtchnl_ether_addr_list` with one address more at its end, as drivers send it.
pub fn addresses(list: &[(MacAddr, u8)]) -> Vec<u8> {
    let mut bytes = Writer::new().u16(1).u16(list.len() as u16).done();
    for (mac, kind) in list {
        bytes.extend(mac.0);
        bytes.extend([*kind, 0]);
    }
    bytes.extend([0; 8]);
    bytes
}

/// `struct virtchnl_vlan_filter_list` with one more at its end, as drivers send it.
pub fn vlans(ids: &[u16]) -> Vec<u8> {
    let head = Writer::new().u16(1).u16(ids.len() as u16);
    ids.iter()
        .fold(head, |list, id| list.u16(*id))
        .u16(0)
        .done()
}

/// `struct virtchnl_vlan_filter_list_v2`, inner tags.
pub fn vlans_v2(ids: &[u16]) -> Vec<u8> {
    let head = Writer::new().u16(1).u16(ids.len() as u16).u32(0);
    let filter = |list: Writer, id: &u16| list.u16(*id).u16(0).u16(0x8100).u16(0).bytes(&[0; 24]);
    ids.iter().fold(head, filter).done()
}

/// `struct virtchnl_vlan_setting`.
pub fn vlan_setting(outer: u32, inner: u32) -> Vec<u8> {
    Writer::new()
        .u32(outer)
        .u32(inner)
        .u16(1)
        .bytes(&[0; 6])
        .done()
}

/// `struct virtchnl_rss_key` or `struct virtchnl_rss_lut`, with a byte more at its end, as drivers send it.
pub fn rss(content: &[u8]) -> Vec<u8> {
    Writer::new()
        .u16(1)
        .u16(content.len() as u16)
        .bytes(content)
        .bytes(&[0])
        .done()
}
