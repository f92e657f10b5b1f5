//! Errors of the parts as the engine's.

use libcvf::cvf::{ChangeError, ComposeError, PolicyError};
use libcvf::switch::SwitchError;

use crate::engine::{EngineError, ErrorKind};
use crate::session::PlaceError;

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

/// What it says when a device cannot be composed.
pub(super) fn compose_error(name: &str, error: &ComposeError) -> EngineError {
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
        ComposeError::QueuePairs(pairs) => EngineError::invalid("queue_pairs", pairs, why),
        ComposeError::Mtu(mtu) => EngineError::invalid("mtu", mtu, why),
        ComposeError::Mac(mac) => EngineError::invalid("mac", mac, why),
        ComposeError::Vlan(vlan) => EngineError::invalid("vlan", vlan, why),
        ComposeError::Policy(PolicyError::Group(_)) => EngineError::NoResources { name, why },
        ComposeError::Settings(_) | ComposeError::Policy(_) => {
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
        ChangeError::Vlan(vlan) => EngineError::invalid("vlan", vlan, why),
        ChangeError::Switch(_) | ChangeError::Policy(_) => EngineError::NotReady {
            attempted: "change",
            name: name.to_owned(),
            why,
        },
    };
    error.on("change", name)
}
