//! VERSION and its JSON.

use serde::{Deserialize, Serialize};

use super::WireError;
use super::bytes::{Put, Reader, fixed};
use crate::limits;

/// What one side can do; absent means the specification's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// File descriptors the sender can receive in one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_msg_fds: Option<u32>,
    /// Bytes of data the sender accepts in one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_data_xfer_size: Option<u64>,
    /// DMA maps that may exist at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_dma_maps: Option<u64>,
    /// Page sizes of DMA maps, or'ed together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgsizes: Option<u64>,
    /// REGION_WRITE_MULTI is understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_multiple: Option<bool>,
    /// Dirty page tracking of older protocol versions, still sent by rust-vmm's client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationCapability>,
    /// A second socket for the server's commands; understood, never answered with one.
    #[serde(default, skip_serializing)]
    pub twin_socket: Option<TwinSocket>,
}

/// The `migration` capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationCapability {
    /// Bytes of a page in dirty bitmaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgsize: Option<u64>,
    /// Bytes that a bitmap may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitmap_size: Option<u64>,
}

/// The `twin_socket` capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TwinSocket {
    /// Whether the client would use a second socket.
    #[serde(default)]
    pub supported: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct VersionData {
    #[serde(default)]
    capabilities: Capabilities,
}

/// The body of a VERSION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionBody {
    /// Major version proposed; 0.
    pub major: u16,
    /// Minor version proposed.
    pub minor: u16,
    /// The client's capabilities.
    pub capabilities: Capabilities,
}

impl VersionBody {
    /// Reads the body of a VERSION. Absent version data means defaults.
    ///
    /// # Errors
    /// Short bodies, another major version, data without NUL, data that is not the JSON described,
    /// numbers that are negative or (page sizes) not powers of two.
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let (head, data) = fixed::<4>(body)?;
        let mut reader = Reader::new(head);
        let (major, minor) = (reader.u16(), reader.u16());
        if major != limits::VERSION_MAJOR {
            return Err(WireError::Major(major, minor));
        }
        let capabilities = match data.split_last() {
            None => Capabilities::default(),
            Some((0, json)) => {
                serde_json::from_slice::<VersionData>(json)
                    .map_err(|error| WireError::Json(error.to_string()))?
                    .capabilities
            }
            Some(_) => return Err(WireError::MissingNul),
        };
        if let Some(pgsize) = capabilities
            .migration
            .and_then(|migration| migration.pgsize)
            && !pgsize.is_power_of_two()
        {
            return Err(WireError::Value {
                field: "migration.pgsize",
                value: pgsize,
            });
        }
        Ok(Self {
            major,
            minor,
            capabilities,
        })
    }
}

/// The body of a VERSION reply.
pub fn version_reply(minor: u16, capabilities: Capabilities) -> Vec<u8> {
    let data = VersionData { capabilities };
    let json = serde_json::to_vec(&data).unwrap_or_else(|_| b"{}".to_vec());
    let mut out = Vec::with_capacity(4 + json.len() + 1);
    out.put16(limits::VERSION_MAJOR);
    out.put16(minor);
    out.extend_from_slice(&json);
    out.push(0);
    out
}
