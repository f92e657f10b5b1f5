//! What the lists of a profile hold.

use std::net::IpAddr;

use libcvf::control::MacAddr;

use super::sections::{Permissions, SpoofChecks};
use super::words::VlanPermission;

impl Permissions {
    /// True for an address that `listed` means.
    pub fn lists_mac(&self, mac: MacAddr) -> bool {
        self.mac_list.iter().any(|pattern| pattern.contains(mac))
    }

    /// True for a VLAN that a device without an access VLAN may be in; 0 stands for untagged frames.
    pub fn may_join(&self, id: u16) -> bool {
        match self.vlan_join {
            _ if id == 0 => true,
            VlanPermission::Any => true,
            VlanPermission::Listed => self.vlan_list.iter().any(|range| range.contains(id)),
            VlanPermission::Deny => false,
        }
    }
}

impl SpoofChecks {
    /// True for an address that `mac-and-network` lets a guest have.
    pub fn lists_address(&self, address: IpAddr) -> bool {
        let mut networks = self.source_networks.iter();
        networks.any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn lists_hold_what_any_of_their_entries_does() {
        let text = "[control]\nmac-list = [\"02:00:00:00:00:01\", \"52:54:00:00:00:00/24\"]\n\
                    vlan-join = \"listed\"\nvlan-list = [\"7\", \"100-199\"]\n\
                    [spoof]\nsource-networks = [\"192.0.2.0/24\", \"fe80::/10\"]";
        let Profile { control, spoof, .. } = Profile::parse("test", text).expect("a profile");
        let mac = |text: &str| control.lists_mac(text.parse().expect(text));
        assert!(mac("02:00:00:00:00:01") && mac("52:54:00:ff:ff:ff") && !mac("02:00:00:00:00:02"));
        let joined = [0, 6, 7, 8, 99, 100, 199, 200].map(|id| control.may_join(id));
        assert_eq!(joined, [true, false, true, false, false, true, true, false]);
        let address = |text: &str| spoof.lists_address(text.parse().expect(text));
        assert!(address("192.0.2.9") && address("fe80::1") && !address("192.0.3.9"));
    }

    #[test]
    fn without_a_list_all_or_nothing_may_be_joined() {
        let mut control = Permissions::default();
        assert!(control.may_join(0) && !control.may_join(7));
        control.vlan_join = VlanPermission::Any;
        assert!(control.may_join(0) && control.may_join(7));
    }
}
