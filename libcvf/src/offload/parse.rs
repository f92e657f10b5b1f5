//! From a frame's first bytes to checked values.
//!
//! Nothing here can panic: every access is a checked read, every walk is bounded, and offsets that
//! leave this module lie within both the bytes given and the frame's length.

use super::addr::PackedMac;

/// EtherTypes that are told apart.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution for IPv4.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// The service tag's old, unregistered number.
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;

    /// True for the three tags.
    #[inline]
    pub const fn is_tag(number: u16) -> bool {
        matches!(number, VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN)
    }
}

/// Bytes of an Ethernet header without tag.
pub(super) const ETHERNET: usize = 14;
/// Bytes of one tag.
pub(super) const TAG: usize = 4;
/// IP protocol numbers.
pub(super) const TCP: u8 = 6;
/// See [`TCP`].
pub(super) const UDP: u8 = 17;

/// Why bytes are not the headers they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than an Ethernet header with its tags.
    #[error("shorter than its Ethernet header")]
    Ethernet,
    /// More than two tags.
    #[error("more than two VLAN tags")]
    Tags,
    /// The IPv4 header is cut off, has another version or a length below 20.
    #[error("not a whole IPv4 header")]
    Ipv4,
    /// The IPv6 header or an extension header is cut off, or has another version.
    #[error("not a whole IPv6 header")]
    Ipv6,
    /// More than [`crate::limits::MAX_IPV6_EXTENSIONS`] extension headers.
    #[error("too many IPv6 extension headers")]
    Extensions,
    /// The TCP header is cut off or its data offset is below 5.
    #[error("not a whole TCP header")]
    Tcp,
    /// The UDP header is cut off.
    #[error("not a whole UDP header")]
    Udp,
}

/// One VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// Which kind of tag: [`ethertype::VLAN`] or one of the service tags.
    pub tpid: u16,
    /// Priority (3 bits), drop eligible (1 bit), VLAN id (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// VLAN id, 0 for a tag that carries only a priority.
    #[inline]
    pub const fn vid(self) -> u16 {
        self.tci & 0xfff
    }

    /// Priority code point.
    #[inline]
    pub const fn pcp(self) -> u8 {
        (self.tci >> 13) as u8
    }

    /// True for an 802.1Q customer tag, the only kind that the switch reads as a VLAN.
    #[inline]
    pub const fn is_customer(self) -> bool {
        self.tpid == ethertype::VLAN
    }
}

/// What forwarding needs: addresses, outer tag, EtherType.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthView {
    /// Destination.
    pub dst: PackedMac,
    /// Source.
    pub src: PackedMac,
    /// Outermost tag of any kind.
    pub tag: Option<VlanTag>,
    /// EtherType behind that tag; again a tag's in a stacked frame.
    pub ethertype: u16,
    /// First byte behind that EtherType: 14 or 18.
    pub offset: u8,
}

impl EthView {
    /// Reads the start of a frame.
    ///
    /// # Errors
    /// [`ParseError::Ethernet`] when the bytes end before the EtherType.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let Some(head) = bytes.first_chunk::<ETHERNET>() else {
            return Err(ParseError::Ethernet);
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *head;
        let outer = u16::from_be_bytes([t0, t1]);
        let mut view = Self {
            dst: PackedMac::new([d0, d1, d2, d3, d4, d5]),
            src: PackedMac::new([s0, s1, s2, s3, s4, s5]),
            tag: None,
            ethertype: outer,
            offset: ETHERNET as u8,
        };
        if ethertype::is_tag(outer) {
            let (tci, inner) = tag_at(bytes, ETHERNET).ok_or(ParseError::Ethernet)?;
            view.tag = Some(VlanTag { tpid: outer, tci });
            view.ethertype = inner;
            view.offset = (ETHERNET + TAG) as u8;
        }
        Ok(view)
    }

    /// Bytes in front of the network header, with a second tag if there is one.
    #[inline]
    pub const fn link_len(&self) -> usize {
        let stacked = self.tag.is_some() && ethertype::is_tag(self.ethertype);
        self.offset as usize + if stacked { TAG } else { 0 }
    }
}

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Not IP.
    Other,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Transport header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// None: not IP, a fragment, or another protocol.
    Other,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The most obstructive of the IPv6 extension headers walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extensions {
    /// None.
    None,
    /// Repeated in every fragment (RFC 8200 4.5).
    HopByHop,
    /// Belongs to the part that is fragmented.
    Destination,
    /// The checksum may be over another destination than the header's (RFC 8200 8.1).
    Routing,
}

/// All headers of a frame. Offsets count bytes from the frame's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Addresses and outer tag.
    pub eth: EthView,
    /// Second tag of a stacked frame.
    pub inner_tag: Option<VlanTag>,
    /// EtherType behind all tags.
    pub ethertype: u16,
    /// First byte of the network header: 14, 18 or 22.
    pub l3_offset: u16,
    /// IP version.
    pub network: Network,
    /// The packet is an IP fragment, whether the first or a later one; no transport is read then.
    pub fragment: bool,
    /// Upper-layer protocol, 0 when not IP. For IPv6 the first header that is not walked.
    pub protocol: u8,
    /// First byte behind the IP header and the extension headers walked.
    pub l4_offset: u16,
    /// Transport header.
    pub transport: Transport,
    /// First byte behind every header read.
    pub end: u16,
    /// IPv6: the extension headers walked.
    pub(super) extensions: Extensions,
    /// IPv6: offset of the next-header byte that names `protocol`.
    pub(super) next_header_at: u16,
}

impl Headers {
    /// Reads a frame's headers from `bytes`, its beginning; `total` is the frame's length. Lengths
    /// that headers state of the packet behind them are not compared with `total`: large-send frames
    /// often lie there.
    ///
    /// # Errors
    /// Which header is not whole within `bytes` and `total`. A frame that is not IP, and a transport
    /// other than TCP and UDP, is no error.
    pub fn parse(bytes: &[u8], total: usize) -> Result<Self, ParseError> {
        let bytes = &bytes[..bytes.len().min(total)];
        let eth = EthView::parse(bytes)?;
        let (mut ethertype, mut l3, mut inner_tag) = (eth.ethertype, usize::from(eth.offset), None);
        if eth.tag.is_some() && ethertype::is_tag(ethertype) {
            let (tci, inner) = tag_at(bytes, l3).ok_or(ParseError::Ethernet)?;
            inner_tag = Some(VlanTag {
                tpid: ethertype,
                tci,
            });
            ethertype = inner;
            l3 += TAG;
            if ethertype::is_tag(ethertype) {
                return Err(ParseError::Tags);
            }
        }
        let mut headers = Self {
            eth,
            inner_tag,
            ethertype,
            l3_offset: l3 as u16,
            network: Network::Other,
            fragment: false,
            protocol: 0,
            l4_offset: l3 as u16,
            transport: Transport::Other,
            end: l3 as u16,
            extensions: Extensions::None,
            next_header_at: 0,
        };
        let l4 = match ethertype {
            ethertype::IPV4 => headers.read_v4(bytes, l3)?,
            ethertype::IPV6 => headers.read_v6(bytes, l3)?,
            _ => return Ok(headers),
        };
        // At most 22 + 60 or 22 + 40 + 8 extension headers of at most 2,048 bytes: fits 16 bits.
        headers.l4_offset = l4 as u16;
        headers.end = l4 as u16;
        if !headers.fragment {
            headers.read_transport(bytes, l4)?;
        }
        Ok(headers)
    }

    /// Where the transport's checksum is: where what it covers begins, and where the field is from there. `None` for
    /// others than whole packets of TCP and UDP.
    #[inline]
    pub const fn checksum_place(&self) -> Option<(u16, u16)> {
        match self.transport {
            Transport::Tcp => Some((self.l4_offset, 16)),
            Transport::Udp => Some((self.l4_offset, 6)),
            Transport::Other => None,
        }
    }

    /// RFC 791 3.1; returns the offset behind the header.
    fn read_v4(&mut self, bytes: &[u8], l3: usize) -> Result<usize, ParseError> {
        let header = window::<20>(bytes, l3).ok_or(ParseError::Ipv4)?;
        let length = usize::from(header[0] & 0xf) * 4;
        if header[0] >> 4 != 4 || length < 20 || bytes.len() < l3 + length {
            return Err(ParseError::Ipv4);
        }
        self.network = Network::V4;
        self.protocol = header[9];
        // More fragments, or an offset.
        self.fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        Ok(l3 + length)
    }

    /// RFC 8200 3 and 4; returns the offset behind the last header walked.
    fn read_v6(&mut self, bytes: &[u8], l3: usize) -> Result<usize, ParseError> {
        const HOP_BY_HOP: u8 = 0;
        const ROUTING: u8 = 43;
        const FRAGMENT: u8 = 44;
        const DESTINATION: u8 = 60;
        let header = window::<40>(bytes, l3).ok_or(ParseError::Ipv6)?;
        if header[0] >> 4 != 6 {
            return Err(ParseError::Ipv6);
        }
        self.network = Network::V6;
        self.protocol = header[6];
        self.next_header_at = (l3 + 6) as u16;
        let mut at = l3 + 40;
        let mut walked = 0;
        while matches!(self.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION) {
            walked += 1;
            if walked > crate::limits::MAX_IPV6_EXTENSIONS {
                return Err(ParseError::Extensions);
            }
            let extension = window::<8>(bytes, at).ok_or(ParseError::Ipv6)?;
            let length = match self.protocol {
                FRAGMENT => {
                    // An atomic fragment (RFC 6946: offset 0, nothing more) counts too: what is done
                    // to whole packets is not done to it.
                    self.fragment = true;
                    8
                }
                _ => (usize::from(extension[1]) + 1) * 8,
            };
            self.extensions = self.extensions.max(match self.protocol {
                HOP_BY_HOP => Extensions::HopByHop,
                ROUTING => Extensions::Routing,
                _ => Extensions::Destination,
            });
            if bytes.len() < at + length {
                return Err(ParseError::Ipv6);
            }
            self.protocol = extension[0];
            self.next_header_at = at as u16;
            at += length;
            if self.fragment {
                break;
            }
        }
        Ok(at)
    }

    fn read_transport(&mut self, bytes: &[u8], l4: usize) -> Result<(), ParseError> {
        match self.protocol {
            TCP => {
                let header = window::<20>(bytes, l4).ok_or(ParseError::Tcp)?;
                let length = usize::from(header[12] >> 4) * 4;
                if length < 20 || bytes.len() < l4 + length {
                    return Err(ParseError::Tcp);
                }
                self.transport = Transport::Tcp;
                self.end = (l4 + length) as u16;
            }
            UDP => {
                window::<8>(bytes, l4).ok_or(ParseError::Udp)?;
                self.transport = Transport::Udp;
                self.end = (l4 + 8) as u16;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The two numbers of a tag whose TPID ends at `at`: TCI, and the EtherType behind it.
#[inline]
fn tag_at(bytes: &[u8], at: usize) -> Option<(u16, u16)> {
    let [a, b, c, d] = *window::<4>(bytes, at)?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// `N` bytes at `at`, if they are there.
#[inline]
pub(super) fn window<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

#[cfg(test)]
mod tests;
