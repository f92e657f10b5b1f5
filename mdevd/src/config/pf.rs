//! One PF's configuration, by the same keys in the file and in `--pf`.

use std::fmt;

use libcvf::limits::{MAX_INTERFACE_NAME, MAX_PF_QUEUE_PAIRS, MAX_WORKERS};

use crate::limits::MAX_PF_COUNT;
use crate::names::check_name;
use crate::nearest;

/// The way north-south of a PF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Uplink {
    /// East-west only.
    #[default]
    None,
    /// A TAP interface: adopted if it exists, otherwise made, and removed at the end.
    Tap {
        /// Interface name.
        name: String,
        /// Bridge to put it into.
        bridge: Option<String>,
    },
}

/// A software PF. Counts that are absent follow from the queue pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PfConfig {
    /// Name.
    pub name: String,
    /// Queue pairs it has.
    pub queue_pairs: u32,
    /// RSS domains it has.
    pub rss_domains: Option<u32>,
    /// Interrupt vectors it has.
    pub vectors: Option<u32>,
    /// Doorbell pages it has.
    pub doorbell_pages: Option<u32>,
    /// MAC and VLAN filters it has.
    pub filters: Option<u32>,
    /// Data-plane workers.
    pub workers: u16,
    /// The way north-south.
    pub uplink: Uplink,
}

/// Keys of a PF besides `name` and `kind`.
pub(super) const KEYS: [&str; 8] = [
    "queue-pairs",
    "rss-domains",
    "vectors",
    "doorbell-pages",
    "filters",
    "workers",
    "uplink",
    "bridge",
];

/// Kinds of PF.
pub(super) const KINDS: [&str; 1] = ["soft"];

impl PfConfig {
    /// A PF of that name with the defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            queue_pairs: 64,
            rss_domains: None,
            vectors: None,
            doorbell_pages: None,
            filters: None,
            workers: 1,
            uplink: Uplink::None,
        }
    }

    /// Reads `KIND:NAME[,key=value]...`.
    ///
    /// # Errors
    /// A sentence about the first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let (kind, name) = head
            .split_once(':')
            .ok_or("write KIND:NAME first, as in soft:soft0")?;
        check_kind(kind)?;
        let mut builder = Builder::new(name)?;
        for part in parts {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("write '{part}' as key=value"))?;
            builder.set(key, value)?;
        }
        builder.finish()
    }
}

pub(super) fn check_kind(kind: &str) -> Result<(), String> {
    if KINDS.contains(&kind) {
        return Ok(());
    }
    let hint = nearest::hint(kind, KINDS);
    Err(format!(
        "there is no kind of PF '{kind}', there is {}{hint}",
        KINDS.join(", ")
    ))
}

/// Collects keys until they are complete.
pub(super) struct Builder {
    pf: PfConfig,
    bridge: Option<String>,
    seen: Vec<&'static str>,
}

impl Builder {
    pub(super) fn new(name: &str) -> Result<Self, String> {
        check_name(name).map_err(|why| format!("PF name '{name}' cannot be: {why}"))?;
        Ok(Self {
            pf: PfConfig::named(name),
            bridge: None,
            seen: Vec::new(),
        })
    }

    /// Sets one key from its text.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            let hint = nearest::hint(key, KEYS);
            return Err(format!(
                "there is no key '{key}'{hint} (keys: {})",
                KEYS.join(", ")
            ));
        };
        if self.seen.contains(&known) {
            return Err(format!("'{key}' is given twice"));
        }
        self.seen.push(known);
        match known {
            "queue-pairs" => self.pf.queue_pairs = count(key, value, MAX_PF_QUEUE_PAIRS)?,
            "rss-domains" => self.pf.rss_domains = Some(count(key, value, MAX_PF_COUNT)?),
            "vectors" => self.pf.vectors = Some(count(key, value, MAX_PF_COUNT)?),
            "doorbell-pages" => self.pf.doorbell_pages = Some(count(key, value, MAX_PF_COUNT)?),
            "filters" => self.pf.filters = Some(count(key, value, MAX_PF_COUNT)?),
            "workers" => {
                let workers = count(key, value, MAX_WORKERS.into())?;
                self.pf.workers = u16::try_from(workers).map_err(|error| error.to_string())?;
            }
            "uplink" => self.pf.uplink = uplink(value)?,
            _ => self.bridge = Some(interface(key, value)?),
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<PfConfig, String> {
        if let Some(bridge) = self.bridge {
            match &mut self.pf.uplink {
                Uplink::Tap { bridge: place, .. } => *place = Some(bridge),
                Uplink::None => {
                    return Err(
                        "'bridge' needs an uplink to put into it, as in uplink=tap:tap0".into(),
                    );
                }
            }
        }
        Ok(self.pf)
    }
}

fn count(key: &str, value: &str, max: u32) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(format!(
            "'{key}' is a number from 1 to {max}, not '{value}'"
        )),
    }
}

fn uplink(value: &str) -> Result<Uplink, String> {
    if value == "none" {
        return Ok(Uplink::None);
    }
    let name = value
        .strip_prefix("tap:")
        .ok_or_else(|| format!("'uplink' is none or tap:NAME, not '{value}'"))?;
    Ok(Uplink::Tap {
        name: interface("uplink", name)?,
        bridge: None,
    })
}

/// A name the kernel takes for an interface: 1 to 15 bytes, no '/', ':' or white space.
fn interface(key: &str, name: &str) -> Result<String, String> {
    let bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(bad)
    {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "'{name}' in '{key}' is no interface name (1 to {MAX_INTERFACE_NAME} characters, no '/' or ':')"
        ))
    }
}

impl fmt::Display for PfConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "soft:{},queue-pairs={},workers={}",
            self.name, self.queue_pairs, self.workers
        )?;
        let counts = [
            ("rss-domains", self.rss_domains),
            ("vectors", self.vectors),
            ("doorbell-pages", self.doorbell_pages),
            ("filters", self.filters),
        ];
        for (key, value) in counts {
            if let Some(value) = value {
                write!(f, ",{key}={value}")?;
            }
        }
        match &self.uplink {
            Uplink::None => Ok(()),
            Uplink::Tap { name, bridge: None } => write!(f, ",uplink=tap:{name}"),
            Uplink::Tap {
                name,
                bridge: Some(bridge),
            } => {
                write!(f, ",uplink=tap:{name},bridge={bridge}")
            }
        }
    }
}
