//! A definition as libcvf composes it.

use libcvf::cvf::{self, CvfSpec, PortPolicy, TagStyle};

use super::attributes::{VlanProtocol, VlanTag};
use super::definition::{DataPath, Definition, Doorbells, Interrupts, Personality, RingFormat};

impl Definition {
    /// What is composed for it. Its policy is its profile's to say: this one restricts nothing.
    pub(crate) fn spec(&self) -> CvfSpec {
        CvfSpec {
            name: self.name.clone(),
            uuid: *self.uuid.as_bytes(),
            model: self.personality.into(),
            mac: self.mac,
            mtu: self.mtu,
            vlan: self.vlan,
            vlan_tag: self.vlan_tag.into(),
            queue_pairs: self.queue_pairs,
            doorbells: match self.doorbells {
                Doorbells::Trapped => cvf::Doorbells::Trapped,
                Doorbells::Mapped => cvf::Doorbells::Mapped,
            },
            interrupts: match self.interrupts {
                Interrupts::Msix => cvf::Interrupts::Msix,
                Interrupts::Intx => cvf::Interrupts::Intx,
            },
            ring_formats: match self.ring_format {
                RingFormat::Split => cvf::RingFormats::Split,
                RingFormat::Packed => cvf::RingFormats::Packed,
                RingFormat::Any => cvf::RingFormats::Any,
            },
            data_path: match self.data_path {
                DataPath::Auto => cvf::DataPath::Auto,
                DataPath::Direct => cvf::DataPath::Direct,
            },
            policy: PortPolicy::default(),
        }
    }
}

impl From<Personality> for cvf::Model {
    fn from(personality: Personality) -> Self {
        match personality {
            Personality::VirtioNet => Self::VirtioNet,
            Personality::Avf => Self::Avf,
        }
    }
}

impl From<VlanTag> for TagStyle {
    fn from(tag: VlanTag) -> Self {
        Self {
            priority: tag.qos,
            service: tag.protocol == VlanProtocol::Service,
        }
    }
}
