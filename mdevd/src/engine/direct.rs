//! What a device cannot have where hardware works its rings: whatever the daemon does to frames, which no frame
//! passes then, and what hardware does not have.

use super::attributes::RateLimits;
use super::create::Base;
use super::definition::{DataPath, Definition, Doorbells, Interrupts};
use super::error::EngineError;
use super::request::Draft;
use super::set::Change;

/// An attribute that does not go with `direct`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Clash {
    /// Its name on the bus.
    key: &'static str,
    /// What it is.
    value: String,
    /// Why not: half a sentence.
    why: &'static str,
}

const PAIRS: &str = "hardware works the rings of one queue pair";
const MSIX: &str = "hardware interrupts by MSI-X only";
const PAGES: &str = "the doorbells are hardware's own pages, mapped into the VM";
const TAGS: &str = "tags are put on and taken off by the daemon, which no frame passes";
const TRUNK: &str = "frames are held to VLANs by the daemon, which no frame passes";
const RATES: &str = "rates are kept by the daemon, which no frame passes";
const SENDERS: &str = "senders are checked by the daemon, which no frame passes";
const HEARD: &str = "what is heard is decided by the daemon, which no frame passes";
const QUEUE: &str = "the receive queue is chosen by the daemon, which no frame passes";

/// Decisions about the guest that would have to be held to frames.
const DECISIONS: [(&str, &str, &str); 4] = [
    ("spoof_check", "on", SENDERS),
    ("trust", "off", HEARD),
    ("promiscuous", "deny", HEARD),
    ("multicast", "deny", HEARD),
];

impl DataPath {
    /// The doorbells of a device of which nothing else is said: those of hardware are mapped.
    pub(super) const fn doorbells(self) -> Doorbells {
        match self {
            Self::Auto => Doorbells::Trapped,
            Self::Direct => Doorbells::Mapped,
        }
    }
}

impl Definition {
    /// The first attribute that does not go with its data path.
    fn clash(&self) -> Option<Clash> {
        if self.data_path == DataPath::Auto {
            return None;
        }
        let clash = |key, why, value: String| Clash { key, value, why };
        let of = |key: &'static str, why| Some(clash(key, why, self.attribute(key)?));
        let pairs = (self.queue_pairs > 1)
            .then(|| clash("queue_pairs", PAIRS, self.queue_pairs.to_string()));
        let lines = (self.interrupts == Interrupts::Intx).then(|| of("interrupts", MSIX));
        let trapped = (self.doorbells == Doorbells::Trapped).then(|| of("doorbells", PAGES));
        let fixed = pairs.or(lines.flatten()).or(trapped.flatten());
        let frames = || {
            let vlans = of("vlan", TAGS).or_else(|| of("trunk", TRUNK));
            let mut rates = RateLimits::KEYS
                .into_iter()
                .filter_map(|(key, _)| of(key, RATES));
            let rates = vlans
                .or_else(|| rates.next())
                .or_else(|| of("group", RATES));
            rates.or_else(|| of("rss_key", QUEUE).or_else(|| of("rss_table", QUEUE)))
        };
        let decided = || {
            let mut all = DECISIONS.into_iter();
            all.find_map(|(key, word, why)| of(key, why).filter(|clash| clash.value == word))
        };
        fixed.or_else(frames).or_else(decided)
    }
}

impl Draft {
    /// Whether all that is asked for goes with the data path.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: the first attribute that does not.
    pub(super) fn check_data_path(&self) -> Result<(), EngineError> {
        let Some(Clash { key, value, why }) = self.definition(Base::any()).clash() else {
            return Ok(());
        };
        let why = format!("{why}, with data path 'direct'; leave one of the two out");
        Err(EngineError::invalid(key, value, why))
    }
}

/// Whether `to`, in which `changed` is otherwise, goes with its data path. What is refused is what was asked for.
///
/// # Errors
/// [`EngineError::InvalidArgument`].
pub(super) fn check_change(from: &Definition, to: &Definition) -> Result<(), EngineError> {
    let Some(Clash { key, value, why }) = to.clash() else {
        return Ok(());
    };
    if from.data_path == to.data_path {
        let why = format!(
            "{why}, and the device's data path is 'direct'; stop it and set data-path=auto to have that"
        );
        return Err(EngineError::invalid(key, value, why));
    }
    let attribute = key.replace('_', "-");
    let why = format!("{why}, and the device has {attribute} {value}; take that away first");
    Err(EngineError::invalid("data_path", "direct", why))
}

/// What is refused of a device that runs: `change` is made while it is stopped.
pub(super) fn stopped_first(
    attempted: &'static str,
    definition: &Definition,
    change: &Change,
) -> EngineError {
    let name = &definition.name;
    let first = if definition.life.transient {
        format!("keep it first ('cvfctl define {name}'), for it is transient, then stop it")
    } else {
        "stop it first".to_owned()
    };
    EngineError::Refused {
        attempted,
        name: name.clone(),
        kind: super::error::ErrorKind::Busy,
        why: format!(
            "it runs, and its {} changes only while it is stopped (it is {}, and {} was asked for); {first} \
             ('cvfctl stop {name}'), or leave that as it is",
            change.attribute, change.from, change.to
        ),
    }
}
