//! One PF's configuration, by the same keys in the file and in `--pf`.

use std::fmt;

use libcvf::limits::{MAX_INTERFACE_NAME, MAX_PF_QUEUE_PAIRS, MAX_WORKERS};
use libcvf::pf::vfio::{AddressError, PciAddress};

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

/// Who drives a function of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Intel 82576.
    Igb,
    /// virtio 1.x network device.
    VirtioNet,
}

impl Driver {
    /// Every driver with its name.
    pub const ALL: [(&'static str, Self); 2] =
        [("igb", Self::Igb), ("virtio-net", Self::VirtioNet)];

    fn name(self) -> &'static str {
        let named = Self::ALL.into_iter().find(|(_, driver)| *driver == self);
        named.map_or("", |(name, _)| name)
    }
}

/// A PCI function of the host's, bound to vfio-pci.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// Where it is.
    pub address: PciAddress,
    /// Who drives it; `None`: whoever knows its identifier.
    pub driver: Option<Driver>,
}

/// A PF. Counts that are absent follow from the queue pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PfConfig {
    /// Name.
    pub name: String,
    /// The function behind it; `None`: a software PF. With one, what it has is known, and the counts say nothing.
    pub hardware: Option<Hardware>,
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
pub(super) const KEYS: [&str; 10] = [
    "queue-pairs",
    "rss-domains",
    "vectors",
    "doorbell-pages",
    "filters",
    "workers",
    "uplink",
    "bridge",
    "address",
    "driver",
];

/// Those of them that say what a function of the host's is.
const OF_HARDWARE: [&str; 2] = ["address", "driver"];
/// Those of them that a PF of any kind has.
const OF_ALL: [&str; 1] = ["workers"];

/// Kinds of PF.
pub(super) const KINDS: [&str; 2] = ["soft", "vfio"];

impl PfConfig {
    /// A PF of that name with the defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            hardware: None,
            queue_pairs: 64,
            rss_domains: None,
            vectors: None,
            doorbell_pages: None,
            filters: None,
            workers: 1,
            uplink: Uplink::None,
        }
    }

    /// Reads `soft:NAME[,key=value]...` or `vfio:ADDRESS[,key=value]...`, where `name` is a key, too.
    ///
    /// # Errors
    /// A sentence about the first part that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let head = parts.next().unwrap_or_default();
        let (kind, what) = head
            .split_once(':')
            .ok_or("write KIND:NAME first, as in soft:soft0 or vfio:0000:03:00.0")?;
        check_kind(kind)?;
        let mut pairs = Vec::new();
        for part in parts {
            let pair = part
                .split_once('=')
                .ok_or_else(|| format!("write '{part}' as key=value"))?;
            pairs.push(pair);
        }
        let mut builder = if kind == "vfio" {
            let address: PciAddress = what
                .parse()
                .map_err(|error: AddressError| error.to_string())?;
            let names = || pairs.iter().filter(|(key, _)| *key == "name");
            if names().count() > 1 {
                return Err("'name' is given twice".into());
            }
            let given = pairs.iter().position(|(key, _)| *key == "name");
            let name = match given.map(|index| pairs.remove(index)) {
                Some((_, name)) => name.to_owned(),
                None => name_of(address),
            };
            let mut builder = Builder::new(kind, &name)?;
            builder.set("address", what)?;
            builder
        } else {
            Builder::new(kind, what)?
        };
        for (key, value) in pairs {
            builder.set(key, value)?;
        }
        builder.finish()
    }
}

/// What a PF is called that was given no name: its address, as names may be.
fn name_of(address: PciAddress) -> String {
    address.to_string().replace([':', '.'], "-")
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
    is_hardware: bool,
    address: Option<PciAddress>,
    driver: Option<Driver>,
    bridge: Option<String>,
    seen: Vec<&'static str>,
}

impl Builder {
    /// Of a kind that there is.
    pub(super) fn new(kind: &str, name: &str) -> Result<Self, String> {
        check_name(name).map_err(|why| format!("PF name '{name}' cannot be: {why}"))?;
        Ok(Self {
            pf: PfConfig::named(name),
            is_hardware: kind == "vfio",
            address: None,
            driver: None,
            bridge: None,
            seen: Vec::new(),
        })
    }

    /// Whether a PF of this kind has that key.
    fn has(&self, key: &str) -> bool {
        OF_ALL.contains(&key) || self.is_hardware == OF_HARDWARE.contains(&key)
    }

    /// Sets one key from its text.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            let own = KEYS.into_iter().filter(|key| self.has(key));
            // The name of a soft PF stands before its keys.
            let own: Vec<_> = self
                .is_hardware
                .then_some("name")
                .into_iter()
                .chain(own)
                .collect();
            let hint = nearest::hint(key, own.iter().copied());
            return Err(format!(
                "there is no key '{key}'{hint} (keys: {})",
                own.join(", ")
            ));
        };
        if self.seen.contains(&known) {
            return Err(format!("'{key}' is given twice"));
        }
        self.seen.push(known);
        if !self.has(known) {
            let (kind, other) = if self.is_hardware {
                ("vfio", "the function itself says")
            } else {
                ("soft", "only a PF of kind vfio has")
            };
            return Err(format!("a PF of kind {kind} has no '{key}': {other} that"));
        }
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
            "address" => {
                let address = value
                    .parse()
                    .map_err(|error: AddressError| error.to_string())?;
                self.address = Some(address);
            }
            "driver" => self.driver = Some(driver(value)?),
            _ => self.bridge = Some(interface(key, value)?),
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<PfConfig, String> {
        if self.is_hardware {
            let address = self
                .address
                .ok_or("a PF of kind vfio needs an 'address', as in 0000:03:00.0")?;
            self.pf.hardware = Some(Hardware {
                address,
                driver: self.driver,
            });
        }
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

fn driver(value: &str) -> Result<Driver, String> {
    let known = Driver::ALL.into_iter().find(|(name, _)| *name == value);
    known.map(|(_, driver)| driver).ok_or_else(|| {
        let names = Driver::ALL.map(|(name, _)| name);
        let hint = nearest::hint(value, names);
        format!(
            "there is no driver '{value}'{hint} (drivers: {})",
            names.join(", ")
        )
    })
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
        if let Some(Hardware { address, driver }) = self.hardware {
            write!(
                f,
                "vfio:{address},name={},workers={}",
                self.name, self.workers
            )?;
            return driver.map_or(Ok(()), |driver| write!(f, ",driver={}", driver.name()));
        }
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
