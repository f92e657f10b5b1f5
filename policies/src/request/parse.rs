//! From what an operator types to a request.

use libcvf::control::{
    Coalescing, CoalescingScope, ControlRequest, HashSettings, MacAddr, RssSettings,
};
use libcvf::limits::{RSS_KEY_SIZE, RSS_TABLE};

use super::lists::{ACCEPTS, HASHES, macs, set};
use crate::limits::{MAX_REQUEST, MAX_REQUEST_MACS, MAX_REQUEST_TABLE};
use crate::nearest::{hint, shown};

/// A text was not a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseRequestError(String);

/// A kind of request, and how it is typed.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What stands before '='.
    pub name: &'static str,
    /// What stands behind it.
    pub value: &'static str,
    /// A whole request.
    pub example: &'static str,
    /// What the guest asks for.
    pub meaning: &'static str,
}

const fn form(
    name: &'static str,
    value: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Form {
    Form {
        name,
        value,
        example,
        meaning,
    }
}

/// Every kind of request.
pub const FORMS: &[Form] = &[
    form(
        "mac",
        "MAC",
        "mac=52:54:00:12:34:56",
        "use this as its own address",
    ),
    form(
        "unicast",
        "MAC[+N],...|none",
        "unicast=52:54:00:12:34:57 multicast=01:00:5e:00:00:01",
        "replace its filter: addresses beside its own, in one request with multicast=",
    ),
    form(
        "multicast",
        "MAC[+N],...|none",
        "multicast=01:00:5e:00:00:01+3",
        "replace its filter: groups; MAC+N stands for N addresses from MAC on",
    ),
    form(
        "promiscuous",
        "on|off",
        "promiscuous=on",
        "receive every frame",
    ),
    form(
        "all-multicast",
        "on|off",
        "all-multicast=on",
        "receive every multicast frame",
    ),
    form(
        "all-unicast",
        "on|off",
        "all-unicast=on",
        "receive every unicast frame",
    ),
    form(
        "no-multicast",
        "on|off",
        "no-multicast=on",
        "receive no multicast frame",
    ),
    form(
        "no-unicast",
        "on|off",
        "no-unicast=on",
        "receive no unicast frame",
    ),
    form(
        "no-broadcast",
        "on|off",
        "no-broadcast=on",
        "receive no broadcast frame",
    ),
    form("vlan", "ID", "vlan=100", "join a VLAN"),
    form("vlan-leave", "ID", "vlan-leave=100", "leave a VLAN"),
    form(
        "vlan-filter",
        "on|off",
        "vlan-filter=on",
        "receive frames of joined VLANs only",
    ),
    form(
        "queue-pairs",
        "N",
        "queue-pairs=8",
        "use so many queue pairs",
    ),
    form(
        "rss",
        "N[,table=ENTRIES][,queues=N][,unclassified=QUEUE]",
        "rss=4,table=128",
        "use N queue pairs, and a hash that chooses among the first `queues` receive queues",
    ),
    form(
        "hash-report",
        "TYPE,...|all|none",
        "hash-report=ipv4,tcpv4",
        "have hashes reported",
    ),
    form(
        "coalescing",
        "receive|transmit|receive-queue:N|transmit-queue:N,usecs=N,packets=N",
        "coalescing=receive,usecs=50,packets=16",
        "have interrupts held back",
    ),
    form(
        "receive-offloads",
        "OFFLOAD,...|all|none",
        "receive-offloads=csum,tso4",
        "take these only",
    ),
];

/// Reads a request: one `NAME=VALUE` of [`FORMS`], or `unicast=` and `multicast=` together.
///
/// # Errors
/// A sentence with what would be right.
pub fn parse(text: &str) -> Result<ControlRequest, ParseRequestError> {
    if text.len() > MAX_REQUEST {
        let len = text.len();
        let what = format!("a request of {len} bytes is longer than {MAX_REQUEST}");
        return Err(ParseRequestError(what));
    }
    let mut filter = None;
    let words: Vec<_> = text.split_whitespace().collect();
    for word in &words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(ParseRequestError(strange(word)));
        };
        let request = one(name, value).map_err(ParseRequestError)?;
        let alone = words.len() == 1;
        match request {
            ControlRequest::SetMacFilter { unicast, multicast } => {
                let (all_unicast, all_multicast): &mut (Vec<_>, Vec<_>) =
                    filter.get_or_insert_default();
                all_unicast.extend(unicast);
                all_multicast.extend(multicast);
                let most = all_unicast.len().max(all_multicast.len());
                if most > MAX_REQUEST_MACS {
                    let what = format!("more than {MAX_REQUEST_MACS} addresses of one kind");
                    return Err(ParseRequestError(what));
                }
            }
            request if alone => return Ok(request),
            _ => {
                let what = format!(
                    "'{}' is more than one request: only unicast= and multicast= go together",
                    shown(text)
                );
                return Err(ParseRequestError(what));
            }
        }
    }
    let filter =
        filter.map(|(unicast, multicast)| ControlRequest::SetMacFilter { unicast, multicast });
    filter.ok_or_else(|| ParseRequestError(format!("no request is there: {}", asked())))
}

/// What can be asked.
fn asked() -> String {
    let forms = FORMS
        .iter()
        .map(|form| format!("{}={}", form.name, form.value));
    format!("write one of {}", forms.collect::<Vec<_>>().join(", "))
}

fn strange(word: &str) -> String {
    let name = shown(word.split('=').next().unwrap_or_default());
    match FORMS.iter().find(|form| form.name == name) {
        Some(form) => format!(
            "'{name}' lacks its value: write {}={}",
            form.name, form.value
        ),
        None => {
            let near = hint(&name, FORMS.iter().map(|form| form.name));
            format!("a guest cannot ask for '{name}'{near} ({})", asked())
        }
    }
}

fn one(name: &str, value: &str) -> Result<ControlRequest, String> {
    let form = FORMS
        .iter()
        .find(|form| form.name == name)
        .ok_or_else(|| strange(name))?;
    let refuse = |why: String| {
        let Form {
            name,
            value,
            example,
            ..
        } = form;
        format!("{name}: {why}: write {name}={value}, as in {example}")
    };
    let wrong = || format!("'{}' cannot be", shown(value));
    let flag = |make: fn(bool) -> ControlRequest| match value {
        "on" => Ok(make(true)),
        "off" => Ok(make(false)),
        _ => Err(wrong()),
    };
    let id = |make: fn(u16) -> ControlRequest| number(value).map(make);
    let request = match name {
        "mac" => value
            .parse::<MacAddr>()
            .map(ControlRequest::SetMac)
            .map_err(|_| wrong()),
        "unicast" => macs(value).map(|unicast| ControlRequest::SetMacFilter {
            unicast,
            multicast: Vec::new(),
        }),
        "multicast" => macs(value).map(|multicast| ControlRequest::SetMacFilter {
            unicast: Vec::new(),
            multicast,
        }),
        "promiscuous" => flag(ControlRequest::Promiscuous),
        "all-multicast" => flag(ControlRequest::AllMulticast),
        "all-unicast" => flag(ControlRequest::AllUnicast),
        "no-multicast" => flag(ControlRequest::NoMulticast),
        "no-unicast" => flag(ControlRequest::NoUnicast),
        "no-broadcast" => flag(ControlRequest::NoBroadcast),
        "vlan" => id(ControlRequest::AddVlan),
        "vlan-leave" => id(ControlRequest::DelVlan),
        "vlan-filter" => flag(ControlRequest::FilterVlans),
        "queue-pairs" => id(ControlRequest::SetQueuePairs),
        "rss" => rss(value),
        "hash-report" => set(value, HASHES).map(|types| ControlRequest::SetHash(hash(types))),
        "coalescing" => coalescing(value),
        "receive-offloads" => set(value, ACCEPTS).map(|bits| {
            let bits = u16::try_from(bits).unwrap_or_default();
            ControlRequest::SetReceiveOffloads(libcvf::offload::Accepts(bits))
        }),
        _ => Err(wrong()),
    };
    request.map_err(refuse)
}

/// A number written in digits.
fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("'{}' is no such number", shown(text)))
}

fn hash(types: u32) -> HashSettings {
    let types = libcvf::offload::HashTypes(types);
    let key = vec![0x6d; RSS_KEY_SIZE];
    HashSettings { types, key }
}

/// A table that goes round over the queues, as drivers make them.
fn rss(value: &str) -> Result<ControlRequest, String> {
    let mut options = value.split(',');
    let pairs: u16 = number(options.next().unwrap_or_default())?;
    let (mut entries, mut queues, mut unclassified) = (usize::from(RSS_TABLE), pairs, 0);
    for option in options {
        match option.split_once('=') {
            Some(("table", value)) => entries = number(value)?,
            Some(("queues", value)) => queues = number(value)?,
            Some(("unclassified", value)) => unclassified = number(value)?,
            _ => return Err(format!("'{}' is no option", shown(option))),
        }
    }
    if entries > MAX_REQUEST_TABLE {
        return Err(format!(
            "a table of {entries} entries is longer than {MAX_REQUEST_TABLE}"
        ));
    }
    let queues = queues.max(1);
    let table = (0..queues).cycle().take(entries).collect();
    let hash = hash(libcvf::offload::HashTypes::ALL.0);
    Ok(ControlRequest::SetRss(RssSettings {
        hash,
        unclassified,
        table,
        pairs,
    }))
}

fn coalescing(value: &str) -> Result<ControlRequest, String> {
    let mut options = value.split(',');
    let scope = options.next().unwrap_or_default();
    let scope = match scope.split_once(':') {
        None if scope == "receive" => CoalescingScope::Receive,
        None if scope == "transmit" => CoalescingScope::Transmit,
        Some(("receive-queue", pair)) => CoalescingScope::ReceiveQueue(number(pair)?),
        Some(("transmit-queue", pair)) => CoalescingScope::TransmitQueue(number(pair)?),
        _ => return Err(format!("'{}' is no queue", shown(scope))),
    };
    let mut to = Coalescing::default();
    for option in options {
        match option.split_once('=') {
            Some(("usecs", value)) => to.max_usecs = number(value)?,
            Some(("packets", value)) => to.max_packets = number(value)?,
            _ => return Err(format!("'{}' is no option", shown(option))),
        }
    }
    Ok(ControlRequest::SetCoalescing(scope, to))
}
