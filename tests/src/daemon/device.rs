//! A composed device as `cvfctl create` describes it.

use serde::Deserialize;
use serde_json::{Value, json};

/// What `create` printed.
#[derive(Clone, Debug, Deserialize)]
pub struct Device {
    /// `created` or `already`.
    pub result: String,
    /// Name.
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// MAC address.
    pub mac: String,
    /// Path of the vfio-user socket.
    pub socket: String,
    /// The value of QEMU's `-device`.
    pub qemu: String,
}

impl Device {
    /// The id that QEMU knows the device by.
    #[must_use]
    pub fn qemu_id(&self) -> String {
        let value: Value = serde_json::from_str(&self.qemu).unwrap_or_default();
        value["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of `-device` with more properties.
    #[must_use]
    pub fn qemu_with(&self, more: &[(&str, &str)]) -> String {
        let mut value: Value = serde_json::from_str(&self.qemu).unwrap_or_default();
        for (key, text) in more {
            value[*key] = json!(text);
        }
        value.to_string()
    }
}
