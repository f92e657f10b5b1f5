//! Errors of the parts as the engine's.

use libcvf::cvf::{ChangeError, ComposeError, PolicyError};
use libcvf::pf::Capabilities;
use libcvf::switch::SwitchError;

use crate::engine::{Definition, EngineError, ErrorKind};
use crate::session::PlaceError;
use crate::text::counted;

/// What to do about what a PF's hardware cannot.
const ANOTHER: &str = "ask for no more, or give another PF ('cvfctl pf show' tells what each can)";

/// What the engine says when a socket cannot be placed.
pub(crate) fn socket_error(name: &str, error: &PlaceError) -> EngineError {
    let (name, why) = (name.to_owned(), error.to_string());
    match error {
        PlaceError::NoUser(user) => EngineError::invalid("socket_owner", user, why),
        PlaceError::NoGroup(group) => EngineError::invalid("socket_group", group, why),
        PlaceError::TooLong { .. } => EngineError::invalid("name", name, why),
        PlaceError::MayNotGive(_) => EngineError::Denied {
            attempted: "create",
            name,
            why,
        },
        PlaceError::Live(_) | PlaceError::Foreign(_) => EngineError::SocketTaken { name, why },
        PlaceError::Io { .. } | PlaceError::UserLookup(..) | PlaceError::GroupLookup(..) => {
            EngineError::Internal {
                attempted: "create",
                name,
                why,
            }
        }
    }
}

/// Where another device is in the way.
fn conflict(attempted: &'static str, name: &str, error: &SwitchError) -> Option<EngineError> {
    let held = matches!(
        error,
        SwitchError::OtherTags { .. } | SwitchError::AddressTaken { .. }
    );
    held.then(|| EngineError::Refused {
        attempted,
        name: name.to_owned(),
        kind: ErrorKind::Conflict,
        why: error.to_string(),
    })
}

/// A larger MTU than the buffers of a PF's hardware hold.
fn most_mtu(pf: &str, asked: u16, most: u16) -> EngineError {
    let why = format!("frames of PF '{pf}' have an MTU of {most} at most; {ANOTHER}");
    EngineError::invalid("mtu", asked, why)
}

/// Where one device has a PF as a whole, or is to have it.
fn exclusive(name: &str, why: String) -> EngineError {
    EngineError::Refused {
        attempted: "create",
        name: name.to_owned(),
        kind: ErrorKind::Conflict,
        why,
    }
}

/// Whether a PF of that name, which gives a device so much, can have this one at all, whatever is left of it.
///
/// # Errors
/// What it cannot.
pub(crate) fn suits(
    definition: &Definition,
    pf: &str,
    capabilities: &Capabilities,
) -> Result<(), EngineError> {
    let suits = definition.spec().suits(pf, capabilities);
    suits.map_err(|error| compose_error(&definition.name, &error))
}

/// What it says when a device cannot be composed.
pub(crate) fn compose_error(name: &str, error: &ComposeError) -> EngineError {
    if let ComposeError::Switch(error) = error
        && let Some(conflict) = conflict("create", name, error)
    {
        return conflict;
    }
    let (name, why) = (name.to_owned(), error.to_string());
    match error {
        ComposeError::Shortage(_) | ComposeError::Switch(_) | ComposeError::Doorbells(_) => {
            EngineError::NoResources { name, why }
        }
        ComposeError::Hardware { .. } => EngineError::NoResources { name, why },
        ComposeError::MostPairs { pf, asked, most } => {
            let most = counted((*most).into(), "queue pair");
            let why = format!("a device of PF '{pf}' has {most} at most; {ANOTHER}");
            EngineError::invalid("queue_pairs", asked, why)
        }
        ComposeError::MostMtu { pf, asked, most } => most_mtu(pf, *asked, *most),
        ComposeError::Exclusive { pf, owner } => {
            let why = format!(
                "'{owner}' has PF '{pf}' as a whole, whose hardware works its rings (data path 'direct'); use another \
                 PF, or stop '{owner}'"
            );
            exclusive(&name, why)
        }
        ComposeError::NotAlone { pf, owners, first } => {
            let others = match *owners {
                1 => format!("'{first}' is on it"),
                owners => format!("{owners} devices are on it, '{first}' among them"),
            };
            let why = format!(
                "data path 'direct' takes PF '{pf}' as a whole, and {others}; stop what is on it, or use another PF"
            );
            exclusive(&name, why)
        }
        ComposeError::NoDirect { pf, why } => {
            let why = format!(
                "PF '{pf}' cannot work a guest's rings itself: {why}; give a PF that can, or data path 'auto'"
            );
            EngineError::invalid("data_path", "direct", why)
        }
        ComposeError::DirectNeeds { what } => {
            let why = format!("it needs {what}; give that, or data path 'auto'");
            EngineError::invalid("data_path", "direct", why)
        }
        ComposeError::AvfNeeds { field, value, what } => {
            let why =
                format!("personality 'avf' needs {what}; give that, or personality 'virtio-net'");
            EngineError::invalid(field, value, why)
        }
        ComposeError::QueuePairs(pairs) => EngineError::invalid("queue_pairs", pairs, why),
        ComposeError::Mtu(mtu) => EngineError::invalid("mtu", mtu, why),
        ComposeError::Mac(mac) => EngineError::invalid("mac", mac, why),
        ComposeError::Vlan(vlan) => EngineError::invalid("vlan", vlan, why),
        ComposeError::Policy(PolicyError::Group(_)) => EngineError::NoResources { name, why },
        ComposeError::Settings(_) | ComposeError::Avf(_) | ComposeError::Policy(_) => {
            EngineError::invalid("device", name, why)
        }
    }
}

/// What it says when a device cannot be changed.
pub(super) fn change_error(name: &str, error: &ChangeError) -> EngineError {
    if let ChangeError::Switch(error) = error
        && let Some(conflict) = conflict("change", name, error)
    {
        return conflict;
    }
    let why = error.to_string();
    let error = match error {
        ChangeError::Mac(mac) => EngineError::invalid("mac", mac, why),
        ChangeError::Mtu(mtu) => EngineError::invalid("mtu", mtu, why),
        ChangeError::MostMtu { pf, asked, most } => most_mtu(pf, *asked, *most),
        ChangeError::Vlan(vlan) => EngineError::invalid("vlan", vlan, why),
        ChangeError::Switch(_) | ChangeError::Policy(_) => EngineError::NotReady {
            attempted: "change",
            name: name.to_owned(),
            why,
        },
    };
    error.on("change", name)
}

#[cfg(test)]
mod tests;
