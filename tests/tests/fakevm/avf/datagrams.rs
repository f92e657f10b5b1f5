//! Large datagrams, whole and cut.

use lab::fakevm::avf::desc::ptype;
use lab::fakevm::avf::virtchnl::cap;
use lab::fakevm::avf::{AvfVm, AvfVmConfig, Checksum, Offload};
use lab::fakevm::frame;
use lab::fakevm::net::{NetHeader, gso, header_flag};
use lab_guest::inspect::{self, Kind};

use super::offloads::payload;
use super::{avf, avf_with, pass};
use crate::common::{Host, SOON, without};
use crate::offloads::RECEIVE_OFFLOADS;

/// Bytes of a datagram's payload.
const SEGMENT: u16 = 1000;
const MTU: usize = 1500;

/// Datagrams over one of the versions of IP.
#[derive(Clone, Copy, Debug)]
struct Udp {
    make: frame::Maker,
    /// Where the header of UDP begins.
    at: u16,
    ptype: u8,
}

const VERSIONS: [Udp; 2] = [
    Udp {
        make: frame::udp4,
        at: 34,
        ptype: ptype::V4_UDP,
    },
    Udp {
        make: frame::udp6,
        at: 54,
        ptype: ptype::V6_UDP,
    },
];

impl Udp {
    fn large(self) -> NetHeader {
        NetHeader {
            flags: header_flag::NEEDS_CSUM,
            gso_type: gso::UDP_L4,
            hdr_len: self.at + 8,
            gso_size: SEGMENT,
            csum_start: self.at,
            csum_offset: 6,
            ..NetHeader::default()
        }
    }

    fn is(self, frame: &[u8]) -> bool {
        let kind = if self.at == 34 {
            [0x08, 0x00]
        } else {
            [0x86, 0xdd]
        };
        frame.get(12..14) == Some(&kind)
    }

    /// What a datagram carries that was found to be whole, of the right length and with the right checksum.
    fn payload_of(self, frame: &[u8]) -> &[u8] {
        let found = inspect::frame(frame, false, MTU);
        assert_eq!(found, Ok(Kind::Finished), "{frame:02x?}");
        &frame[usize::from(self.at) + 8..]
    }

    /// Takes the datagrams that one of this payload is cut into.
    fn take(self, vm: &mut AvfVm, data: &[u8], tag: Option<u16>) {
        for (nth, part) in data.chunks(SEGMENT.into()).enumerate() {
            let (received, came) = loop {
                let (received, came) = vm.recv_on(0, SOON).unwrap().expect("a datagram");
                if self.is(&came) {
                    break (received, came);
                }
            };
            assert!(self.payload_of(&came) == part, "datagram {nth}");
            assert_eq!(received.ptype, self.ptype, "datagram {nth}");
            assert_ne!(received.checksum, Checksum::Bad, "datagram {nth}");
            assert_eq!(received.vlan, tag, "datagram {nth}");
        }
    }
}

#[test]
fn a_large_datagram_is_cut_for_every_such_device() {
    let host = Host::new();
    let (mut one, mut two, mut other) = (avf(&host, "one"), avf(&host, "two"), host.vm("other"));
    for udp in VERSIONS {
        for len in [1, 999, 1000, 1001, 3000, 60_999] {
            let data = payload(len);
            let sent = (udp.make)(two.mac(), one.mac(), &data);
            one.send_header(0, &udp.large(), &sent).unwrap();
            udp.take(&mut two, &data, None);
            let sent = (udp.make)(two.mac(), other.mac().unwrap(), &data);
            other.send_on(0, &udp.large(), &sent).unwrap();
            udp.take(&mut two, &data, None);
        }
    }
}

#[test]
fn a_large_datagram_reaches_a_virtio_guest_whole() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), host.vm("two"));
    let mut plain = host.vm_with("plain", &[], without(RECEIVE_OFFLOADS));
    for udp in VERSIONS {
        let data = payload(16_500);
        let next = |vm: &mut lab::fakevm::FakeVm| loop {
            let (header, came) = vm.recv_on(0, SOON).unwrap().expect("a datagram");
            if udp.is(&came) {
                return (header, came);
            }
        };
        let sent = (udp.make)(two.mac().unwrap(), one.mac(), &data);
        one.send_header(0, &udp.large(), &sent).unwrap();
        let (header, came) = next(&mut two);
        // What the driver left out is there again, as virtio wants it: lengths, and the sum of the pseudo header.
        assert!(came == sent, "{udp:?}");
        let said = NetHeader {
            num_buffers: 0,
            ..header
        };
        assert_eq!(said, udp.large(), "{udp:?}");
        let sent = (udp.make)(plain.mac().unwrap(), one.mac(), &data);
        one.send_header(0, &udp.large(), &sent).unwrap();
        for part in data.chunks(SEGMENT.into()) {
            let (header, came) = next(&mut plain);
            let asked = header.flags & header_flag::NEEDS_CSUM;
            assert_eq!((asked, header.gso_type), (0, gso::NONE), "{udp:?}");
            assert!(udp.payload_of(&came) == part, "{udp:?}");
        }
    }
    assert_eq!(host.daemon.counter("one", "/tx/large_frames").unwrap(), 4);
}

#[test]
fn a_tag_is_put_into_every_datagram() {
    let host = Host::new();
    let (mut one, mut two) = (avf(&host, "one"), avf(&host, "two"));
    assert!(two.add_vlans(&[5]).unwrap().is_ok());
    for udp in VERSIONS {
        let data = payload(4500);
        let mut sent = (udp.make)(two.mac(), one.mac(), &data);
        let (offload, patches) = Offload::of(&udp.large(), &sent).unwrap();
        let offload = Offload {
            vlan: Some(5),
            ..offload
        };
        for (at, bytes) in patches.into_iter().flatten() {
            sent[at..at + 2].copy_from_slice(&bytes);
        }
        one.send_on(0, &offload, &sent).unwrap();
        udp.take(&mut two, &data, Some(5));
    }
}

#[test]
fn who_was_not_granted_it_has_its_datagram_dropped() {
    let host = Host::new();
    let config = AvfVmConfig {
        wanted: cap::FULL & !cap::USO,
        ..AvfVmConfig::default()
    };
    let (mut one, mut two) = (avf_with(&host, "one", &[], config), avf(&host, "two"));
    for udp in VERSIONS {
        let sent = (udp.make)(two.mac(), one.mac(), &payload(3000));
        one.send_header(0, &udp.large(), &sent).unwrap();
    }
    let later = frame::numbered(two.mac(), one.mac(), 1, 100);
    one.send(&later).unwrap();
    assert_eq!(two.recv(SOON).unwrap(), Some(later), "the first that comes");
    let told = host.daemon.ctl(&["stats", "one"]).unwrap();
    assert_eq!(told["tx"]["drops"]["bad-offload"], 2, "{told}");
    pass(&mut two, &mut one, 2);
}
