//! What the daemon is started with: a file, overridden by the command line, completed by defaults.

mod args;
mod bus;
mod difference;
mod dirs;
mod file;
mod groups;
mod metrics;
mod pf;
mod section;

use std::path::PathBuf;

pub use args::Args;
pub use bus::SystemBus;
pub use dirs::{
    BUS_SOCKET, DEVICE_DIR, default_callout_dir, default_profile_dir, default_runtime_dir,
    default_state_dir,
};
pub use groups::RateGroups;
pub use metrics::MetricsListen;
pub use pf::{Driver, Hardware, PfConfig, Uplink};

use crate::callouts::CalloutConfig;
use crate::engine::SocketAccess;
use crate::limits::{CALLOUT_DEADLINE, MAX_PFS, MAX_SHOWN};
use crate::logs::{self, LogFormat};
use crate::profiles;

/// A configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A place in the file is wrong.
    #[error("{}:{line}: {what}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// A sentence.
        what: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// An option of the command line is wrong.
    #[error("{option} '{value}' cannot be: {why}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// Why not.
        why: String,
    },
    /// Parts do not go together.
    #[error("{0}")]
    Whole(String),
}

/// Everything the daemon needs to know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where definitions are kept.
    pub state_dir: PathBuf,
    /// Where sockets are.
    pub runtime_dir: PathBuf,
    /// What is logged: a level, or directives `target=level,...`.
    pub log: String,
    /// Where profiles are, beside those that are shipped.
    pub profile_dir: Option<PathBuf>,
    /// The profile of devices that do not name one.
    pub default_profile: String,
    /// Who may connect to devices that do not say so themselves.
    pub sockets: SocketAccess,
    /// Whether to join the system's message bus.
    pub system_bus: SystemBus,
    /// A group whose members may manage devices over the system bus where there is no polkit.
    pub bus_admin_group: Option<String>,
    /// In which form.
    pub log_format: LogFormat,
    /// Scripts that are asked before commands on devices.
    pub callouts: CalloutConfig,
    /// Where counters are offered.
    pub metrics: MetricsListen,
    /// Devices that share a rate.
    pub rate_groups: RateGroups,
    /// Where they are, as `FILE:LINE`, or where they would be: `FILE`. Empty without a file.
    pub rate_groups_at: String,
    /// The PFs, never empty; the first is the default.
    pub pfs: Vec<PfConfig>,
}

impl Config {
    /// Reads the file that `args` name, and merges.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(args: &Args) -> Result<Self, ConfigError> {
        let file = args
            .config
            .as_deref()
            .map(file::read)
            .transpose()?
            .unwrap_or_default();
        let env = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let mut pfs = file.pfs;
        for pf in options(&args.pf)? {
            match pfs.iter_mut().find(|other| other.name == pf.name) {
                Some(other) => *other = pf,
                None => pfs.push(pf),
            }
        }
        if pfs.is_empty() {
            pfs.push(PfConfig::named("soft0"));
        }
        if pfs.len() > MAX_PFS {
            let count = pfs.len();
            return Err(ConfigError::Whole(format!(
                "{count} PFs are configured, {MAX_PFS} can be"
            )));
        }
        check_uplinks(&pfs)?;
        check_functions(&pfs)?;
        let state_dir = args.state_dir.clone().or(file.state_dir);
        let runtime_dir = args.runtime_dir.clone().or(file.runtime_dir);
        let state_dir = state_dir.map_or_else(default_state_dir, Ok)?;
        let runtime_dir = runtime_dir.map_or_else(default_runtime_dir, Ok)?;
        let given = args.log.clone().or_else(|| env("MDEVD_LOG"));
        if let Some(log) = &given {
            logs::check(log)
                .map_err(|why| ConfigError::Whole(format!("log level '{log}' cannot be: {why}")))?;
        }
        Ok(Self {
            state_dir: absolute(state_dir),
            runtime_dir: absolute(runtime_dir),
            log: given.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            callouts: CalloutConfig {
                dir: args
                    .callout_dir
                    .clone()
                    .or(file.callout_dir)
                    .or_else(default_callout_dir)
                    .map(absolute),
                deadline: file.callout_timeout.unwrap_or(CALLOUT_DEADLINE),
            },
            metrics: args
                .metrics_listen
                .clone()
                .or(file.metrics)
                .unwrap_or(MetricsListen::Off),
            profile_dir: args
                .profile_dir
                .clone()
                .or(file.profile_dir)
                .or_else(default_profile_dir)
                .map(absolute),
            default_profile: args
                .default_profile
                .clone()
                .or(file.default_profile)
                .unwrap_or_else(|| profiles::DEFAULT.to_owned()),
            sockets: file.sockets,
            rate_groups: file.rate_groups.unwrap_or_default(),
            rate_groups_at: match (&args.config, file.rate_groups_line) {
                (Some(file), Some(line)) => format!("{}:{line}", file.display()),
                (Some(file), None) => file.display().to_string(),
                (None, _) => String::new(),
            },
            system_bus: args.system_bus.or(file.system_bus).unwrap_or_default(),
            bus_admin_group: args
                .bus_admin_group
                .clone()
                .map(check_group)
                .transpose()?
                .or(file.bus_admin_group),
            pfs,
        })
    }
}

/// A group that this host knows: else nobody would ever be a member.
fn check_group(name: String) -> Result<String, ConfigError> {
    match crate::session::group(&name) {
        Ok(_) => Ok(name),
        Err(why) => Err(ConfigError::Option {
            option: "--bus-admin-group",
            value: name.chars().take(MAX_SHOWN).collect(),
            why: why.to_string(),
        }),
    }
}

/// Sockets are named to others, who are somewhere else.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "state-dir = {}", self.state_dir.display())?;
        writeln!(f, "runtime-dir = {}", self.runtime_dir.display())?;
        writeln!(f, "log = {}", self.log)?;
        if let Some(dir) = &self.profile_dir {
            writeln!(f, "profile-dir = {}", dir.display())?;
        }
        writeln!(f, "default-profile = {}", self.default_profile)?;
        writeln!(f, "log-format = {}", self.log_format.word())?;
        let daemon = "the daemon's";
        writeln!(
            f,
            "socket-owner = {}",
            self.sockets.owner.as_deref().unwrap_or(daemon)
        )?;
        writeln!(
            f,
            "socket-group = {}",
            self.sockets.group.as_deref().unwrap_or(daemon)
        )?;
        writeln!(f, "socket-mode = {:04o}", self.sockets.mode)?;
        writeln!(f, "system-bus = {}", self.system_bus.word())?;
        let group = self.bus_admin_group.as_deref().unwrap_or("none");
        writeln!(f, "bus-admin-group = {group}")?;
        if let Some(dir) = &self.callouts.dir {
            writeln!(f, "callout-dir = {}", dir.display())?;
        }
        let seconds = self.callouts.deadline.as_secs();
        writeln!(f, "callout-timeout = {seconds}")?;
        writeln!(f, "metrics-listen = {}", self.metrics)?;
        writeln!(f, "rate-groups = {}", self.rate_groups)?;
        self.pfs.iter().try_for_each(|pf| writeln!(f, "pf = {pf}"))
    }
}

/// The PFs of the command line, each name once.
fn options(texts: &[String]) -> Result<Vec<PfConfig>, ConfigError> {
    let mut pfs: Vec<PfConfig> = Vec::new();
    for text in texts {
        let refuse = |why| ConfigError::Option {
            option: "--pf",
            value: text.chars().take(MAX_SHOWN).collect(),
            why,
        };
        let pf = PfConfig::parse(text).map_err(refuse)?;
        if pfs.iter().any(|other| other.name == pf.name) {
            return Err(refuse(format!(
                "PF '{}' is given twice; give each a name of its own",
                pf.name
            )));
        }
        pfs.push(pf);
    }
    Ok(pfs)
}

/// No interface is the uplink of two PFs.
fn check_uplinks(pfs: &[PfConfig]) -> Result<(), ConfigError> {
    for (n, pf) in pfs.iter().enumerate() {
        let Uplink::Tap { name, .. } = &pf.uplink else {
            continue;
        };
        let twin = pfs[..n].iter().find(
            |other| matches!(&other.uplink, Uplink::Tap { name: taken, .. } if taken == name),
        );
        if let Some(twin) = twin {
            let (one, two) = (&twin.name, &pf.name);
            let what =
                format!("PFs '{one}' and '{two}' both want tap '{name}'; give one another tap");
            return Err(ConfigError::Whole(what));
        }
    }
    Ok(())
}

/// No function is two PFs.
fn check_functions(pfs: &[PfConfig]) -> Result<(), ConfigError> {
    for (n, pf) in pfs.iter().enumerate() {
        let Some(Hardware { address, .. }) = pf.hardware else {
            continue;
        };
        let same = |other: &&PfConfig| other.hardware.is_some_and(|one| one.address == address);
        if let Some(twin) = pfs[..n].iter().find(same) {
            let (one, two) = (&twin.name, &pf.name);
            return Err(ConfigError::Whole(format!(
                "PFs '{one}' and '{two}' are both the PCI function {address}; leave one of them out"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
