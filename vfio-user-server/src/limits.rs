//! Every limit of this crate, in one place. Each is tested at its edge.

/// Highest protocol major version spoken.
pub const VERSION_MAJOR: u16 = 0;
/// Highest protocol minor version spoken. The reply carries the lower of this and the client's.
pub const VERSION_MINOR: u16 = 1;

/// Bytes of a VERSION message, header included. Real ones are below 300.
pub const MAX_VERSION_MESSAGE: usize = 4096;
/// Bytes that a VERSION reply may have: QEMU receives it into its request's buffer.
pub const MAX_VERSION_REPLY: usize = 214;

/// File descriptors accepted with one message, by default. cloud-hypervisor sends up to 16 whatever is announced.
pub const DEFAULT_MAX_MSG_FDS: u32 = 16;
/// File descriptors one message can carry at all (the kernel's `SCM_MAX_FD`).
pub const SCM_MAX_FD: usize = 253;
/// File descriptors that a client which does not say so can receive in one message.
pub const PEER_DEFAULT_MSG_FDS: u32 = 1;

/// Bytes of data in one message, by default.
pub const DEFAULT_MAX_DATA_XFER: u32 = 1 << 20;
/// The most that may be configured: QEMU refuses servers that announce more.
pub const MAX_DATA_XFER: u32 = 64 << 20;
/// Bytes of data a client accepts in one message if it does not say.
pub const PEER_DEFAULT_DATA_XFER: u64 = 1 << 20;

/// DMA maps that may exist at once, by default and for a client that does not say.
pub const DEFAULT_MAX_DMA_MAPS: u32 = 65_535;
/// Bytes of one DMA map: the address space of a 47-bit process.
pub const MAX_DMA_MAP_SIZE: u64 = 1 << 47;
/// Page sizes for DMA maps, or'ed together, by default.
pub const DEFAULT_PGSIZES: u64 = 4096;

/// Bytes of the fixed part of the longest request that carries bulk data.
pub const MAX_FIXED_BODY: usize = 48;
/// Bytes that a request's variable part may have however small the agreed transfers are: enough for
/// [`MAX_MULTI_WRITES`] writes.
pub const MIN_BULK_BODY: usize = 8 << 10;
/// Writes in one REGION_WRITE_MULTI. QEMU gathers up to 16.
pub const MAX_MULTI_WRITES: u64 = 256;
/// Interrupts that one SET_IRQS message may name by booleans.
pub const MAX_IRQ_BOOLS: u32 = 4096;

/// Requests read from the socket and not yet answered, by default.
pub const DEFAULT_MAX_REQUESTS: usize = 256;
/// Bytes of requests waiting to be dispatched before reading stops.
pub const MAX_QUEUED_INPUT: usize = 4 << 20;
/// Bytes of replies queued, or promised by dispatched requests, before dispatching stops.
pub const MAX_QUEUED_OUTPUT: usize = 4 << 20;
/// File descriptors held by requests that wait to be dispatched before reading stops.
pub const MAX_QUEUED_FDS: usize = 64;

/// Bytes in one DMA_READ or DMA_WRITE message. QEMU hangs above about 212 KiB.
pub const MAX_DMA_CHUNK: usize = 64 << 10;
/// DMA_READ and DMA_WRITE messages awaiting the client's reply at once.
pub const MAX_DMA_IN_FLIGHT: usize = 16;
/// Bytes of one DMA transfer started by the device; longer ones are refused.
pub const MAX_DMA_TRANSFER: usize = 16 << 20;
/// Bytes of all DMA transfers of a connection that are queued or under way.
pub const MAX_DMA_PENDING_BYTES: usize = 64 << 20;
/// DMA transfers of a connection that are queued or under way.
pub const MAX_DMA_PENDING: usize = 1024;

/// Regions of a device. QEMU refuses more.
pub const MAX_REGIONS: usize = 100;
/// Interrupt types of a device. QEMU refuses more.
pub const MAX_IRQ_TYPES: usize = 50;
/// Interrupts of one type: what MSI-X can express.
pub const MAX_IRQ_COUNT: u32 = 2048;
/// Mappable areas of one region.
pub const MAX_MMAP_AREAS: usize = 4096;
/// Entries in one REGION_IO_FDS reply.
pub const MAX_IO_FDS: usize = 4096;

/// Bytes of a [`crate::ConfigSpace`]: what PCI has without extended capabilities.
pub const CONFIG_SPACE: usize = 256;

/// Bytes read from a socket at once.
pub const READ_CHUNK: usize = 64 << 10;

/// How long a socket is looked at for the next request of a client that is quick to ask again, before
/// waiting for it. About what it takes to put a thread to sleep and wake it.
pub const LINGER: std::time::Duration = std::time::Duration::from_micros(30);
/// How often in a row that is done before others who are served by the same thread get their turn.
pub const MAX_LINGERED: u32 = 32;
