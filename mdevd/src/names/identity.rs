//! UUIDs and MAC addresses derived from a name.

use libcvf::control::MacAddr;
use uuid::Uuid;

/// Namespace of the UUIDs that stand for a host.
const HOSTS: Uuid = Uuid::from_u128(0x6d64_6576_642d_4873_8f3e_9d5c_2b7a_0001);

/// What tells this host from others on the same network.
///
/// Made from the machine id by a one-way function, as `machine-id(5)` asks: the id itself is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostId(Uuid);

impl HostId {
    /// From the text of `/etc/machine-id`; `None` when it holds no id.
    pub fn from_machine_id(text: &str) -> Option<Self> {
        let id = text.trim();
        let valid = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let blank = id.bytes().all(|b| b == b'0');
        (valid && !blank).then(|| Self(Uuid::new_v5(&HOSTS, id.to_ascii_lowercase().as_bytes())))
    }

    /// From the id of a store, where the host has no machine id.
    pub fn from_store(store: Uuid) -> Self {
        Self(Uuid::new_v5(&HOSTS, store.as_bytes()))
    }

    /// This machine's id, or the store's.
    pub fn of_machine_or(store: Uuid) -> Self {
        ["/etc/machine-id", "/var/lib/dbus/machine-id"]
            .iter()
            .find_map(|path| Self::from_machine_id(&std::fs::read_to_string(path).ok()?))
            .unwrap_or_else(|| Self::from_store(store))
    }
}

/// Makes the identities of devices: the same for the same name, host and store.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    host: HostId,
    store: Uuid,
}

impl Identity {
    /// Identities on `host` in `store`.
    pub const fn new(host: HostId, store: Uuid) -> Self {
        Self { host, store }
    }

    /// UUID (version 5) of a device of this store.
    pub fn uuid(&self, name: &str) -> Uuid {
        Uuid::new_v5(&self.store, name.as_bytes())
    }

    /// A locally administered MAC address for a device of this host that `taken` does not hold.
    ///
    /// Stable for a name as long as nobody else has its address; neighbours are probed in order.
    pub fn mac(&self, name: &str, taken: impl Fn(MacAddr) -> bool) -> MacAddr {
        let hash = Uuid::new_v5(&self.host.0, name.as_bytes());
        let [a, b, c, d, e, ..] = *hash.as_bytes();
        let start = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
        // 2^40 addresses against MAX_DEVICES entries: a free one is found.
        (0..)
            .map(|step| nth_local(start.wrapping_add(step)))
            .find(|&mac| !taken(mac))
            .unwrap_or_else(|| nth_local(start))
    }
}

/// The `n`th address (modulo 2^40) of those beginning with 02.
fn nth_local(n: u64) -> MacAddr {
    let [_, _, _, a, b, c, d, e] = n.to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}
