//! Which receive queue a flow goes to when the driver left the choice to the device
//! (virtio 1.3 5.1.6.5.5): always the same one for the same flow, so that its frames keep their order.

use crate::offload::{Headers, Network, Transport};

/// The receive queue among `pairs` for a frame that starts with `head`. Frames that are not IP,
/// and later fragments, go by their addresses alone.
pub(super) fn queue(head: &[u8], pairs: u16) -> u16 {
    let mut mix = 0x9e37_79b9_7f4a_7c15u64;
    let mut add = |bytes: &[u8]| {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mix = (mix ^ u64::from_le_bytes(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            mix ^= mix >> 32;
        }
    };
    match Headers::parse(head, head.len().max(usize::from(u16::MAX))) {
        Ok(headers) if headers.network != Network::Other => {
            let l3 = usize::from(headers.l3_offset);
            let addresses = match headers.network {
                Network::V4 => l3 + 12..l3 + 20,
                _ => l3 + 8..l3 + 40,
            };
            add(head.get(addresses).unwrap_or_default());
            let ports = matches!(headers.transport, Transport::Tcp | Transport::Udp);
            if ports && !headers.fragment {
                let l4 = usize::from(headers.l4_offset);
                add(head.get(l4..l4 + 4).unwrap_or_default());
            }
        }
        _ => add(head.get(..12).unwrap_or_default()),
    }
    // The high bits are the mixed ones.
    (((mix >> 32) * u64::from(pairs)) >> 32) as u16
}
