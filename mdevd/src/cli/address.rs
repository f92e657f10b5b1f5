//! Where the daemon listens.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::config::{BUS_SOCKET, default_runtime_dir};

/// The socket's path from `--address`, the environment, or the default, in this order.
pub(super) fn socket(given: Option<String>) -> Result<PathBuf, String> {
    let env = || {
        std::env::var("MDEVD_ADDRESS")
            .ok()
            .filter(|text| !text.is_empty())
    };
    match given.or_else(env) {
        Some(text) => parse(&text),
        None => Ok(default_runtime_dir()
            .map_err(|error| error.to_string())?
            .join(BUS_SOCKET)),
    }
}

/// A path, or a D-Bus address of a UNIX socket's path (D-Bus specification, "Server Addresses").
pub(super) fn parse(text: &str) -> Result<PathBuf, String> {
    let refuse = || format!("address '{text}' cannot be: write a path, or unix:path=PATH");
    if text.starts_with('/') || text.starts_with('.') || (!text.is_empty() && !text.contains(':')) {
        return Ok(text.into());
    }
    let pairs = text.strip_prefix("unix:").ok_or_else(refuse)?;
    let path = pairs.split(',').find_map(|pair| pair.strip_prefix("path="));
    let path = path.and_then(unescape).filter(|path| !path.is_empty());
    path.map(|path| OsString::from_vec(path).into())
        .ok_or_else(refuse)
}

/// `%XX` stands for a byte.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}
