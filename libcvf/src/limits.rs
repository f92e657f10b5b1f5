//! Every limit of this crate, named once.

use std::time::Duration;

/// Most queue pairs one CVF may have (virtio 1.3 5.1.5: a driver may ask for up to 0x8000).
pub const MAX_QUEUE_PAIRS: u16 = 64;
/// Most entries a ring may have (virtio 1.3 2.7: a power of two, at most 32768).
pub const MAX_RING_SIZE: u16 = 1024;
/// Most entries a packed ring may have (virtio 1.3 2.8): its events have 15 bits for an offset.
pub const MAX_PACKED_RING_SIZE: u16 = 32_768;
/// Most descriptors an AVF ring may have, and what their number is a multiple of.
pub const MAX_AVF_RING_SIZE: u16 = 4096;
/// See [`MAX_AVF_RING_SIZE`].
pub const AVF_RING_STEP: u16 = 32;
/// What an AVF ring's first descriptor is aligned to, in bytes.
pub const AVF_RING_ALIGN: u64 = 128;
/// Most buffers one frame of an AVF driver may have, large-send frames aside.
pub const MAX_AVF_FRAME_BUFFERS: usize = 8;
/// Fewest bytes of a frame that an AVF driver sends: hardware calls one that sends less malicious.
pub const MIN_AVF_FRAME: u32 = 17;
/// Most bytes of a frame of an AVF driver whose checksum is a CRC.
pub const MAX_AVF_CRC_FRAME: usize = 9728;
/// Fewest bytes of payload in a segment of a large-send frame of an AVF driver.
pub const MIN_AVF_MSS: u16 = 64;
/// Fewest and most bytes of an AVF driver's receive buffers.
pub const MIN_AVF_BUFFER: u32 = 1024;
/// See [`MIN_AVF_BUFFER`].
pub const MAX_AVF_BUFFER: u32 = 16_383 - 127;
/// Most receive buffers one frame for an AVF driver may take.
pub const MAX_AVF_CHAIN: usize = 5;
/// Frames handled in one burst.
pub const BURST: usize = 32;
/// Smallest and largest MTU a device may be given, in bytes.
pub const MIN_MTU: u16 = 68;
/// See [`MIN_MTU`].
pub const MAX_MTU: u16 = 65_521;
/// Largest VLAN id (IEEE 802.1Q: 0 is no VLAN, 4095 is reserved).
pub const MAX_VLAN: u16 = 4094;
/// Most bytes of one frame without its virtio header: a 64 KiB large-send frame, link header and tags.
pub const MAX_FRAME: usize = 65_535 + 14 + 8;
/// Bytes of a frame's start that are copied before anything is decided about it.
pub const HEADER_COPY: usize = 128;
/// Bytes of that which are copied first: they say where an untagged frame goes.
pub const FLOW_COPY: usize = 16;
/// Most unicast and multicast addresses a guest may put into its filter, each.
pub const MAX_FILTER_MACS: usize = 64;
/// Longest control command that is read, in bytes (two full MAC tables fit).
pub const MAX_CONTROL_COMMAND: usize = 4096;
/// Most DMA maps per device (what the vfio-user session offers too).
pub const MAX_DMA_MAPS: usize = 65_535;
/// Mappings of clients' memory files in the whole process.
pub const MAX_FILE_MAPPINGS: usize = 262_144;
/// Mappings of memory files that one device may hold at a time. Each costs the process a descriptor
/// and an address-space area, of which there are few for all devices together.
pub const MAX_DEVICE_FILES: usize = 64;
/// Most bytes of address space that one device's mappings of memory files may take.
pub const MAX_DEVICE_FILE_SPACE: u64 = 8 << 40;
/// Most bytes of address space that the mappings of all devices may take: three quarters of what a
/// 47-bit process has.
pub const MAX_FILE_SPACE: u64 = 96 << 40;
/// Largest memory file that is mapped whole, in bytes; of larger ones only what is asked for.
pub const MAX_WHOLE_FILE_MAP: u64 = 4 << 40;
/// Most bytes of address space that the maps of one device may take.
pub const MAX_MAPPED_BYTES: u64 = 16 << 40;
/// Regions in one node of a region table; a map or unmap copies one node.
pub const REGION_NODE: usize = 256;
/// Most pieces one frame may be scattered over.
pub const MAX_FRAME_PIECES: usize = 1024;
/// Most mergeable buffers one frame may take (64 KiB over the 1,500-byte buffers of a small MTU
/// needs 44).
pub const MAX_MERGED_BUFFERS: usize = 128;
/// Bytes of a large-send frame's start that are copied: all headers must end within.
pub const MAX_SEGMENT_HEADERS: usize = 256;
/// Most regions of a device's memory that its hardware reaches; frames in others are copied.
pub const MAX_REACH: usize = 1024;
/// Receive buffers that hardware should have: with fewer, the driver is asked to tell of new ones.
pub const LENT_LEAST: usize = 32;
/// How long a driver that starts waits for its memory to come within reach of hardware, before frames are copied
/// until it has.
pub const PIN_PATIENCE: Duration = Duration::from_millis(250);
/// Slots that hardware has where frames from outside are copied.
pub const SLOTS_POSTED: usize = 256;
/// Largest MTU on the wire of a function: what is longer is not given to hardware uncut.
pub const MAX_WIRE_MTU: u32 = 9216;
/// Most descriptors of hardware that one frame takes: slots of 2 KiB for the largest, and what is asked for it.
pub const MAX_LANE_PIECES: usize = 34;
/// Most segments one large-send frame may become.
pub const MAX_SEGMENTS: usize = 1024;
/// Most IPv6 extension headers that are walked.
pub const MAX_IPV6_EXTENSIONS: usize = 8;
/// Most tags, and headers of IEEE 802.2, that a neighbour message is looked for behind.
pub const MAX_LINK_HEADERS: usize = 8;
/// Fewest entries a virtio ring is offered with (a device is made with at least this many), and an AVF ring may have.
pub const MIN_RING_SIZE: u16 = 64;
/// Most MSI-X vectors of a function (PCIe base specification 7.7.2.2).
pub const MAX_VECTORS: u16 = 2048;
/// Most ports of a switch: 65,536 devices and the uplinks.
pub const MAX_PORTS: usize = 65_536 + 256;
/// Numbers that name ports. There are more than ports so that a freed number rests before it is
/// used again.
pub const MAX_PORT_IDS: usize = MAX_PORTS + 4096;
/// Sets of six of the table of learned addresses, a power of two.
pub const LEARNED_SETS: usize = 8192;
/// Seconds after which a learned address that was not seen again is forgotten.
pub const LEARNED_AGEING: u32 = 300;
/// Longest sleep of a worker: what was learned is swept at its end. Ages are told apart up to half of 16
/// bits of seconds.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
const _: () = assert!(LONGEST_SLEEP.as_secs() + LEARNED_AGEING as u64 <= i16::MAX as u64);
/// Seconds for which the present owner of a learned address must be quiet before another CVF port
/// may have it.
pub const LEARNED_MOVE_HOLD: u32 = 3;
/// Most addresses learned behind one CVF.
pub const MAX_LEARNED_PER_CVF: u32 = 256;
/// Most addresses learned behind all CVFs together: half of the table.
pub const MAX_LEARNED_BEHIND_CVFS: u32 = 24_576;
/// Most addresses learned behind one uplink: two thirds of the table.
pub const MAX_LEARNED_PER_UPLINK: u32 = 32_768;
/// Most new addresses learned behind a CVF in one second.
pub const MAX_LEARNS_PER_SECOND_CVF: u32 = 256;
/// Most new addresses learned behind an uplink in one second.
pub const MAX_LEARNS_PER_SECOND_UPLINK: u32 = 16_384;
/// Most queue pairs a soft PF may have: 65,536 devices of one pair.
pub const MAX_PF_QUEUE_PAIRS: u32 = 65_536;
/// Longest interface name, in bytes: `IFNAMSIZ` without the final zero.
pub const MAX_INTERFACE_NAME: usize = 15;
/// Characters of a refused text that its refusal repeats.
pub const MAX_SHOWN: usize = 64;
/// Runs of host memory one area of a ring may be scattered over (128 KiB of descriptors in 4 KiB pages
/// need 32).
pub const MAX_RING_RUNS: usize = 64;
/// Pieces, headers included, that one frame may have on its way into a file descriptor.
pub const MAX_WRITE_PIECES: usize = 128;
/// Time a worker has to let go of a queue that is changed or of memory that goes away; then that
/// client is given up.
pub const QUIESCE_DEADLINE: Duration = Duration::from_secs(2);
/// How often a worker looks whether it should give a queue away.
pub const BALANCE_PERIOD: Duration = Duration::from_millis(100);
/// From this share of its time on, in thousandths, a worker has too much to do.
pub const SATURATED: u32 = 950;
/// Most worker threads of one PF.
pub const MAX_WORKERS: u16 = 64;
/// Bytes of a hash key (virtio 1.3 5.1.4.1: at least 40). Linux refuses devices that offer more.
pub const RSS_KEY_SIZE: usize = 40;
/// Entries of an indirection table (virtio 1.3 5.1.4.1: at least 128). Older Linux drivers have room
/// for just as many.
pub const RSS_TABLE: u16 = 128;
/// Longest that a driver may have its interrupts held back, in microseconds.
pub const MAX_COALESCE_USECS: u32 = 100_000;
/// Most frames that one interrupt is held back for, however many a driver asks for: with all of them
/// in [`MAX_MERGED_BUFFERS`], and a burst, ring positions have not wrapped since.
pub const MAX_COALESCE_FRAMES: u32 = 256;
/// Queues whose interrupts one thread holds back at a time; those of others are not held back.
pub const MAX_HELD_QUEUES: usize = 4096;
/// Bytes of the longest frame, without a header in front, that whoever hears a doorbell forwards instead of leaving it to a worker.
pub const MAX_ANSWERED_FRAME: usize = 1536;
/// A transmit queue whose doorbell was not heard for so long is not worth waking its worker for a frame: who hears the next
/// one forwards it. Longer than a frame and its answer take on that way, or two guests that wait for each other would go on
/// by it for ever, a hundred times slower than with a worker that polls.
pub const SILENCE: Duration = Duration::from_micros(500);
/// After this long a queue whose held interrupt is due, but which was in use, is looked at again.
pub const HELD_RETRY: Duration = Duration::from_micros(50);
/// Most networks that a device's neighbour messages may be of.
pub const MAX_POLICY_NETWORKS: usize = 64;
/// Longest that a rate may be exceeded after a pause.
pub const MAX_RATE_BURST: Duration = Duration::from_secs(60);
/// Most who look at the frames of one port at a time.
pub const MAX_TAPS: usize = 4;
/// Bytes of memory for frames that wait for one of them to look; twice as much while they do.
pub const TAP_BYTES: usize = 2 << 20;
/// Most bytes of a frame that they are shown.
pub const MAX_SNAPLEN: usize = 65_535;
/// Longest answer to a control command, in bytes: the statistics that the longest command asks for.
pub const MAX_CONTROL_RESULT: usize = 64 << 10;
/// Most descriptors of an admin queue (`ATQLEN`, ten bits).
pub const MAX_MAILBOX_QUEUE: u16 = 1023;
/// Messages of a mailbox that are carried out before others may have their turn at the device.
pub const MAILBOX_TURN: u16 = 16;
/// Longest message of an AVF driver's mailbox, either way, in bytes.
pub const MAX_MAILBOX_MESSAGE: usize = 4096;
/// Messages that wait for an AVF driver to post buffers; what is more is lost.
pub const MAILBOX_BACKLOG: usize = 16;
/// Most queue pairs of an adaptive virtual function: it has registers for as many.
pub const MAX_AVF_QUEUE_PAIRS: u16 = 16;
/// Longest frame that an adaptive virtual function lets its driver ask for, in bytes.
pub const MAX_AVF_FRAME: u32 = 9728;
/// Fewest bytes that a driver may call its longest frame.
pub const MIN_AVF_LONGEST: u32 = 64;
/// Most VLANs that an AVF driver may filter: all there are but "none" and the reserved one.
pub const MAX_AVF_VLANS: u16 = 4094;
