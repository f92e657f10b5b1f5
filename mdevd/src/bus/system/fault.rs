//! Error replies of the system bus's side: ours, and those that the D-Bus specification names.

use zbus::Message;
use zbus::message::Header;

use super::super::error::BusError;

/// An error reply.
#[derive(Debug)]
pub(super) struct Fault {
    name: &'static str,
    message: String,
}

macro_rules! standard {
    ($($function:ident $name:literal)*) => {$(
        pub(super) fn $function(message: impl Into<String>) -> Self {
            Self { name: concat!("org.freedesktop.DBus.Error.", $name), message: message.into() }
        }
    )*};
}

impl Fault {
    standard! {
        unknown_object "UnknownObject"
        unknown_interface "UnknownInterface"
        unknown_method "UnknownMethod"
        unknown_property "UnknownProperty"
        read_only "PropertyReadOnly"
        invalid_args "InvalidArgs"
        limits_exceeded "LimitsExceeded"
        failed "Failed"
    }

    pub(super) fn reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name)?.build(&(self.message.as_str(),))
    }
}

impl From<BusError> for Fault {
    fn from(error: BusError) -> Self {
        Self {
            name: error.kind.dbus_name(),
            message: error.message,
        }
    }
}

impl From<zbus::Error> for Fault {
    fn from(error: zbus::Error) -> Self {
        Self::failed(format!("the answer cannot be sent: {error}"))
    }
}
