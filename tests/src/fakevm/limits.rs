//! Limits of the fake VM, the vhost-user front end and their rings.

use std::time::Duration;

/// How long a reply may take. QEMU's `x-msg-timeout` is the same 5 s.
pub const REPLY_DEADLINE: Duration = Duration::from_secs(5);
/// How long the device may take to read back a written status (virtio 1.3 4.1.4.3.2).
pub const RESET_DEADLINE: Duration = Duration::from_secs(3);
/// How long a control command may take.
pub const CONTROL_DEADLINE: Duration = Duration::from_secs(3);
/// Largest message that is accepted from a server, in bytes with its header.
pub const MAX_MESSAGE: usize = 16 + 16 + (1 << 20);
/// File descriptors that one received message may carry.
pub const MAX_MESSAGE_FDS: usize = 16;
/// Server commands that are kept while a reply is awaited.
pub const MAX_PENDING_COMMANDS: usize = 1024;
/// Frames of one burst.
pub const BURST: usize = 32;
/// Bytes of one data buffer of a ring.
pub const BUFFER_SIZE: usize = 2048;
/// Largest ring of the split format (virtio 1.3 2.7).
pub const MAX_RING_SIZE: u16 = 32768;
/// Largest frame with its header that a receive ring puts together from several buffers.
pub const MAX_FRAME: usize = 20 + 65536 + 18;
/// How long an AVF device may take to be there after a reset, as the driver of Linux waits.
pub const AVF_RESET_DEADLINE: Duration = Duration::from_secs(20);
/// How long an AVF device may take to switch its mailbox off before a reset, as there.
pub const AVF_DETECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long the answer to a message of virtchnl may take.
pub const VIRTCHNL_DEADLINE: Duration = Duration::from_secs(5);
/// Unasked messages of an AVF device that are kept for whoever asks.
pub const MAX_AVF_EVENTS: usize = 64;
/// PCI capabilities that are followed before the list is called a loop.
pub const MAX_CAPABILITIES: usize = 48;
