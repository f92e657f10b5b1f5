//! Where a PCI function is.

use std::fmt;
use std::str::FromStr;

/// Domain, bus, device and function, as `lspci -D` writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain (segment group).
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device, below 32.
    pub device: u8,
    /// Function, below 8.
    pub function: u8,
}

/// What was given is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no PCI address: {}", advice(*.whole))]
pub struct AddressError {
    text: String,
    /// What it would be in the usual domain.
    whole: Option<PciAddress>,
}

fn advice(whole: Option<PciAddress>) -> String {
    match whole {
        Some(whole) => format!("its domain is missing; write {whole} (`lspci -D` shows domains)"),
        None => {
            "write domain:bus:device.function in hexadecimal, as in 0000:03:00.0 (`lspci -D` lists them)".into()
        }
    }
}

/// A hexadecimal number of exactly `digits` digits, nothing else.
fn hex(text: &str, digits: usize) -> Option<u16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

fn parse(text: &str) -> Option<PciAddress> {
    let (place, function) = text.split_once('.')?;
    let mut parts = place.split(':');
    let address = PciAddress {
        domain: hex(parts.next()?, 4)?,
        bus: u8::try_from(hex(parts.next()?, 2)?).ok()?,
        device: u8::try_from(hex(parts.next()?, 2)?).ok()?,
        function: u8::try_from(hex(function, 1)?).ok()?,
    };
    (parts.next().is_none() && address.device < 32 && address.function < 8).then_some(address)
}

impl FromStr for PciAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).ok_or_else(|| AddressError {
            text: text.chars().take(crate::limits::MAX_SHOWN).collect(),
            whole: parse(&format!("0000:{text}")),
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

#[cfg(test)]
mod tests;
