//! Where counters are offered to a monitoring system.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen at for scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsListen {
    /// Nowhere.
    Off,
    /// TCP.
    Tcp(SocketAddr),
    /// A UNIX socket at this path.
    Unix(PathBuf),
}

impl FromStr for MetricsListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err("write an absolute path behind unix:".to_owned()),
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            "write off, ADDRESS:PORT with an address in numbers as in 127.0.0.1:9742 or [::1]:9742, or unix:PATH".to_owned()
        })
    }
}

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
