//! Why a message is not carried out, as the driver is told.

use crate::control::ControlReply;

/// `VIRTCHNL_STATUS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtchnlStatus {
    /// Done.
    Success = 0,
    /// The message is wrong, comes at the wrong time, or asks for what policy denies: PFs say so for all of these.
    ErrParam = -5,
    /// It was allowed and could not be done.
    ErrAdminQueueError = -53,
    /// There is no such operation, or its capability was not granted.
    ErrNotSupported = -64,
}

/// Nothing was done, and the driver is told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: VirtchnlStatus,
    /// For the operator; `None`: the device has told already.
    pub why: Option<String>,
    /// Beside the status.
    pub bytes: Vec<u8>,
}

impl Refusal {
    pub fn new(status: VirtchnlStatus, why: impl Into<String>) -> Self {
        Self {
            status,
            why: Some(why.into()),
            bytes: Vec::new(),
        }
    }

    /// `VIRTCHNL_STATUS_ERR_PARAM`.
    pub fn param(why: impl Into<String>) -> Self {
        Self::new(VirtchnlStatus::ErrParam, why)
    }

    /// The message's length is not that of what it claims to be.
    pub fn length() -> Self {
        Self::param("the message does not have the length that its content wants")
    }

    /// With something beside the status.
    pub fn with(self, bytes: Vec<u8>) -> Self {
        Self { bytes, ..self }
    }
}

/// The device's answer to a request, as far as there is anything to refuse.
pub(super) fn granted(reply: ControlReply) -> Result<(), Refusal> {
    let (status, why) = match reply {
        ControlReply::Done => return Ok(()),
        // Who denied has told the operator.
        ControlReply::Denied(_) => (VirtchnlStatus::ErrParam, None),
        ControlReply::Failed(why) => (VirtchnlStatus::ErrAdminQueueError, Some(why)),
    };
    let bytes = Vec::new();
    Err(Refusal { status, why, bytes })
}
