//! What every value by itself is right about, and a profile still can be wrong about.

use super::keys::{KEYS, Values};
use super::words::{MacPermission, Neighbour, VlanPermission};
use super::{Profile, Rate};

/// A key that is wrong.
pub(super) struct Wrong {
    /// The key.
    pub(super) path: &'static str,
    /// The key that it contradicts: one of both is written.
    pub(super) other: Option<&'static str>,
    /// Half a sentence.
    pub(super) what: String,
}

/// Everything that is wrong.
pub(super) fn check(profile: &Profile) -> Vec<Wrong> {
    let mut wrong = bounds(profile);
    let (shape, control, spoof) = (&profile.shape, &profile.control, &profile.spoof);
    let mut refuse = |is: bool, path, other, what: String| {
        if is {
            wrong.push(Wrong {
                path,
                other: Some(other),
                what,
            });
        }
    };
    refuse(
        shape.min_mtu > shape.max_mtu,
        "shape.min-mtu",
        "shape.max-mtu",
        format!(
            "{} is more than shape.max-mtu, {}",
            shape.min_mtu, shape.max_mtu
        ),
    );
    let empty = |word: &str, list: &str, less: &str| {
        format!("'{word}' while {list} names nothing: fill it, or write \"{less}\"")
    };
    for (path, word) in [
        ("control.mac-change", control.mac_change),
        ("control.unicast-filter", control.unicast_filter),
    ] {
        let list = "control.mac-list";
        let nothing = word == MacPermission::Listed && control.mac_list.is_empty();
        refuse(nothing, path, list, empty(word.word(), list, "deny"));
    }
    let (word, list) = (control.vlan_join, "control.vlan-list");
    let nothing = word == VlanPermission::Listed && control.vlan_list.is_empty();
    refuse(
        nothing,
        "control.vlan-join",
        list,
        empty(word.word(), list, "deny"),
    );
    let zero = |word: &str, number: &str| {
        format!("'{word}' while {number} is 0: write a number there, or \"deny\" here")
    };
    let (word, number) = (control.unicast_filter, "control.max-unicast");
    refuse(
        word != MacPermission::Deny && control.max_unicast == 0,
        "control.unicast-filter",
        number,
        zero(word.word(), number),
    );
    let (word, number) = (control.vlan_join, "control.max-vlans");
    refuse(
        word != VlanPermission::Deny && control.max_vlans == 0,
        "control.vlan-join",
        number,
        zero(word.word(), number),
    );
    for (path, word) in [("spoof.arp", spoof.arp), ("spoof.nd", spoof.nd)] {
        let list = "spoof.source-networks";
        let nothing = word == Neighbour::MacAndNetwork && spoof.source_networks.is_empty();
        refuse(nothing, path, list, empty(word.word(), list, "mac"));
    }
    wrong
}

/// Bounds of numbers, lists and texts, from the table of keys.
fn bounds(profile: &Profile) -> Vec<Wrong> {
    let Ok(table) = toml::Table::try_from(profile) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    for key in KEYS {
        let value = match key.path.split_once('.') {
            None => table.get(key.path),
            Some((section, name)) => table.get(section).and_then(|section| section.get(name)),
        };
        if let Some(what) = value.and_then(|value| out_of_bounds(&key.values, value)) {
            wrong.push(Wrong {
                path: key.path,
                other: None,
                what,
            });
        }
    }
    wrong
}

fn out_of_bounds(values: &Values, value: &toml::Value) -> Option<String> {
    let length = |has: usize, most: usize, what: &str| {
        (has > most).then(|| format!("{has} {what} are more than {most}"))
    };
    match values {
        Values::Text(most) => {
            let text = value.as_str().unwrap_or_default();
            if text.chars().any(char::is_control) {
                return Some("it is one line of text: leave control characters out".into());
            }
            length(text.chars().count(), *most, "characters")
        }
        Values::Word(_) | Values::Switch => None,
        Values::Number(range) => {
            let number = value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok());
            let right = number.is_some_and(|number| range.contains(&number));
            (!right).then(|| format!("{value} is out of bounds: write {values}"))
        }
        Values::Rate(most) => match value.clone().try_into().ok() {
            Some(Rate::Limited(0)) => {
                Some("0 lets nothing through: write a number from 1 on, or \"unlimited\"".into())
            }
            Some(Rate::Limited(rate)) if rate > *most => {
                Some(format!("{rate} is out of bounds: write {values}"))
            }
            _ => None,
        },
        Values::Words(_) => {
            let list = value.as_array()?;
            if list.is_empty() {
                return Some(format!("it names nothing: write {values}"));
            }
            let twice = list
                .iter()
                .enumerate()
                .find(|(at, word)| list[..*at].contains(word));
            twice.map(|(_, word)| format!("{word} is listed twice"))
        }
        Values::List(most, _) => length(value.as_array()?.len(), *most, "entries"),
    }
}
