//! Which device a guest sees, and what that one cannot be.

use super::compose::offered;
use super::direct::DataPath;
use super::spec::{ComposeError, CvfSpec};
use crate::dataplane;
use crate::limits::MAX_AVF_QUEUE_PAIRS;
use crate::offload::Accepts;
use crate::personality::avf::{self, Avf, AvfConfig, MAX_AVF_MTU, capability_names};
use crate::personality::virtio_net::{
    VirtioNet, VirtioNetConfig, bits, feature_names, receive_offloads,
};
use crate::personality::{Doorbells, Interrupts, Personality, RingFormats};
use crate::pf::direct::DirectQueues;

/// Capabilities of an adaptive virtual function that stand for features of virtio's, `masked`.
const fn withheld(masked: u64) -> u64 {
    let mut withheld = 0;
    if masked & bits::RSS != 0 {
        withheld |= avf::bits::OFFLOAD_RSS_PF;
    }
    if masked & bits::CTRL_VLAN != 0 {
        withheld |= avf::bits::OFFLOAD_VLAN | avf::bits::OFFLOAD_VLAN_V2;
    }
    if masked & bits::MQ != 0 {
        withheld |= avf::bits::OFFLOAD_REQ_QUEUES;
    }
    if masked & bits::HOST_USO != 0 {
        withheld |= avf::bits::OFFLOAD_USO;
    }
    withheld as u64
}

/// What the guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// virtio's network device.
    #[default]
    VirtioNet,
    /// Intel's adaptive virtual function.
    Avf,
}

impl Model {
    /// MSI-X vectors of a device with so many queue pairs.
    pub(super) const fn vectors(self, pairs: u16) -> u16 {
        match self {
            // One for configuration, one for each queue and one for commands.
            Self::VirtioNet => 2 * pairs + 2,
            // One for the mailbox, one for each pair.
            Self::Avf => pairs + 1,
        }
    }

    /// Features that it may offer, of those that are let through, which have virtio's names. Those of an adaptive virtual
    /// function are its own, and it offers none that stands for what is not let through.
    pub(super) const fn features(
        self,
        pairs: u16,
        lanes: u16,
        hardware: Option<u64>,
        let_through: u64,
    ) -> u64 {
        match self {
            Self::VirtioNet => offered(pairs, lanes, hardware) & let_through,
            Self::Avf => !withheld(!let_through),
        }
    }

    /// Interrupt lines of a device with so many vectors.
    pub(super) fn lines(self, vectors: u16) -> dataplane::Interrupts {
        match self {
            Self::VirtioNet => dataplane::Interrupts::new(vectors),
            Self::Avf => dataplane::Interrupts::rearmed(vectors),
        }
    }

    /// Whether its driver can be made to start anew.
    pub(super) const fn restarts(self) -> bool {
        match self {
            Self::VirtioNet => false,
            Self::Avf => true,
        }
    }

    /// Whether a driver with these features was told its MTU: every one of an adaptive virtual function is.
    pub(super) const fn tells_mtu(self, features: u64) -> bool {
        match self {
            Self::VirtioNet => features & bits::MTU != 0,
            Self::Avf => true,
        }
    }

    /// What a driver with these features takes.
    pub(super) fn accepts(self, features: u64) -> Accepts {
        match self {
            Self::VirtioNet => receive_offloads(features),
            Self::Avf => Accepts::VALID,
        }
    }

    /// Names of those of `features`, which its driver has, that are not let through any more; `masked` has virtio's names.
    pub(super) fn pending(self, features: u64, masked: u64) -> Vec<&'static str> {
        match self {
            Self::VirtioNet => feature_names(features & masked),
            Self::Avf => capability_names(features & withheld(masked)),
        }
    }

    /// Whether it can be what else is asked for.
    pub(super) fn check(self, spec: &CvfSpec) -> Result<(), ComposeError> {
        let lacks = |field, value: &dyn std::fmt::Display, what: String| {
            let value = value.to_string();
            Err(ComposeError::AvfNeeds { field, value, what })
        };
        if self == Self::VirtioNet {
            return Ok(());
        }
        if spec.data_path != DataPath::Auto {
            let what = "data path auto: no hardware below works its rings";
            return lacks("data_path", &"direct", what.into());
        }
        if spec.queue_pairs > MAX_AVF_QUEUE_PAIRS {
            let what = format!("at most {MAX_AVF_QUEUE_PAIRS} queue pairs");
            return lacks("queue_pairs", &spec.queue_pairs, what);
        }
        if spec.mtu > MAX_AVF_MTU {
            let what = format!("an MTU of at most {MAX_AVF_MTU}");
            return lacks("mtu", &spec.mtu, what);
        }
        if spec.interrupts != Interrupts::Msix {
            return lacks(
                "interrupts",
                &"intx",
                "MSI-X: it has no other interrupts".into(),
            );
        }
        let format = match spec.ring_formats {
            RingFormats::Split => return Ok(()),
            RingFormats::Packed => "packed",
            RingFormats::Any => "any",
        };
        let what = "split, which says nothing here: its rings have a format of their own";
        lacks("ring_format", &format, what.into())
    }

    /// Features, by their names in virtio, that its driver has or has not as they are let through; whether others are changes
    /// nothing.
    pub const fn maskable(self) -> u64 {
        match self {
            Self::VirtioNet => u64::MAX,
            Self::Avf => bits::RSS | bits::CTRL_VLAN | bits::MQ | bits::HOST_USO,
        }
    }

    /// The device in its reset state.
    pub(super) fn build(
        self,
        spec: &CvfSpec,
        features: u64,
        hardware: Option<&dyn DirectQueues>,
    ) -> Result<Box<dyn Personality>, ComposeError> {
        if self == Self::Avf {
            let config = AvfConfig {
                mtu: spec.mtu,
                queue_pairs: spec.queue_pairs,
                doorbells: spec.doorbells,
                shown_pairs: spec.policy.queues.pairs,
                features,
                ..AvfConfig::new(spec.mac)
            };
            return Ok(Box::new(Avf::new(config)?));
        }
        let mut config = VirtioNetConfig {
            mtu: spec.mtu,
            queue_pairs: spec.queue_pairs,
            interrupts: spec.interrupts,
            doorbells: spec.doorbells,
            shown_pairs: spec.policy.queues.pairs,
            features,
            ring_formats: spec.ring_formats,
            ..VirtioNetConfig::new(spec.mac)
        };
        if let Some(queues) = hardware {
            config.doorbells = Doorbells::Mapped;
            config.max_ring_size = config.max_ring_size.min(queues.ring_size());
        }
        Ok(Box::new(VirtioNet::new(config)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_from_virtio_is_not_granted_by_another_name() {
        let left = |masked: u64| Model::Avf.features(2, 0, None, !masked);
        assert_eq!(left(0), u64::MAX);
        for (masked, names) in [
            (bits::RSS, &["OFFLOAD_RSS_PF"][..]),
            (bits::CTRL_VLAN, &["OFFLOAD_VLAN_V2", "OFFLOAD_VLAN"]),
            (bits::MQ, &["OFFLOAD_REQ_QUEUES"]),
            (bits::HOST_USO, &["OFFLOAD_USO"]),
            // Virtchnl's bits are not virtio's.
            (1 << 15 | 1 << 16, &[]),
        ] {
            assert_eq!(capability_names(!left(masked)), names, "{masked:#x}");
            assert_eq!(Model::Avf.pending(u64::MAX, masked), names);
            assert_eq!(masked & Model::Avf.maskable() != 0, !names.is_empty());
            assert!(Model::Avf.pending(0, masked).is_empty());
        }
    }
}
