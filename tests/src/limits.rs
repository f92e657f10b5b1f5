//! Every deadline and size of the lab's harness, in one place.
//!
//! Deadlines are for machines that emulate their guests and share two cores among them; they say
//! when something is broken, not how fast it should be.

use std::time::Duration;

/// From starting QEMU to the guest agent's greeting.
pub const BOOT: Duration = Duration::from_secs(120);

/// The same of a guest with systemd and its services.
pub const SYSTEM_BOOT: Duration = Duration::from_secs(240);

/// From what the daemon's watchdog, or its end, does to the daemon being there again.
pub const RESTART: Duration = Duration::from_secs(60);

/// How long KVM gets to boot the guest before it counts as unusable.
pub const KVM_PROBE: Duration = Duration::from_secs(12);

/// A QMP command's answer.
pub const QMP_REPLY: Duration = Duration::from_secs(30);

/// An event QEMU must raise, such as DEVICE_DELETED.
pub const QMP_EVENT: Duration = Duration::from_secs(60);

/// A command inside a guest, unless told otherwise.
pub const GUEST_COMMAND: Duration = Duration::from_secs(60);

/// Added to a guest command's own limit before the host gives the guest up.
pub const GUEST_SLACK: Duration = Duration::from_secs(20);

/// A short command on the host.
pub const HOST_COMMAND: Duration = Duration::from_secs(60);

/// From starting mdevd to its control socket answering.
pub const DAEMON_START: Duration = Duration::from_secs(20);

/// From SIGTERM to the daemon's end.
pub const DAEMON_STOP: Duration = Duration::from_secs(10);

/// Something that another process is about to do (an interface appearing, a state changing).
pub const SETTLE: Duration = Duration::from_secs(30);

/// First and longest pause of a condition that can only be polled.
pub const POLL: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// What a guest that hangs gets to tell what its tasks wait for.
pub const LAST_WORDS: Duration = Duration::from_secs(8);

/// Lines of a console or daemon log shown with a failure.
pub const LOG_TAIL: usize = 60;

/// Longest message accepted from QMP, in bytes.
pub const MAX_QMP_LINE: u64 = 16 << 20;
