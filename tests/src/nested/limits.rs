//! Every deadline and size of the machine with physical functions, in one place.

use std::time::Duration;

/// Memory of the machine, in MiB: what is written over the shared file system lies in it, too.
pub const MEMORY_MIB: u32 = 3072;

/// From starting QEMU to the agent's greeting; the kernel sets up an IOMMU on the way.
pub const BOOT: Duration = Duration::from_secs(180);

/// Guests that the machine can have inside.
pub const GUESTS: usize = 2;

/// Memory of a guest inside, in MiB.
pub const GUEST_MEMORY_MIB: u32 = 256;

/// From starting QEMU inside to the greeting of the agent of its guest, which is emulated twice.
pub const GUEST_BOOT: Duration = Duration::from_secs(900);

/// A program in a guest inside: it is emulated twice, and takes half a minute to begin.
pub const GUEST_TOOL: Duration = Duration::from_secs(300);

/// How long a guest inside may run before the agent of the machine ends it: longer than any test.
pub const GUEST_LIFE: Duration = Duration::from_secs(1800);

/// For the machine to tell its kernel's log after something has failed.
pub const LOG: Duration = Duration::from_secs(10);

/// How long mdevd may run inside before the agent ends it: longer than any test.
pub const DAEMON_LIFE: Duration = Duration::from_secs(1800);

/// From starting mdevd inside to its control socket answering. The program is read over 9p meanwhile.
pub const DAEMON_START: Duration = Duration::from_secs(60);

/// From the host wanting a function back to it having it: before the kernel asks its user a second time.
pub const GIVE_BACK: Duration = Duration::from_secs(8);

/// For QEMU to connect its end of a wire.
pub const CONNECT: Duration = Duration::from_secs(10);

/// For one frame to be taken by QEMU.
pub const SEND: Duration = Duration::from_secs(10);

/// How long a scenario inside waits for the next answer before what is missing counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a scenario waits that goes on without what was lost.
pub const FORGIVEN: Duration = Duration::from_millis(500);

/// Steps in which both ends wait for frames, between looks whether they still should.
pub const LOOK: Duration = Duration::from_millis(100);

/// How long a scenario inside keeps what a server gave that has gone.
pub const CLING: Duration = Duration::from_secs(120);

/// For a device to stop itself.
pub const STOP: Duration = Duration::from_secs(10);

/// A whole run of frames, however it goes.
pub const CROSSING: Duration = Duration::from_secs(180);

/// Longest frame that QEMU sends over a stream (its `NET_BUFSIZE`), in bytes.
pub const MAX_FRAME: usize = 4096 + 65536;

/// Bytes read from a wire at once.
pub const READ: usize = 64 << 10;

/// Receive buffer of a packet socket, in bytes.
pub const PACKET_BUFFER: usize = 8 << 20;

/// What hardware has not done of what it was told by then, it does not do: in emulation it is done at once.
pub const SETTLED: Duration = Duration::from_secs(1);

/// Most frames that are on their way at once: fewer than any queue on the way holds, so that nothing may be lost.
pub const MAX_WINDOW: u64 = 128;

/// Most queue pairs of a function.
pub const MAX_PAIRS: u16 = 64;
