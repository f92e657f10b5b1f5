//! Receive-side scaling: `VIRTCHNL_OP_CONFIG_RSS_KEY`, `..._LUT`, `..._HFUNC`, `VIRTCHNL_OP_GET_RSS_HENA_CAPS`,
//! `VIRTCHNL_OP_SET_RSS_HENA`.

use super::{Reader, Writer};
use crate::offload::HashTypes;

/// Bytes of a key: what hardware has. The hash uses the first 40, for its longest input has 36.
pub const KEY: usize = 52;
/// Entries of a table.
pub const TABLE: usize = 64;

/// `struct virtchnl_rss_key` or `struct virtchnl_rss_lut`, whose content is `N` bytes. Structures of one byte once,
/// so one more may follow.
pub fn parse<const N: usize>(bytes: &[u8]) -> Option<(u16, [u8; N])> {
    let mut reader = Reader::new(bytes);
    let (vsi, count) = (reader.u16()?, reader.u16()?);
    let content = (usize::from(count) == N).then(|| reader.list::<N>(1, 1))??;
    Some((vsi, *content.first()?))
}

/// `struct virtchnl_rss_hfunc`: the algorithm; 0 is Toeplitz.
pub fn parse_hfunc(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut reader = Reader::new(bytes);
    let (vsi, algorithm) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    reader.end()?;
    Some((vsi, algorithm))
}

/// Kinds of packets in `VFQF_HENA`, and the hash types they stand for. SCTP is missing because its ports are not
/// hashed: such packets go by their addresses, as others do.
const HENA: [(u8, HashTypes); 8] = [
    (31, HashTypes::UDPV4),
    (33, HashTypes::TCPV4),
    (35, HashTypes::IPV4),
    (36, HashTypes::IPV4),
    (41, HashTypes::UDPV6),
    (43, HashTypes::TCPV6),
    (45, HashTypes::IPV6),
    (46, HashTypes::IPV6),
];

/// All kinds that can be hashed.
pub fn hena_capabilities() -> u64 {
    HENA.iter().map(|(bit, _)| 1u64 << bit).sum()
}

/// Their hash types; `None` when some cannot be hashed.
pub fn hash_types(hena: u64) -> Option<HashTypes> {
    if hena & !hena_capabilities() != 0 {
        return None;
    }
    let set = HENA.iter().filter(|(bit, _)| hena >> bit & 1 != 0);
    Some(set.fold(HashTypes::default(), |all, (_, types)| {
        HashTypes(all.0 | types.0)
    }))
}

/// `struct virtchnl_rss_hena`.
pub fn parse_hena(bytes: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bytes);
    let hena = reader.u64()?;
    reader.end()?;
    Some(hena)
}

/// The same, as an answer.
pub fn encode_hena(hena: u64) -> Vec<u8> {
    Writer::new().u64(hena).done()
}
