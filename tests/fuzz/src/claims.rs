//! What frames say about neighbours: `libcvf::offload::claim` on arbitrary bytes.
//!
//! The first byte says what is looked for, the next two how much of the frame was copied. It never panics; with
//! all of the frame at hand it never asks for more; and a shorter copy says the same, or asks for more: what is decided about a
//! frame does not depend on how much of it somebody copied.

use libcvf::offload::{Claim, Look, claim};

/// Looks at one frame, whole and in part.
///
/// # Panics
/// When the answers differ.
pub fn run(data: &[u8]) {
    let [flags, low, high, frame @ ..] = data else {
        return;
    };
    let look = Look {
        arp: flags & 1 != 0,
        nd: flags & 2 != 0,
    };
    let whole = claim(frame, frame.len(), look);
    assert_ne!(whole, Claim::Beyond, "all of it is there");
    let copied = usize::from(u16::from_le_bytes([*low, *high])).min(frame.len());
    let part = claim(&frame[..copied], frame.len(), look);
    assert!(
        part == Claim::Beyond || part == whole,
        "{copied} bytes say {part:?}, all of them {whole:?}"
    );
    // A frame that is longer than what is there is looked at as far as it goes.
    claim(frame, frame.len() + copied, look);
}
