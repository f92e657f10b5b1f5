//! Every method of the system bus's side, and what a caller must be allowed for it.

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Reads: whoever the bus lets through.
    Read,
    /// Changes attributes of a device, or has its driver do something.
    Change,
    /// Makes devices and takes them away.
    Manage,
}

impl Right {
    /// The polkit action that grants it; `None`: it needs none.
    pub const fn action(self) -> Option<&'static str> {
        match self {
            Self::Read => None,
            Self::Change => Some("io.mdevd1.change"),
            Self::Manage => Some("io.mdevd1.manage"),
        }
    }
}

/// A method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) right: Right,
    /// "create": for refusals.
    pub(super) verb: &'static str,
}

const fn method(name: &'static str, right: Right, verb: &'static str) -> Method {
    Method { name, right, verb }
}

const fn read(name: &'static str) -> Method {
    method(name, Right::Read, "read")
}

/// Of `io.mdevd1.Manager`.
pub(super) const MANAGER: [Method; 19] = [
    method("Create", Right::Manage, "create"),
    method("Destroy", Right::Manage, "destroy"),
    method("Set", Right::Change, "change"),
    method("Announce", Right::Change, "announce"),
    read("List"),
    read("Show"),
    read("Stats"),
    read("ListPfs"),
    read("ShowPf"),
    read("ListStats"),
    read("ListProfiles"),
    read("ShowProfile"),
    read("Explain"),
    method("ReloadProfiles", Right::Manage, "reload the profiles of"),
    read("Watch"),
    read("Unwatch"),
    method("Reload", Right::Manage, "reload the configuration of"),
    method("Shutdown", Right::Manage, "stop"),
    read("Version"),
];

/// Of `io.mdevd1.Device`.
pub(super) const DEVICE: [Method; 5] = [
    method("Destroy", Right::Manage, "destroy"),
    method("Set", Right::Change, "change"),
    method("Announce", Right::Change, "announce"),
    read("Show"),
    read("Stats"),
];

/// Of `io.mdevd1.Pf`.
pub(super) const PF: [Method; 1] = [read("Show")];
