//! Which features a profile lets a device offer.

use libcvf::limits::RSS_TABLE;
use libcvf::personality::virtio_net::bits;

use super::Profile;
use super::words::Permission;

impl Profile {
    /// Features that may be offered: all but those withheld, and those whose every use would be refused
    /// where a driver takes their absence for a no. What changes addresses, receive modes, VLANs and
    /// offloads is offered all the same: without it a driver goes on as if it had been allowed, or could
    /// not even switch off what it may.
    pub fn feature_mask(&self) -> u64 {
        let refused = self.features_refused();
        !refused.iter().fold(0, |all, refused| all | refused.bits)
    }

    /// Features that are not offered, by the key that says so.
    pub(crate) fn features_refused(&self) -> Vec<Refused> {
        let (shape, control) = (&self.shape, &self.control);
        let withheld: Vec<_> = shape.features_withheld.iter().collect();
        let names: Vec<_> = withheld
            .iter()
            .map(|feature| format!("\"{feature}\""))
            .collect();
        let deny = |word: Permission| (word == Permission::Deny).then(|| format!("\"{word}\""));
        let short = (shape.max_rss_table < RSS_TABLE).then(|| shape.max_rss_table.to_string());
        let single = (shape.max_queue_pairs == 1).then(|| "1".to_owned());
        let refused =
            |key, value: Option<String>, bits| value.map(|value| Refused { key, value, bits });
        let scaling = bits::MQ | bits::RSS;
        [
            refused(
                "shape.features-withheld",
                Some(format!("[{}]", names.join(", "))),
                withheld.iter().fold(0, |all, feature| all | feature.bit()),
            ),
            refused("shape.max-queue-pairs", single, scaling),
            refused("control.queue-count", deny(control.queue_count), scaling),
            refused("control.rss", deny(control.rss), bits::RSS),
            refused("shape.max-rss-table", short, bits::RSS),
            refused(
                "control.hash-report",
                deny(control.hash_report),
                bits::HASH_REPORT,
            ),
            refused(
                "control.coalescing",
                deny(control.coalescing),
                bits::NOTF_COAL | bits::VQ_NOTF_COAL,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Features that a key keeps from being offered.
pub(crate) struct Refused {
    pub(crate) key: &'static str,
    /// The key's value, as it stands in the profile.
    pub(crate) value: String,
    pub(crate) bits: u64,
}
