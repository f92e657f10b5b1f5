//! What a metric is.

use super::snapshot::{DeviceShot, Snapshot};
use super::text::Samples;
use crate::engine::PfView;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until the device or the daemon begins anew.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Kind {
    /// Its word in the text format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Where samples come from.
pub(super) enum Source {
    Daemon(fn(&Snapshot, &mut Samples<'_>)),
    Device(fn(&DeviceShot, &mut Samples<'_>)),
    Pf(fn(&PfView, &mut Samples<'_>)),
}

/// A metric.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// What they mean.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    pub(super) source: Source,
}

impl Family {
    pub(super) fn announce(&self, out: &mut String) {
        for part in [
            "# HELP ",
            self.name,
            " ",
            self.help,
            "\n# TYPE ",
            self.name,
            " ",
            self.kind.word(),
            "\n",
        ] {
            out.push_str(part);
        }
    }
}

/// One whose samples are those of the daemon.
pub(super) const fn daemon(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [&'static str],
    write: fn(&Snapshot, &mut Samples<'_>),
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
        source: Source::Daemon(write),
    }
}

/// One whose samples are those of each device.
pub(super) const fn device(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [&'static str],
    write: fn(&DeviceShot, &mut Samples<'_>),
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
        source: Source::Device(write),
    }
}

/// One whose samples are those of each PF.
pub(super) const fn pf(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [&'static str],
    write: fn(&PfView, &mut Samples<'_>),
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
        source: Source::Pf(write),
    }
}
