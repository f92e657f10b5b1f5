//! The configuration file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pf::{self, PfConfig};
use super::section::{Source, scalar};
use super::{ConfigError, MetricsListen, RateGroups, SystemBus};
use crate::callouts::parse_deadline;
use crate::engine::{SocketAccess, parse_mode};
use crate::limits::MAX_CONFIG;
use crate::logs::{self, LogFormat};
use crate::session::{PlaceError, group, owner};

/// What a file says; everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileConfig {
    pub(super) state_dir: Option<PathBuf>,
    pub(super) runtime_dir: Option<PathBuf>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) metrics: Option<MetricsListen>,
    pub(super) callout_dir: Option<PathBuf>,
    pub(super) callout_timeout: Option<Duration>,
    pub(super) profile_dir: Option<PathBuf>,
    pub(super) default_profile: Option<String>,
    pub(super) sockets: SocketAccess,
    pub(super) system_bus: Option<SystemBus>,
    pub(super) bus_admin_group: Option<String>,
    pub(super) rate_groups: Option<RateGroups>,
    pub(super) rate_groups_line: Option<usize>,
    pub(super) pfs: Vec<PfConfig>,
}

pub(super) const KEYS: [&str; 16] = [
    "state-dir",
    "runtime-dir",
    "log",
    "log-format",
    "profile-dir",
    "default-profile",
    "socket-owner",
    "socket-group",
    "socket-mode",
    "system-bus",
    "bus-admin-group",
    "metrics-listen",
    "rate-groups",
    "callout-dir",
    "callout-timeout",
    "pf",
];

/// Keys of a PF before those that `--pf` has, too.
pub(super) const PF_HEAD: [&str; 2] = ["name", "kind"];

/// Reads a file.
pub(super) fn read(file: &Path) -> Result<FileConfig, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable {
        file: file.to_owned(),
        why,
    };
    let mut text = String::new();
    let mut from = File::open(file)
        .map_err(|error| unreadable(error.to_string()))?
        .take(MAX_CONFIG + 1);
    from.read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(unreadable(format!("it is larger than {MAX_CONFIG} bytes")));
    }
    parse(file, &text)
}

/// Reads a file's text.
pub(super) fn parse(file: &Path, text: &str) -> Result<FileConfig, ConfigError> {
    let source = Source { file, text };
    let table = DeTable::parse(text)
        .map_err(|error| source.complain(error.span(), error.message().replace('\n', "; ")))?;
    let table = table.get_ref();
    source.check_keys(table, &KEYS)?;
    let mut config = FileConfig {
        state_dir: directory(source, table, "state-dir")?,
        runtime_dir: directory(source, table, "runtime-dir")?,
        log: word(source, table, "log", |log| {
            logs::check(log).map(|()| log.to_owned())
        })?,
        log_format: word(source, table, "log-format", str::parse)?,
        metrics: word(source, table, "metrics-listen", str::parse)?,
        rate_groups: word(source, table, "rate-groups", str::parse)?,
        rate_groups_line: table
            .get("rate-groups")
            .map(|value| source.line(value.span().start)),
        callout_dir: directory(source, table, "callout-dir")?,
        callout_timeout: seconds(source, table, "callout-timeout")?,
        profile_dir: directory(source, table, "profile-dir")?,
        default_profile: word(source, table, "default-profile", |name| {
            Ok::<_, String>(name.to_owned())
        })?,
        sockets: SocketAccess::default(),
        system_bus: None,
        bus_admin_group: None,
        pfs: Vec::new(),
    };
    config.sockets.owner = account(source, table, "socket-owner", |name| owner(name).map(drop))?;
    config.sockets.group = account(source, table, "socket-group", |name| group(name).map(drop))?;
    if let Some((mode, at)) = source.text(table, "socket-mode")? {
        let complain = |why| source.complain(Some(at), format!("socket-mode '{mode}': {why}"));
        config.sockets.mode = parse_mode(mode).map_err(complain)?;
    }
    config.bus_admin_group = account(source, table, "bus-admin-group", |name| {
        group(name).map(drop)
    })?;
    if let Some((when, at)) = source.text(table, "system-bus")? {
        let complain = |why| source.complain(Some(at), format!("system-bus '{when}': {why}"));
        config.system_bus = Some(when.parse().map_err(complain)?);
    }
    if let Some(pfs) = table.get("pf") {
        config.pfs = read_pfs(source, pfs)?;
    }
    Ok(config)
}

/// A text that `read` makes something of.
fn word<T>(
    source: Source<'_>,
    table: &DeTable<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some((text, at)) = source.text(table, key)? else {
        return Ok(None);
    };
    match read(text) {
        Ok(value) => Ok(Some(value)),
        Err(why) => Err(source.complain(Some(at), format!("{key} '{text}': {why}"))),
    }
}

/// Whole seconds of a callout.
fn seconds(
    source: Source<'_>,
    table: &DeTable<'_>,
    key: &str,
) -> Result<Option<Duration>, ConfigError> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    let complain = |why| source.complain(Some(value.span()), format!("{key}: {why}"));
    let text = scalar(value).map_err(complain)?;
    parse_deadline(&text).map(Some).map_err(complain)
}

fn directory(
    source: Source<'_>,
    table: &DeTable<'_>,
    key: &str,
) -> Result<Option<PathBuf>, ConfigError> {
    match source.text(table, key)? {
        Some((path, at)) if !path.starts_with('/') => {
            let what = format!("'{key}' is an absolute path, not '{path}'");
            Err(source.complain(Some(at), what))
        }
        path => Ok(path.map(|(path, _)| path.into())),
    }
}

/// A user or group that this host knows: else every device would be refused its socket later.
fn account(
    source: Source<'_>,
    table: &DeTable<'_>,
    key: &str,
    look_up: impl Fn(&str) -> Result<(), PlaceError>,
) -> Result<Option<String>, ConfigError> {
    let Some((name, at)) = source.text(table, key)? else {
        return Ok(None);
    };
    match look_up(name) {
        Ok(()) => Ok(Some(name.to_owned())),
        Err(why) => Err(source.complain(Some(at), format!("'{key}': {why}"))),
    }
}

fn read_pfs(source: Source<'_>, pfs: &Spanned<DeValue<'_>>) -> Result<Vec<PfConfig>, ConfigError> {
    let tables = || {
        let array = pfs.get_ref().as_array()?;
        array
            .iter()
            .map(|pf| pf.get_ref().as_table().map(|table| (pf.span(), table)))
            .collect()
    };
    let tables: Option<Vec<_>> = tables();
    let tables = tables
        .ok_or_else(|| source.complain(Some(pfs.span()), "write each PF as a table [[pf]]"))?;
    let mut read: Vec<PfConfig> = Vec::new();
    for (at, table) in tables {
        let pf = read_pf(source, &at, table)?;
        if read.iter().any(|other| other.name == pf.name) {
            return Err(source.complain(Some(at), format!("PF '{}' is configured twice", pf.name)));
        }
        read.push(pf);
    }
    Ok(read)
}

fn read_pf(
    source: Source<'_>,
    at: &std::ops::Range<usize>,
    table: &DeTable<'_>,
) -> Result<PfConfig, ConfigError> {
    let known: Vec<_> = PF_HEAD.into_iter().chain(pf::KEYS).collect();
    source.check_keys(table, &known)?;
    let kind = match source.text(table, "kind")? {
        Some((kind, at)) => {
            pf::check_kind(kind).map_err(|why| source.complain(Some(at), why))?;
            kind
        }
        None => "soft",
    };
    let (name, at_name) = source
        .text(table, "name")?
        .ok_or_else(|| source.complain(Some(at.clone()), "this PF has no 'name'"))?;
    let complain = |at: &std::ops::Range<usize>| {
        let at = at.clone();
        move |why: String| source.complain(Some(at), why)
    };
    let mut builder = pf::Builder::new(kind, name).map_err(complain(&at_name))?;
    for (key, value) in table {
        let key: &str = key.get_ref();
        if pf::KEYS.contains(&key) {
            let text = scalar(value).map_err(complain(&value.span()))?;
            builder.set(key, &text).map_err(complain(&value.span()))?;
        }
    }
    builder.finish().map_err(complain(at))
}
