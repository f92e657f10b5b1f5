//! The command line of `cvfctl`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use libcvf::control::MacAddr;
use libcvf::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};

use super::capture::Capture;
use super::jobs::Jobs;
use super::monitor::Monitor;
use super::top::Sort;
use crate::engine::hints::check_memory;
use crate::engine::{
    CreateRequest, DataPath, Doorbells, Interrupts, Link, MAX_ORDER, OrNone, Overrides,
    Personality, RingFormat, SetRequest, Start, VlanProtocol, Word, parse_mode,
};
use crate::limits::{
    MAX_CALL_DEADLINE, MAX_INTERVAL, MAX_RATE_FRAMES, MAX_RATE_MBIT, MIN_CALL_DEADLINE,
    MIN_INTERVAL,
};
use crate::nearest;

/// Composes virtual functions (CVFs) and shows how they fare
#[derive(Clone, Debug, Parser)]
#[command(name = "cvfctl", version, max_term_width = 100)]
pub struct Args {
    /// The daemon's socket: a path, or unix:path=PATH [env: MDEVD_ADDRESS] [default: mdevd.sock in
    /// /run/mdevd, or in XDG_RUNTIME_DIR/mdevd without root]
    #[arg(long, global = true, display_order = 900, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Print JSON
    #[arg(long, global = true, display_order = 901)]
    pub json: bool,
    /// Colour in tables; auto: on a terminal, unless NO_COLOR is set [default: auto]
    #[arg(long, global = true, display_order = 902, value_name = "WHEN", hide_default_value = true,
          default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "always", "never"]))]
    pub color: String,
    /// Seconds that the daemon has for each answer [default: 30]
    #[arg(long, global = true, display_order = 903, value_name = "S", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a device for as long as this host runs; making it again under its name, as it is, does nothing
    Create(Box<CreateNow>),
    /// Store the definition of a device without starting it
    Define(Box<Define>),
    /// Forget the definition of a device; one that runs goes on until it is stopped
    Undefine {
        /// Device
        name: String,
    },
    /// Start devices that are defined
    Start {
        /// Devices
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Stop devices and keep their definitions; one that is not defined is gone
    Stop {
        /// Devices
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Cut off clients that are connected
        #[arg(long)]
        force: bool,
    },
    /// Take a device away for good, and its definition with it
    Destroy {
        /// Device
        name: String,
        /// Cut off a client that is connected
        #[arg(long)]
        force: bool,
    },
    /// Change attributes of a device while it runs, or for its next start
    Set {
        /// Device
        name: String,
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
        /// What to change: link=auto|up|down, profile=NAME, mac=MAC, mtu=BYTES, vlan=ID|none, vlan-qos=0-7|none,
        /// vlan-protocol=802.1Q|802.1ad, trunk=ID,ID-ID|none, tx-mbit=N|none, rx-mbit=N|none,
        /// tx-frames=N|none, rx-frames=N|none, queue-pairs=N, rss-key=HEX|none, rss-table=0,1,...|equal|none,
        /// features=-NAME,...|none, group=NAME|none, tx-share=N|none, spoof-check=on|off|profile,
        /// trust=on|off|profile, promiscuous=allow|deny|profile, multicast=allow|deny|profile,
        /// data-path=auto|direct (while it is stopped), start=auto|manual, order=N
        #[arg(required = true, value_name = "ATTRIBUTE=VALUE", value_parser = attribute)]
        attributes: Vec<(&'static str, String)>,
    },
    /// Change the definition of a device in an editor ($VISUAL, $EDITOR): at once where it runs, else for its next
    /// start
    Edit {
        /// Device
        name: String,
        /// Take the whole definition from this file instead, - for standard input
        #[arg(long, value_name = "FILE", conflicts_with = "patch")]
        file: Option<PathBuf>,
        /// Change these attributes instead: a JSON object, - to read it from standard input; null gives one its
        /// default
        #[arg(long, value_name = "JSON")]
        patch: Option<String>,
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Print definitions as a document that makes them again, here or on another host
    Export {
        /// Devices [default: all that are defined]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Define what a document says: all of it, or nothing
    Import {
        /// File that 'export' has printed, - for standard input
        file: PathBuf,
        /// Only tell what would be defined
        #[arg(long)]
        dry_run: bool,
        /// Start the devices afterwards
        #[arg(long, conflicts_with = "dry_run")]
        start: bool,
    },
    /// Show what can be made and how many more of it
    Types {
        /// With so many queue pairs each [default: 1]
        #[arg(long, value_name = "N", value_parser = number(1, MAX_QUEUE_PAIRS))]
        queue_pairs: Option<u64>,
    },
    /// Show commands that take long, and those that ended within the last ten minutes
    Jobs(Jobs),
    /// Ask the guest's driver to announce its addresses to the network
    Announce {
        /// Device
        name: String,
    },
    /// Have the daemon work a device's rings that hardware works, until its driver's next reset
    Takeover {
        /// Device
        name: String,
    },
    /// List the devices
    #[command(visible_alias = "ls")]
    List,
    /// Show devices: definition, health, what a VM needs
    Show {
        /// Devices
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Print all QEMU arguments that one VM with them needs
        #[arg(long, conflicts_with = "libvirt_xml")]
        qemu: bool,
        /// Print the parts of a libvirt domain that one VM with them needs
        #[arg(long)]
        libvirt_xml: bool,
        /// Memory of that VM, for --qemu [default: 1G]
        #[arg(long, value_name = "SIZE", requires = "qemu", conflicts_with = "libvirt_xml", value_parser = memory)]
        memory: Option<String>,
    },
    /// Show counters of a device, or of all
    Stats {
        /// Device
        name: Option<String>,
    },
    /// Print what happens to devices as it happens, a line each, until interrupted; with --json an object
    /// each
    Monitor(Monitor),
    /// Show what a device sends and receives, as its guest does, until interrupted
    Capture(Capture),
    /// Show the PFs that devices are cut from
    Pf {
        /// What to do
        #[command(subcommand)]
        command: PfCommand,
    },
    /// Show profiles, check them, and ask what they allow
    Policy {
        /// What to do
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Say what this host can do, why not, and what to change
    Doctor(Doctor),
    /// Show rates of devices as they change
    Top(Top),
    /// Write manual pages
    Man {
        /// Into this directory; the page of cvfctl itself goes to standard output without one
        dir: Option<PathBuf>,
    },
    /// Print a completion script
    Completion {
        /// For this shell
        #[arg(value_parser = PossibleValuesParser::new(["bash", "zsh", "fish"]))]
        shell: String,
    },
    /// Have the daemon read its configuration again
    Reload,
    /// Stop the daemon; refused while VMs are connected
    Shutdown {
        /// Stop it all the same: their devices are gone for good
        #[arg(long)]
        force: bool,
    },
    /// Print the versions of this program and of the daemon
    Version,
}

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Doctor {
    /// Look at this QEMU [default: the one in PATH]
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// The daemon's state directory [default: the running daemon's, else mdevd's default]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Look at the system below this directory
    #[arg(long, value_name = "DIR", hide = true)]
    pub root: Option<PathBuf>,
}

/// What to watch, and how often.
#[derive(Clone, Debug, clap::Args)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "S", default_value = "2", value_parser = interval)]
    pub interval: Duration,
    /// Print this many tables and stop
    #[arg(long, value_name = "N", value_parser = count(1))]
    pub batch: Option<u64>,
    /// The same as --batch 1
    #[arg(long, conflicts_with = "batch")]
    pub once: bool,
    /// Devices whose name contains this
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub filter: String,
    /// Order, largest first; names from A to Z
    #[arg(long, value_name = "COLUMN", default_value = "rx", value_parser = words::<Sort>())]
    pub sort: String,
    /// A line for each queue pair
    #[arg(long)]
    pub pairs: bool,
}

/// Commands on PFs.
#[derive(Clone, Debug, Subcommand)]
pub enum PfCommand {
    /// List the PFs
    List,
    /// Show a PF and what is left of it
    Show {
        /// PF
        name: String,
    },
}

/// Commands on profiles.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// List the profiles
    List,
    /// Show a profile's text as it is in force
    Show {
        /// Profile
        name: String,
        /// Write out every key, without comments
        #[arg(long)]
        whole: bool,
    },
    /// Check files that are to be profiles; the daemon is not asked
    Check {
        /// Files NAME.toml
        #[arg(required = true, value_name = "FILE")]
        files: Vec<std::path::PathBuf>,
    },
    /// Tell what would become of a guest's request, rule by rule
    ///
    /// Requests: mac=MAC, unicast=MAC,..., multicast=MAC,..., promiscuous=on, all-multicast=on, vlan=ID,
    /// queue-pairs=N, rss=N, hash-report=TYPE,..., coalescing=receive,usecs=N,packets=N,
    /// receive-offloads=OFFLOAD,...; docs/profiles.md has them all.
    Explain {
        /// Profile; with --device, `-` stands for the device's own
        profile: String,
        /// What the guest asks for
        #[arg(required = true, value_name = "REQUEST")]
        request: Vec<String>,
        /// A device that is there asks
        #[arg(long, value_name = "NAME", conflicts_with_all = ["mac", "queue_pairs", "vlan"])]
        device: Option<String>,
        /// Address given to the device at create [default: 52:54:00:12:34:56]
        #[arg(long, value_parser = mac)]
        mac: Option<String>,
        /// Its queue pairs [default: 4]
        #[arg(long, value_name = "N", value_parser = number(1, MAX_QUEUE_PAIRS))]
        queue_pairs: Option<u64>,
        /// Its access VLAN [default: none]
        #[arg(long, value_name = "ID", value_parser = number(1, MAX_VLAN))]
        vlan: Option<u64>,
    },
    /// Read the profiles' files anew; running devices get what they say now
    Reload,
}

/// What to make now.
#[derive(Clone, Debug, clap::Args)]
pub struct CreateNow {
    /// What to make
    #[command(flatten)]
    pub device: Create,
    /// Define it, too: it comes back after this host was booted
    #[arg(long)]
    pub persistent: bool,
}

/// What to define.
#[derive(Clone, Debug, clap::Args)]
pub struct Define {
    /// What it is to be
    #[command(flatten)]
    pub device: Create,
    /// In place of what is defined under that name: what is not said is as if it had never been, but for address and PF
    #[arg(long, requires = "name")]
    pub replace: bool,
}

/// What to make.
#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// Name; made if absent, and then every call makes another device: give a name to repeat the command
    /// safely
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Cut it from this PF [default: the first]
    #[arg(long)]
    pub pf: Option<String>,
    /// The device the guest sees: virtio's, or Intel's adaptive virtual function (avf), for guests with iavf [default: virtio-net]
    #[arg(long, value_parser = words::<Personality>())]
    pub personality: Option<String>,
    /// Receive/transmit queue pairs [default: 1]
    #[arg(long, value_name = "N", value_parser = number(1, MAX_QUEUE_PAIRS))]
    pub queue_pairs: Option<u64>,
    /// MAC address [default: made from the name]
    #[arg(long, value_parser = mac)]
    pub mac: Option<String>,
    /// Largest frame payload in bytes [default: 1500]
    #[arg(long, value_name = "BYTES", value_parser = number(MIN_MTU, MAX_MTU))]
    pub mtu: Option<u64>,
    /// Access VLAN, or none [default: none]
    #[arg(long, value_name = "ID", value_parser = or_none(1, MAX_VLAN.into()))]
    pub vlan: Option<OrNone>,
    /// Priority in the tags of that VLAN, 0 to 7, or none [default: none: that of the guest's priority tag, else 0]
    #[arg(long, value_name = "N", value_parser = or_none(0, 7))]
    pub vlan_qos: Option<OrNone>,
    /// Kind of those tags [default: 802.1Q]
    #[arg(long, value_name = "PROTOCOL", value_parser = words::<VlanProtocol>(), ignore_case = true)]
    pub vlan_protocol: Option<String>,
    /// Without an access VLAN, confine it to these, as in 10,200-299, or none [default: none: those of its profile]
    #[arg(long, value_name = "IDS")]
    pub trunk: Option<String>,
    /// Most that its guest may send, in Mbit/s, or none [default: none: its profile's rate counts]
    #[arg(long, value_name = "N", value_parser = or_none(1, MAX_RATE_MBIT.into()))]
    pub tx_mbit: Option<OrNone>,
    /// Most that it may receive, in Mbit/s, or none [default: none: its profile's rate counts]
    #[arg(long, value_name = "N", value_parser = or_none(1, MAX_RATE_MBIT.into()))]
    pub rx_mbit: Option<OrNone>,
    /// Most that its guest may send, in frames per second, or none [default: none: its profile's rate counts]
    #[arg(long, value_name = "N", value_parser = or_none(1, MAX_RATE_FRAMES.into()))]
    pub tx_frames: Option<OrNone>,
    /// Most that it may receive, in frames per second, or none [default: none]
    #[arg(long, value_name = "N", value_parser = or_none(1, MAX_RATE_FRAMES.into()))]
    pub rx_frames: Option<OrNone>,
    /// Key of the hash that chooses the receive queue: 40 bytes in hexadecimal, or none [default: none: its
    /// guest's]
    #[arg(long, value_name = "HEX")]
    pub rss_key: Option<String>,
    /// Receive queues by that hash, as in 0,1,2,3, or equal, or none [default: none: its guest's]
    #[arg(long, value_name = "QUEUES")]
    pub rss_table: Option<String>,
    /// Features that its driver is not offered, as in -mrg_rxbuf,-rss, or none [default: none but its
    /// profile's]
    #[arg(long, value_name = "-NAME,...", allow_hyphen_values = true)]
    pub features: Option<String>,
    /// Group of devices that share a rate; mdevd's configuration has them under rate-groups
    /// [default: none]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// What of that rate is guaranteed to it, in Mbit/s, or none [default: none]
    #[arg(long, value_name = "N", value_parser = or_none(1, MAX_RATE_MBIT.into()))]
    pub tx_share: Option<OrNone>,
    /// Link that its guest's driver sees; auto: that of its PF's uplink [default: up]
    #[arg(long, value_parser = words::<Link>())]
    pub link: Option<String>,
    /// What it may be and its guest may do: `cvfctl policy list` [default: the daemon's]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Whether who its frames claim to be is checked [default: its profile says]
    #[arg(long, value_name = "WORD", value_parser = decision("spoof_check"))]
    pub spoof_check: Option<String>,
    /// Whether its guest may take other addresses and hear what is not addressed to it [default: its
    /// profile says]
    #[arg(long, value_name = "WORD", value_parser = decision("trust"))]
    pub trust: Option<String>,
    /// Whether its guest may receive every frame, and every unicast frame [default: its profile says]
    #[arg(long, value_name = "WORD", value_parser = decision("promiscuous"))]
    pub promiscuous: Option<String>,
    /// Whether its guest may receive groups [default: its profile says]
    #[arg(long, value_name = "WORD", value_parser = decision("multicast"))]
    pub multicast: Option<String>,
    /// Only tell what would be made
    #[arg(long)]
    pub dry_run: bool,
    /// trapped: by message, the worker sleeps when idle; mapped: by shared memory, the worker polls and
    /// keeps a core busy, but with data path direct [default: trapped; with data path direct: mapped]
    #[arg(long, value_parser = words::<Doorbells>())]
    pub doorbells: Option<String>,
    /// msix: a vector per queue; intx: one line, for VMs whose QEMU must unplug the device, and not for avf
    /// [default: msix]
    #[arg(long, value_parser = words::<Interrupts>())]
    pub interrupts: Option<String>,
    /// split: what every driver can do; packed: nothing else, firmware may not cope; any: the driver chooses. Leave it out
    /// for avf, whose rings have a format of their own [default: split]
    #[arg(long, value_parser = words::<RingFormat>())]
    pub ring_format: Option<String>,
    /// auto: the daemon works its rings, with what the PF has for that; direct: the PF's hardware does, and the PF is the
    /// device's alone: its VM and VMM are trusted with the whole function [default: auto]
    #[arg(long, value_parser = words::<DataPath>())]
    pub data_path: Option<String>,
    /// Owner of the socket [default: the daemon's user]
    #[arg(long, value_name = "USER")]
    pub socket_owner: Option<String>,
    /// Group of the socket [default: the daemon's group]
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Permissions of the socket [default: 0660]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub socket_mode: Option<String>,
    /// Whether the daemon starts what is defined after this host was booted [default: manual; create
    /// --persistent: auto]
    #[arg(long, value_parser = words::<Start>())]
    pub start: Option<String>,
    /// Place among those that it starts, lower first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = order)]
    pub order: Option<i64>,
}

/// Reads a number, or `none`. As with [`number`], the range is the daemon's to hold.
fn or_none(
    min: u32,
    max: u32,
) -> impl Fn(&str) -> Result<OrNone, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .map_err(|_| format!("write a number from {min} to {max}, or none"))
    }
}

/// The words of a decision.
fn decision(key: &str) -> PossibleValuesParser {
    let found = Overrides::KEYS.into_iter().find(|(known, _)| *known == key);
    let words = found.map_or([""; 2], |(_, words)| words);
    PossibleValuesParser::new(words.into_iter().chain(["profile"]))
}

/// `ATTRIBUTE=VALUE` of one that a device has. Whether it can be set is said where the device is known.
fn attribute(text: &str) -> Result<(&'static str, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write ATTRIBUTE=VALUE, as in link=down")?;
    let names = SetRequest::KEYS.map(|known| known.replace('_', "-"));
    let fixed = CreateRequest::KEYS
        .into_iter()
        .filter(|known| !["name", "persistent", "dry_run"].contains(known));
    match SetRequest::KEYS
        .into_iter()
        .chain(fixed)
        .find(|known| known.replace('_', "-") == key)
    {
        Some(known) => Ok((known, value.to_owned())),
        None => Err(format!(
            "there is no attribute '{key}' to set{} (attributes: {})",
            nearest::hint(key, names.iter().map(String::as_str)),
            names.join(", ")
        )),
    }
}

fn words<T: Word>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::WORDS.iter().map(|&(word, _)| word))
}

/// Reads a number. Whether it is in range is the daemon's to say; what is no number learns the range here.
pub(super) fn number(
    min: u16,
    max: u16,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .map_err(|_| format!("write a number from {min} to {max}"))
    }
}

/// Reads a place in the order; its range is the daemon's to hold.
fn order(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("write a whole number from -{MAX_ORDER} to {MAX_ORDER}"))
}

/// Reads a whole number that is at least `min`.
pub(super) fn count(
    min: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let read = text.parse().ok().filter(|read| *read >= min);
        read.ok_or_else(|| format!("write a whole number, {min} or more"))
    }
}

/// Seconds of a time limit.
fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, MIN_CALL_DEADLINE, MAX_CALL_DEADLINE)
}

/// Seconds between two looks.
fn interval(text: &str) -> Result<Duration, String> {
    duration(text, MIN_INTERVAL, MAX_INTERVAL)
}

fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let given = text
        .parse()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok());
    given
        .filter(|given| (min..=max).contains(given))
        .ok_or_else(|| {
            let (min, max) = (min.as_secs_f32(), max.as_secs());
            format!("write seconds from {min} to {max}")
        })
}

fn mac(text: &str) -> Result<String, <MacAddr as std::str::FromStr>::Err> {
    text.parse::<MacAddr>().map(|mac| mac.to_string())
}

fn mode(text: &str) -> Result<String, &'static str> {
    parse_mode(text).map(|_| text.to_owned())
}

fn memory(text: &str) -> Result<String, String> {
    check_memory(text).map(str::to_owned)
}

/// The shell of that name.
pub(super) fn shell(name: &str) -> Shell {
    match name {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    }
}
