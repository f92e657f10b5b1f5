//! Values that are one word of a few.

use serde::{Deserialize, Serialize};

/// An enumeration with its words: what stands in a profile.
macro_rules! words {
    ($($(#[$doc:meta])* pub enum $name:ident {
        $($(#[$entry:meta])* $variant:ident = $word:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$entry])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every word.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The value's word.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    )*};
}

words! {
    /// Yes or no.
    pub enum Permission {
        /// Refused.
        #[default]
        Deny = "deny",
        /// Allowed.
        Allow = "allow",
    }

    /// Which unicast addresses a guest may take.
    pub enum MacPermission {
        /// None but the one given at create.
        #[default]
        Deny = "deny",
        /// Those in `control.mac-list`, and the one given at create.
        Listed = "listed",
        /// Every unicast address.
        AnyUnicast = "any-unicast",
    }

    /// Who may receive frames that are not for it.
    pub enum Listening {
        /// Nobody.
        #[default]
        Deny = "deny",
        /// Devices with an access VLAN: the operator said what they can see.
        AccessVlan = "access-vlan",
        /// Every device, in all VLANs that it can be in.
        OwnVlans = "own-vlans",
    }

    /// Which VLANs a guest may join.
    pub enum VlanPermission {
        /// None.
        #[default]
        Deny = "deny",
        /// Those in `control.vlan-list`.
        Listed = "listed",
        /// Every one.
        Any = "any",
    }

    /// Ring formats.
    pub enum Format {
        /// Split rings: what every driver can do.
        #[default]
        Split = "split",
        /// Packed rings.
        Packed = "packed",
    }

    /// Whether a device is to have an access VLAN.
    pub enum AccessVlan {
        /// With or without.
        #[default]
        Optional = "optional",
        /// Only with one.
        Required = "required",
        /// Only without.
        Forbidden = "forbidden",
    }

    /// Which source addresses frames of a guest may have.
    pub enum SourceMac {
        /// The one given at create.
        #[default]
        Assigned = "assigned",
        /// That, the present one, and those in its filter: all that it was allowed to take.
        Granted = "granted",
        /// Any.
        Any = "any",
    }

    /// Which tags frames of a guest may have.
    pub enum SourceVlan {
        /// None, and those of VLANs that it may join.
        #[default]
        Joined = "joined",
        /// Any.
        Any = "any",
    }

    /// What a guest may say in ARP or neighbour discovery about who has an address.
    pub enum Neighbour {
        /// Only that it has itself: the hardware address named is the frame's source.
        #[default]
        Mac = "mac",
        /// And the protocol address named lies in `spoof.source-networks`.
        MacAndNetwork = "mac-and-network",
        /// Anything.
        Off = "off",
    }

    /// What follows from a ring that cannot be.
    pub enum RingReaction {
        /// The device stops and asks its driver for a reset.
        #[default]
        StopDevice = "stop-device",
        /// And starts anew by itself, as far as its kind can and a few times a minute at most.
        ResetDevice = "reset-device",
        /// The client's connection is closed.
        Disconnect = "disconnect",
    }

    /// What follows from a bad frame, beside that it is dropped.
    pub enum FrameReaction {
        /// It is counted.
        Count = "count",
        /// And an audit event tells of it.
        #[default]
        Audit = "audit",
        /// And once there are too many the device stops and asks its driver for a reset.
        StopDevice = "stop-device",
        /// And once there are too many the client's connection is closed.
        Disconnect = "disconnect",
    }

    /// What follows from a request that is refused, beside the guest's answer.
    pub enum RequestReaction {
        /// An audit event tells of it: there is no less.
        #[default]
        Audit = "audit",
        /// And once there are too many the device stops and asks its driver for a reset.
        StopDevice = "stop-device",
        /// And once there are too many the client's connection is closed.
        Disconnect = "disconnect",
    }
}
