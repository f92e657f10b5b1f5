//! Which devices may be made.

use std::fmt;

use libcvf::cvf::{CvfSpec, DataPath, Doorbells, RingFormats};
use libcvf::personality::virtio_net::feature_names;
use serde::Serialize;

use crate::profile::{AccessVlan, Format, Permission, Profile};

/// What of a device a profile limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Queue pairs.
    pub queue_pairs: u16,
    /// Interrupt vectors.
    pub vectors: u16,
    /// Entries of the indirection table; 0 for a device without receive-side scaling.
    pub rss_table: u16,
    /// MTU in bytes.
    pub mtu: u16,
    /// How doorbells reach the device.
    pub doorbells: Doorbells,
    /// Who works its rings.
    pub data_path: DataPath,
    /// Ring formats that its driver may choose.
    pub ring_formats: RingFormats,
    /// Access VLAN.
    pub access_vlan: Option<u16>,
    /// Features that it has to offer; `None`: those that the profile leaves ([`Profile::feature_mask`]).
    pub features: Option<u64>,
}

impl From<&CvfSpec> for Shape {
    fn from(spec: &CvfSpec) -> Self {
        Self {
            queue_pairs: spec.queue_pairs,
            vectors: spec.vectors(),
            // What the profile leaves out is not offered, so a device without scaling needs no table.
            rss_table: 0,
            mtu: spec.mtu,
            doorbells: spec.doorbells,
            data_path: spec.data_path,
            ring_formats: spec.ring_formats,
            access_vlan: spec.vlan,
            features: None,
        }
    }
}

/// A limit that a device does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// The key that sets it.
    pub key: &'static str,
    /// A sentence with what was asked, profile, key and limit.
    pub reason: String,
}

impl Profile {
    /// Judges a device that is to be made.
    ///
    /// # Errors
    /// Every limit that it does not keep.
    pub fn admit(&self, shape: &Shape) -> Result<(), Vec<Refusal>> {
        let limits = &self.shape;
        let mut desk = Desk::new(&self.name);
        desk.most(
            "shape.max-queue-pairs",
            "queue pairs",
            shape.queue_pairs,
            limits.max_queue_pairs,
        );
        desk.most(
            "shape.max-vectors",
            "interrupt vectors",
            shape.vectors,
            limits.max_vectors,
        );
        let entries = "entries of an indirection table";
        desk.most(
            "shape.max-rss-table",
            entries,
            shape.rss_table,
            limits.max_rss_table,
        );
        if shape.mtu < limits.min_mtu {
            let asked = format!("MTU {} was asked for", shape.mtu);
            desk.refuse("shape.min-mtu", &asked, limits.min_mtu);
        }
        if shape.mtu > limits.max_mtu {
            let asked = format!("MTU {} was asked for", shape.mtu);
            desk.refuse("shape.max-mtu", &asked, limits.max_mtu);
        }
        let direct = shape.data_path == DataPath::Direct;
        let word = limits.mapped_doorbells;
        // Those of hardware are its own pages: no worker polls them.
        if shape.doorbells == Doorbells::Mapped && !direct && word == Permission::Deny {
            let asked = "mapped doorbells were asked for";
            desk.refuse("shape.mapped-doorbells", asked, quoted(word));
        }
        if direct && !limits.direct {
            let asked = "data path 'direct' was asked for, which hands the VM and its VMM the whole function";
            desk.refuse("shape.direct", asked, limits.direct);
        }
        desk.formats(&limits.ring_formats, shape.ring_formats);
        desk.access_vlan(limits.access_vlan, shape.access_vlan);
        for refused in self.features_refused() {
            let names = feature_names(shape.features.unwrap_or_default() & refused.bits);
            if !names.is_empty() {
                let asked = format!("offering {} was asked for", names.join(", "));
                desk.refuse(refused.key, &asked, refused.value);
            }
        }
        if desk.refusals.is_empty() {
            Ok(())
        } else {
            Err(desk.refusals)
        }
    }
}

/// Where refusals are collected.
struct Desk<'a> {
    profile: &'a str,
    refusals: Vec<Refusal>,
}

impl<'a> Desk<'a> {
    const fn new(profile: &'a str) -> Self {
        let refusals = Vec::new();
        Self { profile, refusals }
    }

    fn refuse(&mut self, key: &'static str, asked: &str, value: impl fmt::Display) {
        let profile = self.profile;
        let reason = format!("{asked}, profile '{profile}' has {key} = {value}");
        self.refusals.push(Refusal { key, reason });
    }

    fn most(&mut self, key: &'static str, what: &str, asked: u16, most: u16) {
        if asked > most {
            self.refuse(key, &format!("{asked} {what} were asked for"), most);
        }
    }

    fn formats(&mut self, has: &[Format], asked: RingFormats) {
        let (needs, word): (&[Format], _) = match asked {
            RingFormats::Split => (&[Format::Split], "split"),
            RingFormats::Packed => (&[Format::Packed], "packed"),
            RingFormats::Any => (&[Format::Split, Format::Packed], "any"),
        };
        if !needs.iter().all(|format| has.contains(format)) {
            let has: Vec<_> = has.iter().map(quoted).collect();
            let asked = format!("ring format '{word}' was asked for");
            self.refuse(
                "shape.ring-formats",
                &asked,
                format_args!("[{}]", has.join(", ")),
            );
        }
    }

    fn access_vlan(&mut self, word: AccessVlan, asked: Option<u16>) {
        let asked = match (word, asked) {
            (AccessVlan::Required, None) => "no access VLAN was given".to_owned(),
            (AccessVlan::Forbidden, Some(vlan)) => format!("access VLAN {vlan} was given"),
            _ => return,
        };
        self.refuse("shape.access-vlan", &asked, quoted(word));
    }
}

fn quoted(word: impl fmt::Display) -> String {
    format!("\"{word}\"")
}

#[cfg(test)]
mod tests;
