//! Where the daemon listens.

use std::path::PathBuf;

use zbus::address::transport::{Transport, UnixSocket};

use crate::config::{BUS_SOCKET, default_runtime_dir};

/// The socket's path from `--address`, the environment, or the default, in this order.
pub(super) fn socket(given: Option<String>) -> Result<PathBuf, String> {
    let env = || std::env::var("MDEVD_ADDRESS").ok().filter(|text| !text.is_empty());
    match given.or_else(env) {
        Some(text) => parse(&text),
        None => Ok(default_runtime_dir().map_err(|error| error.to_string())?.join(BUS_SOCKET)),
    }
}

/// A path, or a D-Bus address of a UNIX socket's path.
pub(super) fn parse(text: &str) -> Result<PathBuf, String> {
    let refuse = || format!("address '{text}' cannot be: write a path, or unix:path=PATH");
    if text.is_empty() {
        return Err(refuse());
    }
    if text.starts_with('/') || text.starts_with('.') || !text.contains(':') {
        return Ok(text.into());
    }
    let address: zbus::Address = text.parse().map_err(|_| refuse())?;
    match address.transport() {
        Transport::Unix(unix) => match unix.path() {
            UnixSocket::File(path) => Ok(path.clone()),
            _ => Err(refuse()),
        },
        _ => Err(refuse()),
    }
}
