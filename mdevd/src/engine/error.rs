//! Why the engine refused or failed.

use std::fmt;

use super::set::SetRequest;
use crate::limits::MAX_SHOWN;

/// What sort of refusal: stable, for programs. The sentence is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The name is in use with another definition.
    AlreadyExists,
    /// No such device or PF.
    NotFound,
    /// In use by a client, or being changed by another command.
    Busy,
    /// The PF, or the daemon, has none left of a resource.
    NoResources,
    /// An argument is not one that can be.
    InvalidArgument,
    /// The MAC address belongs to another device.
    DuplicateMac,
    /// Another device has it otherwise, and both cannot be.
    Conflict,
    /// Something else is at the socket's path.
    SocketTaken,
    /// The daemon's own rights do not suffice, or a rule forbids it.
    Denied,
    /// The definition could not be stored; nothing was changed.
    StoreFailed,
    /// The data plane did not leave the device alone in time.
    Stalled,
    /// The daemon is stopping.
    Stopping,
    /// The device, or the driver in the guest, is not in a state to do it.
    NotReady,
    /// The daemon's configuration cannot be used as it is.
    BadConfiguration,
    /// It was cancelled.
    Cancelled,
    /// What is to be cancelled is where it cannot go back, or has ended.
    NotCancellable,
    /// A fault of the daemon itself.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::AlreadyExists,
        Self::NotFound,
        Self::Busy,
        Self::NoResources,
        Self::InvalidArgument,
        Self::DuplicateMac,
        Self::Conflict,
        Self::SocketTaken,
        Self::Denied,
        Self::StoreFailed,
        Self::Stalled,
        Self::Stopping,
        Self::NotReady,
        Self::BadConfiguration,
        Self::Cancelled,
        Self::NotCancellable,
        Self::Internal,
    ];

    /// The D-Bus error name.
    pub const fn dbus_name(self) -> &'static str {
        match self {
            Self::AlreadyExists => "io.mdevd1.Error.AlreadyExists",
            Self::NotFound => "io.mdevd1.Error.NotFound",
            Self::Busy => "io.mdevd1.Error.Busy",
            Self::NoResources => "io.mdevd1.Error.NoResources",
            Self::InvalidArgument => "io.mdevd1.Error.InvalidArgument",
            Self::DuplicateMac => "io.mdevd1.Error.DuplicateMac",
            Self::Conflict => "io.mdevd1.Error.Conflict",
            Self::SocketTaken => "io.mdevd1.Error.SocketTaken",
            Self::Denied => "io.mdevd1.Error.Denied",
            Self::StoreFailed => "io.mdevd1.Error.StoreFailed",
            Self::Stalled => "io.mdevd1.Error.Stalled",
            Self::Stopping => "io.mdevd1.Error.Stopping",
            Self::NotReady => "io.mdevd1.Error.NotReady",
            Self::BadConfiguration => "io.mdevd1.Error.BadConfiguration",
            Self::Cancelled => "io.mdevd1.Error.Cancelled",
            Self::NotCancellable => "io.mdevd1.Error.NotCancellable",
            Self::Internal => "io.mdevd1.Error.Internal",
        }
    }

    /// The name that `cvfctl --json` prints.
    pub const fn kebab(self) -> &'static str {
        match self {
            Self::AlreadyExists => "already-exists",
            Self::NotFound => "not-found",
            Self::Busy => "busy",
            Self::NoResources => "no-resources",
            Self::InvalidArgument => "invalid-argument",
            Self::DuplicateMac => "duplicate-mac",
            Self::Conflict => "conflict",
            Self::SocketTaken => "socket-taken",
            Self::Denied => "denied",
            Self::StoreFailed => "store-failed",
            Self::Stalled => "stalled",
            Self::Stopping => "stopping",
            Self::NotReady => "not-ready",
            Self::BadConfiguration => "bad-configuration",
            Self::Cancelled => "cancelled",
            Self::NotCancellable => "not-cancellable",
            Self::Internal => "internal",
        }
    }

    /// The kind with this D-Bus error name.
    pub fn from_dbus_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.dbus_name() == name)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kebab())
    }
}

/// A refusal or failure: each sentence says what was attempted, on what, why not, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Same name, another definition.
    #[error(
        "cannot create '{name}': it exists with {attribute} {existing}, and {attribute} {asked} was \
         asked for; {}",
        instead(name, attribute, asked)
    )]
    AlreadyExists {
        /// The device.
        name: String,
        /// First attribute that differs.
        attribute: String,
        /// Its value.
        existing: String,
        /// The value in the request.
        asked: String,
    },
    /// A refusal that says its kind itself.
    #[error("cannot {attempted} '{name}': {why}")]
    Refused {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// What sort of refusal.
        kind: ErrorKind,
        /// A sentence.
        why: String,
    },
    /// Unknown name.
    #[error("{attempted}there is no {what} '{name}'{}", look(what, hint))]
    NotFound {
        /// "cannot create 'x': ", or empty where the name says it all.
        attempted: String,
        /// "device", "PF" or "profile".
        what: &'static str,
        /// The name.
        name: String,
        /// "did you mean", or empty.
        hint: String,
    },
    /// A client is connected.
    #[error(
        "cannot {attempted} '{name}': {client} is connected to it; stop that VM first (or unplug the \
         device, if it has interrupts=intx: with MSI-X that ends QEMU), or repeat with --force to cut it off"
    )]
    Connected {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// "process 17 (uid 0)".
        client: String,
    },
    /// Another command is at work on the device.
    #[error("cannot {attempted} '{name}': another command is {doing} it; repeat when that is done")]
    Changing {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// "creating", "changing", "destroying".
        doing: &'static str,
    },
    /// Something countable ran out.
    #[error("cannot create '{name}': {why}")]
    NoResources {
        /// The device.
        name: String,
        /// Names the resource that ran out and how much of it there is.
        why: String,
    },
    /// The same, where nothing is made.
    #[error("cannot {attempted} '{name}': {why}")]
    Exhausted {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// Names what ran out, how much of it there is, and what to do.
        why: String,
    },
    /// Not a possible value.
    #[error("{attempted}{} {value:?} cannot be: {why}", argument.replace('_', "-"))]
    InvalidArgument {
        /// "cannot create 'x': ", or empty.
        attempted: String,
        /// The argument, by its name on the bus.
        argument: String,
        /// What was given.
        value: String,
        /// Why not, and what could be.
        why: String,
    },
    /// The address is another device's.
    #[error(
        "cannot {attempted} '{name}' with MAC {mac}: '{other}' has that address; give another one{}",
        if *attempted == "create" { ", or none to have one made" } else { "" }
    )]
    DuplicateMac {
        /// What was attempted.
        attempted: &'static str,
        /// The device to be.
        name: String,
        /// The address.
        mac: String,
        /// Who has it.
        other: String,
    },
    /// See [`crate::session::PlaceError`].
    #[error("cannot create the socket of '{name}': {why}")]
    SocketTaken {
        /// The device.
        name: String,
        /// A sentence.
        why: String,
    },
    /// Rights do not suffice.
    #[error("cannot {attempted} '{name}': {why}")]
    Denied {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// A sentence.
        why: String,
    },
    /// The store refused.
    #[error(
        "cannot {attempted} '{name}': the store did not take it ({why}); nothing was changed; make room in the state directory, or make it writable, and repeat"
    )]
    StoreFailed {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// The store's error.
        why: String,
    },
    /// Quiescence was not reached.
    #[error(
        "'{name}' is gone, but the data plane was not seen to leave it within the deadline: {why}"
    )]
    Stalled {
        /// The device.
        name: String,
        /// A sentence.
        why: String,
    },
    /// No new work.
    #[error("cannot {attempted} '{name}': the daemon is stopping; repeat when it runs again")]
    Stopping {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
    },
    /// Nothing is there that could do it.
    #[error("cannot {attempted} '{name}': {why}")]
    NotReady {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// What is missing, and what to do.
        why: String,
    },
    /// The daemon as a whole cannot do it.
    #[error("cannot {attempted}: {why}")]
    Daemon {
        /// What was attempted.
        attempted: &'static str,
        /// What sort of refusal.
        kind: ErrorKind,
        /// A sentence.
        why: String,
    },
    /// A fault of ours.
    #[error("cannot {attempted} '{name}': {why}; this is a fault of the daemon, its log says more")]
    Internal {
        /// What was attempted.
        attempted: &'static str,
        /// The device.
        name: String,
        /// What happened.
        why: String,
    },
}

/// What to do where a device is there with another value of an attribute.
pub(super) fn instead(name: &str, attribute: &str, asked: &str) -> String {
    let settable = SetRequest::changes_as_made(&attribute.replace('-', "_"));
    if settable {
        format!("'cvfctl set {name} {attribute}={asked}' changes it, or use another name")
    } else {
        "use another name, or destroy it first".to_owned()
    }
}

impl EngineError {
    /// An argument that cannot be. The value is cut to a printable length.
    pub fn invalid(argument: &str, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::InvalidArgument {
            attempted: String::new(),
            argument: argument.to_owned(),
            value: shown(&value.to_string()),
            why: why.to_string(),
        }
    }

    /// The same where `verb` was attempted on `name`.
    pub(crate) fn on(mut self, verb: &str, name: &str) -> Self {
        if let Self::InvalidArgument { attempted, .. } | Self::NotFound { attempted, .. } =
            &mut self
            && attempted.is_empty()
        {
            *attempted = format!("cannot {verb} '{}': ", shown(name));
        }
        self
    }

    /// The same where something was attempted on no device, or on what the arguments name.
    pub(crate) fn to(mut self, verb: &str) -> Self {
        if let Self::InvalidArgument { attempted, .. } | Self::NotFound { attempted, .. } =
            &mut self
            && attempted.is_empty()
        {
            *attempted = format!("cannot {verb}: ");
        }
        self
    }

    /// The same where not a creation was attempted, but `verb`.
    pub(crate) fn attempting(mut self, verb: &'static str) -> Self {
        let refused = |name, kind, why| Self::Refused {
            attempted: verb,
            name,
            kind,
            why,
        };
        match &mut self {
            Self::NoResources { name, why } => {
                return refused(
                    std::mem::take(name),
                    ErrorKind::NoResources,
                    std::mem::take(why),
                );
            }
            Self::SocketTaken { name, why } => {
                let why = format!("its socket cannot be made: {why}");
                return refused(std::mem::take(name), ErrorKind::SocketTaken, why);
            }
            Self::Denied { attempted, .. }
            | Self::Refused { attempted, .. }
            | Self::DuplicateMac { attempted, .. }
            | Self::StoreFailed { attempted, .. }
            | Self::NotReady { attempted, .. }
            | Self::Internal { attempted, .. } => *attempted = verb,
            _ => {}
        }
        self
    }

    /// The same where a device was to be made, under `name` if it was given one.
    pub(crate) fn creating(self, name: Option<&str>) -> Self {
        match (name, self) {
            (Some(name), error) => error.on("create", name),
            (
                None,
                Self::InvalidArgument {
                    argument,
                    value,
                    why,
                    ..
                },
            ) => Self::InvalidArgument {
                attempted: "cannot create a device: ".to_owned(),
                argument,
                value,
                why,
            },
            (None, error) => error,
        }
    }

    /// What sort of refusal this is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Connected { .. } | Self::Changing { .. } => ErrorKind::Busy,
            Self::NoResources { .. } | Self::Exhausted { .. } => ErrorKind::NoResources,
            Self::InvalidArgument { .. } => ErrorKind::InvalidArgument,
            Self::DuplicateMac { .. } => ErrorKind::DuplicateMac,
            Self::SocketTaken { .. } => ErrorKind::SocketTaken,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::StoreFailed { .. } => ErrorKind::StoreFailed,
            Self::Stalled { .. } => ErrorKind::Stalled,
            Self::Stopping { .. } => ErrorKind::Stopping,
            Self::NotReady { .. } => ErrorKind::NotReady,
            Self::Daemon { kind, .. } | Self::Refused { kind, .. } => *kind,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }
}

/// What a client sent, cut to a length that a sentence can hold, and without what would steer a terminal.
pub(crate) fn shown(text: &str) -> String {
    let visible = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().take(MAX_SHOWN).map(visible).collect()
}

/// Where to look for a name that is not there: a tail for a sentence, behind `hint`.
fn look(what: &str, hint: &str) -> String {
    let stop = if hint.is_empty() { ";" } else { "" };
    let list = match what {
        "PF" => "pf list",
        "profile" => "policy list",
        "job" => "jobs",
        _ => "list",
    };
    format!("{hint}{stop} 'cvfctl {list}' shows what there is")
}
