//! What is asked of the device, and what depends on what (virtio 1.3 5.1.3, 6).

/// A set of feature bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(pub u64);

macro_rules! features {
    ($($name:ident = $bit:literal;)*) => {
        impl Features {
            $(pub(super) const $name: Self = Self(1 << $bit);)*
            const NAMES: &[(Self, &str)] = &[$((Self::$name, stringify!($name)),)*];
        }
    };
}

features! {
    CSUM = 0;
    GUEST_CSUM = 1;
    MTU = 3;
    MAC = 5;
    GUEST_TSO4 = 7;
    GUEST_TSO6 = 8;
    GUEST_ECN = 9;
    GUEST_UFO = 10;
    HOST_TSO4 = 11;
    HOST_TSO6 = 12;
    HOST_ECN = 13;
    HOST_UFO = 14;
    MRG_RXBUF = 15;
    STATUS = 16;
    CTRL_VQ = 17;
    CTRL_RX = 18;
    CTRL_VLAN = 19;
    GUEST_ANNOUNCE = 21;
    MQ = 22;
    CTRL_MAC_ADDR = 23;
    INDIRECT_DESC = 28;
    EVENT_IDX = 29;
    VERSION_1 = 32;
    ACCESS_PLATFORM = 33;
    IN_ORDER = 35;
    RING_RESET = 40;
    GUEST_USO4 = 54;
    GUEST_USO6 = 55;
    HOST_USO = 56;
}

impl Features {
    /// Without these nothing is done: the rings are of virtio 1.x, all of the device's accesses go through the
    /// IOMMU, and a queue can be ended alone.
    pub(super) const REQUIRED: Self = Self::VERSION_1
        .with(Self::ACCESS_PLATFORM)
        .with(Self::RING_RESET);

    /// Taken where they are offered. No `GUEST_*`: each frame then fits into a buffer of its own and comes with its checksum
    /// finished, and `MRG_RXBUF` has no use.
    pub(super) const WANTED: Self = Self::REQUIRED
        .with(Self::CSUM)
        .with(Self::MTU)
        .with(Self::MAC)
        .with(Self::HOST_TSO4)
        .with(Self::HOST_TSO6)
        .with(Self::HOST_USO)
        .with(Self::STATUS)
        .with(Self::CTRL_VQ)
        .with(Self::CTRL_RX)
        .with(Self::MQ);

    /// What rings and frames are like: hardware that works a driver's rings keeps to what that driver has taken of these.
    /// No packed rings: where hardware is in one cannot be read out of it.
    pub(super) const RINGS: Self = Self::CSUM
        .with(Self::GUEST_CSUM)
        .with(Self::GUEST_TSO4)
        .with(Self::GUEST_TSO6)
        .with(Self::GUEST_ECN)
        .with(Self::GUEST_UFO)
        .with(Self::HOST_TSO4)
        .with(Self::HOST_TSO6)
        .with(Self::HOST_ECN)
        .with(Self::HOST_UFO)
        .with(Self::MRG_RXBUF)
        .with(Self::INDIRECT_DESC)
        .with(Self::EVENT_IDX)
        .with(Self::IN_ORDER)
        .with(Self::GUEST_USO4)
        .with(Self::GUEST_USO6)
        .with(Self::HOST_USO);

    /// What such a driver can have whatever the hardware: it is between the driver and us. Its queue is ours, and so is its
    /// configuration; hardware receives everything, so that a filter never takes away what is wanted.
    pub(super) const OURS: Self = Self::MTU
        .with(Self::MAC)
        .with(Self::STATUS)
        .with(Self::CTRL_VQ)
        .with(Self::CTRL_RX)
        .with(Self::CTRL_VLAN)
        .with(Self::GUEST_ANNOUNCE)
        .with(Self::CTRL_MAC_ADDR)
        .with(Self::VERSION_1)
        .with(Self::ACCESS_PLATFORM)
        .with(Self::RING_RESET);

    /// What is asked of hardware for a driver that has taken `driver`; or what it lacks.
    pub(super) fn for_driver(driver: Self, offered: Self) -> Result<Self, Self> {
        let wanted = Self(driver.0 & Self::RINGS.0).with(Self::REQUIRED);
        let lacking = Self(wanted.0 & !offered.0);
        if lacking != Self::default() {
            return Err(lacking);
        }
        Ok(wanted.with(Self(offered.0 & Self::STATUS.0)))
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is taken of an offer (5.1.3.1: nothing without what it depends on), or what it lacks.
    pub(super) fn of_offer(offered: Self) -> Result<Self, Self> {
        let lacking = Self(Self::REQUIRED.0 & !offered.0);
        if lacking != Self::default() {
            return Err(lacking);
        }
        let mut taken = Self(offered.0 & Self::WANTED.0);
        let dependent = [
            (
                Self::CSUM,
                [Self::HOST_TSO4, Self::HOST_TSO6, Self::HOST_USO],
            ),
            (Self::CTRL_VQ, [Self::CTRL_RX, Self::MQ, Self::MQ]),
        ];
        for (on, features) in dependent {
            if !taken.has(on) {
                for feature in features {
                    taken.0 &= !feature.0;
                }
            }
        }
        Ok(taken)
    }
}

impl std::fmt::Display for Features {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Self::NAMES.iter().filter(|(bit, _)| self.has(*bit));
        let names: Vec<_> = named.map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}
