//! Which boot of the host this is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::as_text;

/// Where Linux tells it. In a container it is the host's.
const KERNEL: &str = "/proc/sys/kernel/random/boot_id";

/// One boot of the host. Nil: nobody could tell which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(#[serde(with = "as_text")] Uuid);

impl BootId {
    /// The boot that this process runs in, as the kernel tells; nil where it does not.
    pub fn of_kernel() -> Self {
        let told = std::fs::read_to_string(KERNEL).ok();
        Self(
            told.and_then(|text| text.trim().parse().ok())
                .unwrap_or(Uuid::nil()),
        )
    }

    /// Nobody could tell.
    pub const fn is_unknown(self) -> bool {
        self.0.is_nil()
    }

    /// Whether what was recorded in `self` is of the boot `now`. Where nobody can tell which boot this is, it is
    /// taken to be, so that nothing is forgotten by mistake.
    pub fn is(self, now: Self) -> bool {
        self == now || now.is_unknown()
    }
}

impl std::str::FromStr for BootId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for BootId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
