//! Single values of requests: what each may be, and what goes with what.

use std::str::FromStr;

use libcvf::control::MacAddr;
use libcvf::cvf::{PolicyError, PortPolicy};

use super::attributes::{GroupShare, Trunk, VlanTag};
use super::definition::Word;
use super::error::EngineError;
use super::tuning::Tuning;
use crate::limits::MAX_TEXT;
use crate::names::check_name;
use crate::nearest;

/// A value as text, or `none`.
pub(super) fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}

/// A name that a profile could have.
pub(super) fn check_profile(name: &str) -> Result<(), EngineError> {
    policies::profile::check_name(name).map_err(|_| {
        let why = "it is no name of a profile; 'cvfctl policy list' shows what there is";
        EngineError::invalid("profile", name, why)
    })
}

/// VLANs of a trunk.
pub(super) fn trunk(text: &str) -> Result<Trunk, EngineError> {
    text.parse()
        .map_err(|why: String| EngineError::invalid("trunk", text, why))
}

/// A priority code point.
pub(super) fn qos(value: u64) -> Result<u8, EngineError> {
    let fits = u8::try_from(value).ok().filter(|qos| *qos <= 7);
    fits.ok_or_else(|| EngineError::invalid("vlan_qos", value, "it is from 0 to 7"))
}

/// Without an access VLAN there is nothing to tag.
pub(super) fn check_tag(has_vlan: bool, tag: VlanTag) -> Result<(), EngineError> {
    if has_vlan || tag.is_default() {
        return Ok(());
    }
    let (attribute, value) = match tag.qos {
        Some(qos) => ("vlan_qos", qos.to_string()),
        None => ("vlan_protocol", tag.protocol.word().to_owned()),
    };
    let why = "it is about the tags of an access VLAN, and there is none; give vlan, too";
    Err(EngineError::invalid(attribute, value, why))
}

/// A value that says itself what is wrong with it.
pub(super) fn tuned<T: FromStr<Err = String>>(
    key: &str,
    text: Option<&str>,
) -> Result<Option<T>, EngineError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let value = text.parse::<T>();
    value
        .map(Some)
        .map_err(|why| EngineError::invalid(key, text, why))
}

/// What is set of queues goes with the slice's.
pub(super) fn check_tuning(have: u16, tuning: &Tuning) -> Result<(), EngineError> {
    let policy = PortPolicy {
        queues: tuning.queues(have),
        ..PortPolicy::default()
    };
    policy.check_queues(have).map_err(|why| match why {
        PolicyError::Pairs { asked, .. } => EngineError::invalid("queue_pairs", asked, why),
        why => EngineError::invalid("rss_table", or_none(tuning.rss_table.as_ref()), why),
    })
}

/// A name that a group could have.
pub(super) fn group(name: &str) -> Result<String, EngineError> {
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(why) => Err(EngineError::invalid("group", name, why)),
    }
}

/// A share is one of a group's rate.
pub(super) fn check_share(share: &GroupShare) -> Result<(), EngineError> {
    match (&share.group, share.tx_share) {
        (None, Some(mbit)) => Err(EngineError::invalid(
            "tx_share",
            mbit,
            "it is guaranteed out of a group's rate, and the device is in no group; give group, too",
        )),
        _ => Ok(()),
    }
}

/// A rate up to `most`.
pub(super) fn check_rate(key: &str, rate: u64, most: u32) -> Result<u32, EngineError> {
    let fits = u32::try_from(rate).ok();
    fits.filter(|rate| (1..=most).contains(rate))
        .ok_or_else(|| EngineError::invalid(key, rate, format!("it is from 1 to {most}")))
}

pub(super) fn word<T: Word>(argument: &str, text: Option<&str>) -> Result<T, EngineError> {
    let Some(text) = text else {
        return Ok(T::default());
    };
    T::from_word(text).ok_or_else(|| {
        let words: Vec<_> = T::WORDS.iter().map(|&(word, _)| word).collect();
        let hint = nearest::hint(text, words.iter().copied());
        EngineError::invalid(
            argument,
            text,
            format!("it is one of {}{hint}", words.join(", ")),
        )
    })
}

pub(super) fn number(argument: &str, value: u64, min: u64, max: u64) -> Result<u16, EngineError> {
    let refuse = || EngineError::invalid(argument, value, format!("it is from {min} to {max}"));
    if !(min..=max).contains(&value) {
        return Err(refuse());
    }
    u16::try_from(value).map_err(|_| refuse())
}

pub(super) fn mac(text: &str) -> Result<MacAddr, EngineError> {
    let refuse = |why: &str| EngineError::invalid("mac", text, why);
    let mac: MacAddr = text
        .parse()
        .map_err(|_| refuse("write six hexadecimal bytes as in 52:54:00:12:34:56"))?;
    if mac.is_multicast() {
        return Err(refuse(
            "the group bit is set; a device has a unicast address (even first byte)",
        ));
    }
    if !mac.is_unicast_nonzero() {
        return Err(refuse("all zero is no address"));
    }
    Ok(mac)
}

/// Permission bits in octal, as `chmod` takes them.
///
/// # Errors
/// A sentence.
pub fn parse_mode(text: &str) -> Result<u32, &'static str> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal =
        (1..=4).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(mode),
        _ => Err("write permission bits in octal as in 0660"),
    }
}

pub(super) fn mode(text: &str) -> Result<u32, EngineError> {
    parse_mode(text).map_err(|why| EngineError::invalid("socket_mode", text, why))
}

pub(super) fn account(argument: &str, text: Option<String>) -> Result<Option<String>, EngineError> {
    match text {
        Some(text) if text.is_empty() || text.len() > MAX_TEXT || text.contains(['\0', ':']) => {
            Err(EngineError::invalid(
                argument,
                text,
                "write a name or a number",
            ))
        }
        text => Ok(text),
    }
}
