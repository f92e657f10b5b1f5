//! Whether a profile lets a device be as it is defined.

use libcvf::cvf;
use policies::{Profile, Shape};

use super::definition::{Definition, Doorbells, Interrupts, RingFormat};

/// What of a definition profiles limit.
fn shape(definition: &Definition) -> Shape {
    Shape {
        queue_pairs: definition.queue_pairs,
        vectors: match definition.interrupts {
            Interrupts::Msix => 2 * definition.queue_pairs + 2,
            Interrupts::Intx => 0,
        },
        // What the profile leaves out is not offered, so a device without scaling needs no table.
        rss_table: 0,
        mtu: definition.mtu,
        doorbells: match definition.doorbells {
            Doorbells::Trapped => cvf::Doorbells::Trapped,
            Doorbells::Mapped => cvf::Doorbells::Mapped,
        },
        ring_formats: match definition.ring_format {
            RingFormat::Split => cvf::RingFormats::Split,
            RingFormat::Packed => cvf::RingFormats::Packed,
            RingFormat::Any => cvf::RingFormats::Any,
        },
        access_vlan: definition.vlan,
        features: None,
    }
}

/// Judges a definition.
///
/// # Errors
/// Everything that the profile does not let be, with its keys: half a sentence.
pub(super) fn admit(profile: &Profile, definition: &Definition) -> Result<(), String> {
    profile.admit(&shape(definition)).map_err(|refusals| {
        let all: Vec<_> = refusals.into_iter().map(|refusal| refusal.reason).collect();
        all.join("; ")
    })
}

/// Whether everything that a profile does not let be in `to` is so in `from`, too.
pub(super) fn no_worse(profile: &Profile, from: &Definition, to: &Definition) -> bool {
    let refused = |definition| profile.admit(&shape(definition)).err().unwrap_or_default();
    let before = refused(from);
    refused(to).iter().all(|refusal| before.contains(refusal))
}
