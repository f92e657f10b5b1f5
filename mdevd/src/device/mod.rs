//! A composed function behind a socket.

use crate::engine::EngineError;
use crate::session::PlaceError;

/// What the engine says when a socket cannot be placed.
pub(crate) fn socket_error(name: &str, error: &PlaceError) -> EngineError {
    let (name, why) = (name.to_owned(), error.to_string());
    match error {
        PlaceError::NoUser(user) => EngineError::invalid("socket_owner", user, why),
        PlaceError::NoGroup(group) => EngineError::invalid("socket_group", group, why),
        PlaceError::TooLong { .. } => EngineError::invalid("name", name, why),
        PlaceError::MayNotGive(_) => EngineError::Denied { attempted: "create", name, why },
        PlaceError::Live(_) | PlaceError::Foreign(_) => EngineError::SocketTaken { name, why },
        PlaceError::Io { .. } => EngineError::Internal { attempted: "create", name, why },
    }
}
