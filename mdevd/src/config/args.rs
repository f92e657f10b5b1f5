//! The daemon's command line.

use std::path::PathBuf;

use clap::Parser;

use super::{MetricsListen, SystemBus};
use crate::engine::BootId;
use crate::logs::LogFormat;

/// Composes virtual functions in software and presents them to VMs over vfio-user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(
    name = "mdevd",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  mdevd --pf soft:soft0,queue-pairs=64\n  mdevd --config /etc/mdevd.toml --check"
)]
pub struct Args {
    /// Read this TOML file; the command line overrides it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep definitions here [default: /var/lib/mdevd, or XDG_STATE_HOME/mdevd without root]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Put sockets here [default: /run/mdevd, or XDG_RUNTIME_DIR/mdevd without root]
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
    /// Slice this PF, as in soft:NAME,queue-pairs=64,workers=1,uplink=tap:tap0,bridge=br0, or
    /// vfio:0000:03:00.0,name=NAME for a PCI function; may be repeated [default: soft:soft0]
    #[arg(long, value_name = "PF")]
    pub pf: Vec<String>,
    /// Log what: off, error, warn, info, debug, trace, or target=level,... [env: MDEVD_LOG] [default:
    /// info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Read profiles here, beside those that are shipped [default:
    /// /etc/mdevd/profiles, or XDG_CONFIG_HOME/mdevd/profiles without root]
    #[arg(long, value_name = "DIR")]
    pub profile_dir: Option<PathBuf>,
    /// Give devices this profile that do not name one [default: tenant]
    #[arg(long, value_name = "NAME")]
    pub default_profile: Option<String>,
    /// Join the system's message bus: auto (where and when there is one), on (do not start without it), off
    /// [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub system_bus: Option<SystemBus>,
    /// Let members of this group manage devices over the system bus where there is no polkit [default: none]
    #[arg(long, value_name = "GROUP")]
    pub bus_admin_group: Option<String>,
    /// Log in which form: auto (journal where standard error is the journal, else text), text, json, journal
    /// [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Offer counters for Prometheus here: off, ADDRESS:PORT, or unix:PATH [default: off]
    #[arg(long, value_name = "WHERE")]
    pub metrics_listen: Option<MetricsListen>,
    /// Ask and tell the scripts here before and after commands on devices [default: /etc/mdevd/callouts.d, or
    /// XDG_CONFIG_HOME/mdevd/callouts.d without root]
    #[arg(long, value_name = "DIR")]
    pub callout_dir: Option<PathBuf>,
    /// Take this to be the boot of the host instead of what the kernel tells: for tests
    #[arg(long, value_name = "UUID", hide = true)]
    pub boot_id: Option<BootId>,
    /// Check the configuration, print it, and stop
    #[arg(long)]
    pub check: bool,
}
