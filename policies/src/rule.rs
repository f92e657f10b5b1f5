//! Names of the rules, as refusals carry them. They are stable: programs and operators search for them.

/// A device's own address is unicast and not zero.
pub const MAC_VALID: &str = "mac-valid";
/// Filter lists hold addresses of their kind.
pub const FILTER_VALID: &str = "filter-valid";
/// Filter lists are bounded.
pub const FILTER_SIZE: &str = "filter-size";
/// VLAN ids are 1 to 4094; 0, the priority tag, is no VLAN and may be named.
pub const VLAN_ID: &str = "vlan-id";
/// A device with an access VLAN joins no other.
pub const VLAN_ACCESS: &str = "vlan-access";
/// A device with a trunk joins VLANs of it only.
pub const VLAN_TRUNK: &str = "vlan-trunk";
/// Queue pairs come from the device's slice.
pub const QUEUE_PAIRS: &str = "queue-pairs";
/// Receive-side scaling names queues of the device's slice.
pub const RSS_QUEUES: &str = "rss-queues";
/// Indirection tables are bounded.
pub const RSS_TABLE_SIZE: &str = "rss-table-size";
/// Interrupts are not held back for ever.
pub const COALESCE_TIME: &str = "coalesce-time";

/// Which addresses may become the device's own.
pub const MAC_CHANGE: &str = "mac-change";
/// Which unicast addresses a filter may hold beside the device's own.
pub const UNICAST_FILTER: &str = "unicast-filter";
/// How many of them.
pub const UNICAST_COUNT: &str = "unicast-count";
/// How many groups a filter may hold.
pub const MULTICAST_COUNT: &str = "multicast-count";
/// Who may receive every frame.
pub const PROMISCUOUS: &str = "promiscuous";
/// Who may receive every unicast frame that nobody is known to own.
pub const ALL_UNICAST: &str = "all-unicast";
/// Who may receive every multicast frame.
pub const ALL_MULTICAST: &str = "all-multicast";
/// Which VLANs may be joined.
pub const VLAN_JOIN: &str = "vlan-join";
/// How many of them.
pub const VLAN_COUNT: &str = "vlan-count";
/// Who may stop filtering VLANs.
pub const VLAN_FILTER: &str = "vlan-filter";
/// Whether more than the first queue pair may be used.
pub const QUEUE_COUNT: &str = "queue-count";
/// How many queue pairs may be used.
pub const QUEUE_LIMIT: &str = "queue-limit";
/// Whether a hash may choose the receive queue.
pub const RSS: &str = "rss";
/// How long the table behind that hash may be.
pub const RSS_TABLE: &str = "rss-table";
/// Whether hashes may be reported.
pub const HASH_REPORT: &str = "hash-report";
/// Whether interrupts may be held back.
pub const COALESCING: &str = "coalescing";
/// For how long.
pub const COALESCING_TIME: &str = "coalescing-time";
/// Whether receive offloads may be chosen by command.
pub const RECEIVE_OFFLOADS: &str = "receive-offloads";

/// Every rule that holds for all devices, in the order in which they are asked.
pub const BUILT_IN: [&str; 10] = [
    MAC_VALID,
    FILTER_SIZE,
    FILTER_VALID,
    VLAN_ID,
    VLAN_ACCESS,
    VLAN_TRUNK,
    QUEUE_PAIRS,
    RSS_TABLE_SIZE,
    RSS_QUEUES,
    COALESCE_TIME,
];

/// Every rule that a profile sets, in the order in which they are asked, after those built in.
pub const OF_PROFILE: [&str; 18] = [
    MAC_CHANGE,
    UNICAST_FILTER,
    UNICAST_COUNT,
    MULTICAST_COUNT,
    PROMISCUOUS,
    ALL_UNICAST,
    ALL_MULTICAST,
    VLAN_JOIN,
    VLAN_COUNT,
    VLAN_FILTER,
    QUEUE_COUNT,
    QUEUE_LIMIT,
    RSS,
    RSS_TABLE,
    HASH_REPORT,
    COALESCING,
    COALESCING_TIME,
    RECEIVE_OFFLOADS,
];
