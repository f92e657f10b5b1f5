//! One vocabulary for what any guest driver can ask, and the trait that decides.
//!
//! Personalities translate their own messages (virtio control queue, virtchnl) into
//! [`ControlRequest`]s; nothing here speaks either. Every request passes the [`Gatekeeper`] before
//! it is applied, and the guest is told the truth about the outcome.

mod identity;
mod queues;
mod request;

pub use identity::{Identity, UuidText};
pub use queues::{
    Coalescing, CoalescingScope, HashSettings, QueuePolicy, QueueReport, RssSettings,
};
pub use request::{ControlReply, ControlRequest, Denial, DeviceFacts, Gatekeeper, MacAddr, Permit};
