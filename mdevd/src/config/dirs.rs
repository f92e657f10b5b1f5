//! Where things are when nobody says where.

use std::env;
use std::path::PathBuf;

use nix::unistd::Uid;

use super::ConfigError;

/// Name of the daemon's bus socket in the runtime directory.
pub const BUS_SOCKET: &str = "mdevd.sock";
/// Name of the directory with the devices' sockets in the runtime directory.
pub const DEVICE_DIR: &str = "cvf";

/// Definitions: `/var/lib/mdevd` for root, below `XDG_STATE_HOME` for others.
///
/// # Errors
/// There is no home to put it in.
pub fn default_state_dir() -> Result<PathBuf, ConfigError> {
    if Uid::effective().is_root() {
        return Ok("/var/lib/mdevd".into());
    }
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|dir| dir.join("mdevd"))
        .ok_or_else(|| missing("XDG_STATE_HOME and HOME are", "--state-dir"))
}

/// Sockets: `/run/mdevd` for root, below `XDG_RUNTIME_DIR` for others.
///
/// # Errors
/// There is no such directory.
pub fn default_runtime_dir() -> Result<PathBuf, ConfigError> {
    if Uid::effective().is_root() {
        return Ok("/run/mdevd".into());
    }
    absolute("XDG_RUNTIME_DIR")
        .map(|dir| dir.join("mdevd"))
        .ok_or_else(|| missing("XDG_RUNTIME_DIR is", "--runtime-dir (cvfctl: --address)"))
}

/// Profiles: `/etc/mdevd/profiles` for root, below `XDG_CONFIG_HOME` for others. Need not exist.
pub fn default_profile_dir() -> Option<PathBuf> {
    if Uid::effective().is_root() {
        return Some("/etc/mdevd/profiles".into());
    }
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("mdevd/profiles"))
}

/// Callouts: `/etc/mdevd/callouts.d` for root, below `XDG_CONFIG_HOME` for others. Need not exist.
pub fn default_callout_dir() -> Option<PathBuf> {
    default_profile_dir().map(|profiles| profiles.with_file_name("callouts.d"))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn missing(what: &str, option: &str) -> ConfigError {
    ConfigError::Whole(format!(
        "{what} not set, so there is no default directory; give {option}"
    ))
}
