//! The command line of `cvfctl`.

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use libcvf::control::MacAddr;
use libcvf::limits::{MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};

use crate::engine::hints::check_memory;
use crate::engine::{Doorbells, Interrupts, Personality, RingFormat, SetRequest, Word, parse_mode};
use crate::nearest;

/// Composes virtual functions (CVFs) and shows how they fare
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cvfctl",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon cannot be \
                  reached.\nWith --json, exactly one JSON value goes to standard output: the answer, or \
                  {\"error\": {\"kind\", \"message\"}}."
)]
pub struct Args {
    /// The daemon's socket: a path, or unix:path=PATH [env: MDEVD_ADDRESS] [default: mdevd.sock in
    /// /run/mdevd, or in XDG_RUNTIME_DIR/mdevd without root]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a device; making it again as it is does nothing
    Create(Box<Create>),
    /// Take a device away for good
    Destroy {
        /// Device
        name: String,
        /// Cut off a client that is connected
        #[arg(long)]
        force: bool,
    },
    /// Change attributes of a device while it runs
    Set {
        /// Device
        name: String,
        /// What to change: link=up, link=down
        #[arg(required = true, value_name = "ATTRIBUTE=VALUE", value_parser = attribute)]
        attributes: Vec<(&'static str, String)>,
    },
    /// Ask the guest's driver to announce its addresses to the network
    Announce {
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
    /// Show the PFs that devices are cut from
    Pf {
        /// What to do
        #[command(subcommand)]
        command: PfCommand,
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

/// What to make.
#[derive(Clone, Debug, clap::Args)]
pub struct Create {
    /// Name; made if absent
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Cut it from this PF [default: the first]
    #[arg(long)]
    pub pf: Option<String>,
    /// The device the guest sees [default: virtio-net]
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
    /// Access VLAN [default: none]
    #[arg(long, value_name = "ID", value_parser = number(1, MAX_VLAN))]
    pub vlan: Option<u64>,
    /// trapped: by message, the worker sleeps when idle; mapped: by shared memory, the worker polls and
    /// keeps a core busy [default: trapped]
    #[arg(long, value_parser = words::<Doorbells>())]
    pub doorbells: Option<String>,
    /// msix: a vector per queue; intx: one line, for VMs whose QEMU must unplug the device [default: msix]
    #[arg(long, value_parser = words::<Interrupts>())]
    pub interrupts: Option<String>,
    /// split: what every driver can do; packed: nothing else, firmware may not cope; any: the driver
    /// chooses [default: split]
    #[arg(long, value_parser = words::<RingFormat>())]
    pub ring_format: Option<String>,
    /// Owner of the socket [default: the daemon's user]
    #[arg(long, value_name = "USER")]
    pub socket_owner: Option<String>,
    /// Group of the socket [default: the daemon's group]
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Permissions of the socket [default: 0660]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub socket_mode: Option<String>,
}

/// `ATTRIBUTE=VALUE` of one that can be set.
fn attribute(text: &str) -> Result<(&'static str, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("write ATTRIBUTE=VALUE, as in link=down")?;
    let known = SetRequest::KEYS;
    match known
        .into_iter()
        .find(|known| known.replace('_', "-") == key)
    {
        Some(known) => Ok((known, value.to_owned())),
        None => Err(format!(
            "there is no attribute '{key}' to set{} (attributes: {})",
            nearest::hint(key, known),
            known.join(", ")
        )),
    }
}

fn words<T: Word>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::WORDS.iter().map(|&(word, _)| word))
}

/// Reads a number. Whether it is in range is the daemon's to say; what is no number learns the range here.
fn number(
    min: u16,
    max: u16,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .map_err(|_| format!("write a number from {min} to {max}"))
    }
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
