//! `VIRTCHNL_OP_CONFIG_VSI_QUEUES`, `VIRTCHNL_OP_ENABLE_QUEUES`, `VIRTCHNL_OP_DISABLE_QUEUES`,
//! `VIRTCHNL_OP_GET_SUPPORTED_RXDIDS`.

use super::{Reader, Writer};
use crate::ring::ReceiveFormat;

/// Bytes of `struct virtchnl_queue_pair_info`.
const PAIR: usize = 64;

/// `struct virtchnl_txq_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitInfo {
    pub vsi: u16,
    pub queue: u16,
    /// 0: this queue is not configured.
    pub ring_len: u16,
    pub headwb_enabled: u16,
    pub address: u64,
}

/// `struct virtchnl_rxq_info`. Header size and flags count only with capabilities that are not granted, and are
/// ignored, as PFs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveInfo {
    pub vsi: u16,
    pub queue: u16,
    /// 0: this queue is not configured.
    pub ring_len: u32,
    pub splithdr_enabled: u16,
    pub databuffer_size: u32,
    pub max_pkt_size: u32,
    /// Frames come with their check sequence. Counts with `VIRTCHNL_VF_OFFLOAD_CRC`.
    pub crc_disable: u8,
    /// Format of descriptors. Counts with `VIRTCHNL_VF_OFFLOAD_RX_FLEX_DESC`.
    pub rxdid: u8,
    pub address: u64,
}

/// `struct virtchnl_queue_pair_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairInfo {
    pub transmit: TransmitInfo,
    pub receive: ReceiveInfo,
}

impl PairInfo {
    fn parse(bytes: &[u8; PAIR]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let transmit = TransmitInfo {
            vsi: reader.u16()?,
            queue: reader.u16()?,
            ring_len: reader.u16()?,
            headwb_enabled: reader.u16()?,
            address: reader.u64()?,
        };
        // dma_headwb_addr
        reader.skip(8)?;
        let (vsi, queue, ring_len) = (reader.u16()?, reader.u16()?, reader.u32()?);
        // hdr_size
        reader.skip(2)?;
        let splithdr_enabled = reader.u16()?;
        let (databuffer_size, max_pkt_size) = (reader.u32()?, reader.u32()?);
        let [crc_disable, rxdid] = reader.take()?;
        // flags, pad1
        reader.skip(2)?;
        let address = reader.u64()?;
        let receive = ReceiveInfo {
            vsi,
            queue,
            ring_len,
            splithdr_enabled,
            databuffer_size,
            max_pkt_size,
            crc_disable,
            rxdid,
            address,
        };
        Some(Self { transmit, receive })
    }
}

/// `struct virtchnl_vsi_queue_config_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    pub vsi: u16,
    pub pairs: Vec<PairInfo>,
}

impl QueueConfig {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (vsi, count) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let list = reader.list::<PAIR>(count, PAIR)?;
        let pairs = list.iter().map(PairInfo::parse).collect::<Option<_>>()?;
        Some(Self { vsi, pairs })
    }
}

/// `struct virtchnl_queue_select`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSelect {
    pub vsi: u16,
    pub receive: u32,
    pub transmit: u32,
}

impl QueueSelect {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let vsi = reader.u16()?;
        reader.skip(2)?;
        let (receive, transmit) = (reader.u32()?, reader.u32()?);
        reader.end()?;
        Some(Self {
            vsi,
            receive,
            transmit,
        })
    }
}

/// `struct virtchnl_supported_rxdids`.
pub fn encode_formats(formats: impl IntoIterator<Item = ReceiveFormat>) -> Vec<u8> {
    let bits = formats.into_iter().map(|format| 1 << format as u8);
    Writer::new().u64(bits.sum()).done()
}
