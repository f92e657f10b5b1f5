//! DEVICE_FEATURE.

use vfio_bindings::bindings::vfio;

use super::WireError;
use super::bytes::{Put, Reader, check_argsz, fixed};

const HEAD_SIZE: usize = 8;

/// What is done with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureOperation {
    /// `VFIO_DEVICE_FEATURE_GET`.
    Get,
    /// `VFIO_DEVICE_FEATURE_SET`.
    Set,
    /// `VFIO_DEVICE_FEATURE_PROBE`: succeed if all the named methods are supported.
    Probe {
        /// Getting.
        get: bool,
        /// Setting.
        set: bool,
    },
}

/// A DEVICE_FEATURE for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRequest {
    /// `VFIO_DEVICE_FEATURE_*`.
    pub feature: u16,
    /// What to do.
    pub operation: FeatureOperation,
    /// The request's data: what to set, or the question of a get that has one.
    pub data: Vec<u8>,
    /// Bytes of data that the client has room for in the reply.
    pub max_data: u32,
}

/// The bytes of a DEVICE_FEATURE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureBody {
    /// The `flags` as they came, for the reply.
    pub flags: u32,
    /// The request.
    pub request: FeatureRequest,
}

impl FeatureBody {
    /// Reads the body of a DEVICE_FEATURE; `max_xfer` bounds the reply it may ask for.
    ///
    /// # Errors
    /// Short bodies, `argsz` out of bounds or (set, probe) below the body's size, no operation, get
    /// with set outside a probe, unknown flags.
    pub fn parse(body: &[u8], max_xfer: u32) -> Result<Self, WireError> {
        let (head, data) = fixed::<HEAD_SIZE>(body)?;
        let mut reader = Reader::new(head);
        let (argsz, flags) = (reader.u32(), reader.u32());
        let known = vfio::VFIO_DEVICE_FEATURE_MASK
            | vfio::VFIO_DEVICE_FEATURE_GET
            | vfio::VFIO_DEVICE_FEATURE_SET
            | vfio::VFIO_DEVICE_FEATURE_PROBE;
        let get = flags & vfio::VFIO_DEVICE_FEATURE_GET != 0;
        let set = flags & vfio::VFIO_DEVICE_FEATURE_SET != 0;
        let probe = flags & vfio::VFIO_DEVICE_FEATURE_PROBE != 0;
        let operation = match (probe, get, set) {
            _ if flags & !known != 0 => return Err(WireError::Flags(flags)),
            (true, get, set) => FeatureOperation::Probe { get, set },
            (false, true, false) => FeatureOperation::Get,
            (false, false, true) => FeatureOperation::Set,
            _ => return Err(WireError::Flags(flags)),
        };
        let min = if operation == FeatureOperation::Get {
            HEAD_SIZE
        } else {
            body.len()
        };
        check_argsz(argsz, min as u64, u64::from(max_xfer))?;
        let request = FeatureRequest {
            feature: (flags & vfio::VFIO_DEVICE_FEATURE_MASK) as u16,
            operation,
            data: data.to_vec(),
            max_data: argsz - HEAD_SIZE as u32,
        };
        Ok(Self { flags, request })
    }

    /// The body of the reply with `data`.
    pub fn reply(flags: u32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_SIZE + data.len());
        out.put32(u32::try_from(HEAD_SIZE + data.len()).unwrap_or(u32::MAX));
        out.put32(flags);
        out.extend_from_slice(data);
        out
    }
}
