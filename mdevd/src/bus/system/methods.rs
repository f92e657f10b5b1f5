//! Every method of the system bus's side, and what a caller must be allowed for it.

use super::path::Object;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Reads: whoever the bus lets through.
    Read,
    /// Changes attributes of a device, or has its driver do something.
    Change,
    /// Makes devices and takes them away.
    Manage,
    /// Looks at what a device sends and receives.
    Capture,
    /// Ends a job: its own user may, and who may what the job does.
    Job,
}

impl Right {
    /// The polkit action that grants it; `None`: it needs none.
    pub const fn action(self) -> Option<&'static str> {
        match self {
            // Of a job it is its method's.
            Self::Read | Self::Job => None,
            Self::Change => Some("io.mdevd1.change"),
            Self::Manage => Some("io.mdevd1.manage"),
            Self::Capture => Some("io.mdevd1.capture"),
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
    /// What polkit's rules know it by: one name for all that does the same.
    pub(super) rule: &'static str,
}

const fn method(name: &'static str, right: Right, verb: &'static str) -> Method {
    let rule = name;
    Method {
        name,
        right,
        verb,
        rule,
    }
}

const DESTROY_AS_JOB: Method = Method {
    name: "DestroyAsJob",
    ..method("Destroy", Right::Manage, "destroy")
};

const fn read(name: &'static str) -> Method {
    method(name, Right::Read, "read")
}

/// Of `io.mdevd1.Manager`.
pub(super) const MANAGER: [Method; 33] = [
    method("Create", Right::Manage, "create"),
    method("Destroy", Right::Manage, "destroy"),
    DESTROY_AS_JOB,
    method("Define", Right::Manage, "define"),
    method("Undefine", Right::Manage, "undefine"),
    method("Start", Right::Manage, "start"),
    method("Stop", Right::Manage, "stop"),
    method("Set", Right::Change, "change"),
    method("Announce", Right::Change, "announce"),
    method("TakeOver", Right::Change, "take over"),
    method("Capture", Right::Capture, "capture"),
    read("Export"),
    method("Import", Right::Manage, "import definitions into"),
    read("ListJobs"),
    read("ShowJob"),
    read("JobResult"),
    method("CancelJob", Right::Job, "cancel"),
    read("ListTypes"),
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
pub(super) const DEVICE: [Method; 11] = [
    method("Destroy", Right::Manage, "destroy"),
    DESTROY_AS_JOB,
    method("Undefine", Right::Manage, "undefine"),
    method("Start", Right::Manage, "start"),
    method("Stop", Right::Manage, "stop"),
    method("Set", Right::Change, "change"),
    method("Announce", Right::Change, "announce"),
    method("TakeOver", Right::Change, "take over"),
    method("Capture", Right::Capture, "capture"),
    read("Show"),
    read("Stats"),
];

/// Of `io.mdevd1.Pf`.
pub(super) const PF: [Method; 1] = [read("Show")];

/// Of `io.mdevd1.Job`.
pub(super) const JOB: [Method; 3] = [
    read("Show"),
    read("Result"),
    method("Cancel", Right::Job, "cancel"),
];

/// Those of an object.
pub(super) const fn of(object: &Object) -> &'static [Method] {
    match object {
        Object::Manager => &MANAGER,
        Object::Device(_) => &DEVICE,
        Object::Pf(_) => &PF,
        Object::Job(_) => &JOB,
    }
}

/// What a job's method asks for, whoever ends the job.
pub(super) fn right_of(job: &str) -> Right {
    let method = MANAGER.iter().find(|method| method.name == job);
    method.map_or(Right::Manage, |method| method.right)
}
