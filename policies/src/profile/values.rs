//! Values with an inner form: masks of addresses, ranges of VLANs, networks, features, rates.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;

use libcvf::control::MacAddr;
use libcvf::limits::MAX_VLAN;
use libcvf::personality::virtio_net::{bits, feature_names};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::nearest::{hint, shown};

/// Reads a text by `FromStr`, while the deserializer still knows where it stands.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Serde by `Display` and `FromStr`.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Text(PhantomData))
            }
        }
    )*};
}

as_text!(MacPattern, VlanRange, Network, Feature);

/// Unicast addresses that begin alike: `52:54:00:12:34:56`, or `52:54:00:00:00:00/24` for all that
/// have these 24 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacPattern {
    address: MacAddr,
    bits: u8,
}

impl MacPattern {
    /// True for an address that begins so.
    pub fn contains(&self, mac: MacAddr) -> bool {
        self.bits == 0 || (number(mac) ^ number(self.address)) >> (48 - self.bits) == 0
    }
}

fn number(mac: MacAddr) -> u64 {
    mac.0
        .iter()
        .fold(0, |all, &byte| all << 8 | u64::from(byte))
}

impl fmt::Display for MacPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            48 => write!(f, "{}", self.address),
            bits => write!(f, "{}/{bits}", self.address),
        }
    }
}

impl FromStr for MacPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, prefix(bits, 48)?),
            None => (text, 48),
        };
        let address: MacAddr = address.parse().map_err(|_| {
            let text = shown(text);
            format!("'{text}' is no MAC address such as 52:54:00:12:34:56 or 52:54:00:00:00:00/24")
        })?;
        if address.is_multicast() {
            return Err(format!(
                "{address} is a group, and a guest takes none as its own"
            ));
        }
        if bits < 48 && number(address) << (16 + u32::from(bits)) != 0 {
            return Err(format!(
                "{address} goes on after its first {bits} bits: write zeros there"
            ));
        }
        Ok(Self { address, bits })
    }
}

fn prefix(text: &str, most: u8) -> Result<u8, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(bits) if digits && bits <= most => Ok(bits),
        _ => Err(format!(
            "'/{}' is no number of bits from /0 to /{most}",
            shown(text)
        )),
    }
}

/// VLAN ids: `"100"`, or `"200-299"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanRange {
    first: u16,
    last: u16,
}

impl VlanRange {
    /// True for an id in it.
    pub const fn contains(&self, id: u16) -> bool {
        self.first <= id && id <= self.last
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for VlanRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let id = text.parse().ok().filter(|_| digits);
            id.filter(|id| (1..=MAX_VLAN).contains(id))
                .ok_or_else(|| format!("'{}' is no VLAN: ids are 1 to {MAX_VLAN}", shown(text)))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (id(first)?, id(last)?);
        if first > last {
            return Err(format!("'{first}-{last}' begins behind its end"));
        }
        Ok(Self { first, last })
    }
}

/// Addresses of the internet protocols: `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// True for an address in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && (self.bits == 0 || (left(address) ^ left(self.address)) >> (128 - self.bits) == 0)
    }
}

/// An address as a number, its first bit the highest of 128.
fn left(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            let text = shown(text);
            format!("'{text}' is no network such as 192.0.2.0/24 or 2001:db8::/32")
        };
        let (address, bits) = text.split_once('/').ok_or_else(refuse)?;
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let bits = prefix(bits, if address.is_ipv4() { 32 } else { 128 })?;
        if left(address).checked_shl(bits.into()).unwrap_or(0) != 0 {
            return Err(format!(
                "{address} goes on after its first {bits} bits: write zeros there"
            ));
        }
        Ok(Self { address, bits })
    }
}

/// A feature that may be withheld from drivers, by its name in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature(u64);

/// Features without which a device would not be one that its driver can use.
const ALWAYS: u64 = bits::VERSION_1 | bits::ACCESS_PLATFORM | bits::MAC;

impl Feature {
    /// Every feature that can be withheld.
    pub fn all() -> impl Iterator<Item = Self> {
        let bits = (0..64).map(|bit| 1 << bit).filter(|bit| ALWAYS & bit == 0);
        bits.filter(|&bit| !feature_names(bit).is_empty()).map(Self)
    }

    /// Its bit.
    pub const fn bit(self) -> u64 {
        self.0
    }

    /// Its name, without prefix.
    pub fn name(self) -> &'static str {
        feature_names(self.0).first().copied().unwrap_or_default()
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Feature {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(feature) = Self::all().find(|feature| feature.name() == text) {
            return Ok(feature);
        }
        if feature_names(ALWAYS).contains(&text) {
            return Err(format!("{text} is always offered: drivers need it"));
        }
        let text = shown(text);
        let hint = hint(&text.to_uppercase(), Self::all().map(Self::name));
        Err(format!("there is no feature '{text}'{hint}"))
    }
}

/// So many per second (or what the key says), or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// No limit.
    Unlimited,
    /// At most so many.
    Limited(u32),
}

impl Rate {
    /// The limit.
    pub const fn limit(self) -> Option<u32> {
        match self {
            Self::Unlimited => None,
            Self::Limited(most) => Some(most),
        }
    }
}

const UNLIMITED: &str = "unlimited";

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => to.serialize_str(UNLIMITED),
            Self::Limited(most) => to.serialize_u32(*most),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number or \"{UNLIMITED}\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Rate, E> {
                match text {
                    UNLIMITED => Ok(Rate::Unlimited),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Rate, E> {
                let refuse = |_| E::invalid_value(serde::de::Unexpected::Signed(number), &self);
                u32::try_from(number).map(Rate::Limited).map_err(refuse)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Rate, E> {
                let refuse = |_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
                u32::try_from(number).map(Rate::Limited).map_err(refuse)
            }
        }

        from.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests;
