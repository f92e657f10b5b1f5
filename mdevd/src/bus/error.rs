//! Engine errors as D-Bus errors.

use zbus::DBusError;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::engine::{EngineError, ErrorKind};

/// An error reply: name and sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusError {
    /// What sort.
    pub kind: ErrorKind,
    /// The sentence.
    pub message: String,
}

impl From<EngineError> for BusError {
    fn from(error: EngineError) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

impl DBusError for BusError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.kind.dbus_name())?.build(&(&self.message,))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.kind.dbus_name())
    }

    fn description(&self) -> Option<&str> {
        Some(&self.message)
    }
}
