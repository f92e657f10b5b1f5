//! A device's socket from a client's side, with rust-vmm's vfio-user client as the peer.

mod support;

use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::Value;
use support::{Daemon, House};
use vfio_bindings::bindings::vfio::{VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX};

const CONFIG: u32 = VFIO_PCI_CONFIG_REGION_INDEX;
const MIB: u64 = 1 << 20;

fn connect(socket: &Path) -> vfio_user::Client {
    vfio_user::Client::new(socket).expect("a vfio-user session")
}

fn memory() -> File {
    let fd = memfd_create(c"guest", MFdFlags::MFD_CLOEXEC).expect("a memfd");
    let file = File::from(fd);
    file.set_len(16 * MIB).expect("room");
    file
}

fn create(daemon: &Daemon<'_>, args: &[&str]) -> PathBuf {
    let args: Vec<_> = ["create"].iter().chain(args).copied().collect();
    daemon.json(&args)["socket"]
        .as_str()
        .expect("a path")
        .into()
}

fn identity(client: &mut vfio_user::Client) -> [u8; 4] {
    let mut id = [0; 4];
    client
        .region_read(CONFIG, 0, &mut id)
        .expect("config space");
    id
}

/// Looks until the device is as `expected`; the test's own deadline ends it.
fn until(daemon: &Daemon<'_>, name: &str, expected: impl Fn(&Value) -> bool) -> Value {
    loop {
        let shown = daemon.json(&["show", name]);
        if expected(&shown) {
            return shown;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_client_finds_a_virtio_net_device_and_the_operator_finds_the_client() {
    let house = House::new();
    let daemon = house.start(&[]);
    let socket = create(&daemon, &["vm1", "--queue-pairs", "2"]);
    let mut client = connect(&socket);
    assert_eq!(identity(&mut client), [0xf4, 0x1a, 0x41, 0x10], "1af4:1041");
    let guest = memory();
    client
        .dma_map(0, 0, 16 * MIB, std::os::fd::AsRawFd::as_raw_fd(&guest))
        .expect("mapped");
    let shown = until(&daemon, "vm1", |shown| shown["health"]["maps"] == 1);
    assert_eq!(shown["state"], "connected");
    assert_eq!(shown["health"]["client"]["pid"], std::process::id());
    assert_eq!(shown["health"]["mapped_bytes"], 16 * MIB);
    let text = daemon.cvfctl(&["show", "vm1"]).out;
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );

    let busy = daemon.cvfctl(&["--json", "destroy", "vm1"]);
    assert_eq!(busy.code, 1);
    assert!(
        busy.out.contains("\"busy\"") && busy.out.contains("force"),
        "{busy:?}"
    );
    assert_eq!(
        identity(&mut client),
        [0xf4, 0x1a, 0x41, 0x10],
        "a refusal harms nobody"
    );

    daemon.json(&["destroy", "vm1", "--force"]);
    let mut id = [0; 4];
    assert!(client.region_read(CONFIG, 0, &mut id).is_err(), "cut off");
    assert!(!socket.exists());
}

#[test]
fn a_second_client_is_turned_away_and_counted() {
    let house = House::new();
    let daemon = house.start(&[]);
    let socket = create(&daemon, &["vm1"]);
    let mut first = connect(&socket);
    let mut second = UnixStream::connect(&socket).expect("the kernel takes it");
    let mut byte = [0];
    assert_eq!(second.read(&mut byte).expect("closed in order"), 0);
    assert_eq!(
        identity(&mut first),
        [0xf4, 0x1a, 0x41, 0x10],
        "the first is unharmed"
    );
    let shown = daemon.json(&["show", "vm1"]);
    assert_eq!(shown["health"]["clients_refused"], 1);
    assert_eq!(shown["health"]["clients_served"], 1);
}

#[test]
fn a_device_is_as_new_for_the_next_client() {
    let house = House::new();
    let daemon = house.start(&[]);
    let socket = create(&daemon, &["vm1", "--interrupts", "intx"]);
    for round in 1..=20 {
        let mut client = connect(&socket);
        let mut command = [0; 2];
        client
            .region_read(CONFIG, 4, &mut command)
            .expect("config space");
        assert_eq!(
            command,
            [0, 0],
            "round {round}: no memory decoding, no bus master"
        );
        client
            .region_write(CONFIG, 4, &[6, 0])
            .expect("config space");
        let guest = memory();
        client
            .dma_map(0, 0, 16 * MIB, std::os::fd::AsRawFd::as_raw_fd(&guest))
            .expect("mapped");
        let mut status = [0; 4];
        client
            .region_read(VFIO_PCI_BAR0_REGION_INDEX, 0, &mut status)
            .expect("BAR 0");
        drop(client);
        until(&daemon, "vm1", |shown| {
            shown["state"] == "ready" && shown["health"]["maps"] == 0
        });
    }
    assert_eq!(
        daemon.json(&["show", "vm1"])["health"]["clients_served"],
        20
    );
}

#[test]
fn what_a_client_does_wrong_is_shown() {
    use std::io::Write;
    let house = House::new();
    let daemon = house.start(&[]);
    let socket = create(&daemon, &["vm1"]);
    let other = create(&daemon, &["vm2"]);
    let mut stream = UnixStream::connect(&socket).expect("connect");
    stream.write_all(&[0xff; 4096]).expect("sent");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let shown = until(&daemon, "vm1", |shown| {
        shown["state"] == "ready" && shown["health"]["clients_served"] == 1
    });
    assert!(
        shown["health"]["last_disconnect"]
            .as_str()
            .expect("why")
            .contains("broke the protocol"),
        "{shown}"
    );
    assert!(
        shown["health"]["last_refusal"]["count"].as_u64() >= Some(1),
        "{shown}"
    );
    assert_eq!(identity(&mut connect(&other)), [0xf4, 0x1a, 0x41, 0x10]);
    assert_eq!(identity(&mut connect(&socket)), [0xf4, 0x1a, 0x41, 0x10]);
}

#[test]
fn a_thousand_cycles_leave_nothing() {
    let house = House::new();
    let daemon = house.start(&[]);
    create(&daemon, &["stays"]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = runtime
        .block_on(mdevd::bus::ManagerClient::connect(&house.bus()))
        .expect("connected");
    let mut times = Vec::new();
    let mut cycle = |measured: bool| {
        let start = std::time::Instant::now();
        let made = runtime
            .block_on(client.create("third", mdevd::bus::Options::new()))
            .expect("created");
        let socket = made["socket"].as_str().expect("a path");
        let stream = UnixStream::connect(socket).expect("connectable");
        if measured {
            times.push(start.elapsed());
        }
        drop(stream);
        runtime
            .block_on(client.destroy("third", true))
            .expect("destroyed");
    };
    (0..20).for_each(|_| cycle(false));
    let before = (daemon.descriptors(), daemon.maps());
    (0..1000).for_each(|_| cycle(true));
    let after = (daemon.descriptors(), daemon.maps());
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!(
        "create to connectable: median {:?}, 99% {:?}",
        at(50),
        at(99)
    );
    assert_eq!(after.0, before.0, "descriptors");
    // The allocator may keep a few arenas; a leak would show a thousandfold.
    assert!(
        after.1 < before.1 + 50,
        "maps: {} before, {} after",
        before.1,
        after.1
    );
    assert_eq!(
        std::fs::read_dir(house.runtime().join("cvf"))
            .expect("a directory")
            .count(),
        1
    );
    assert_eq!(daemon.json(&["pf", "show", "soft0"])["devices"], 1);
}

#[test]
fn many_devices_cost_no_thread_each() {
    let house = House::new();
    let daemon = house.start(&["--pf", "soft:soft0,queue-pairs=1000"]);
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", daemon.pid()))
            .expect("a process")
            .count()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = runtime
        .block_on(mdevd::bus::ManagerClient::connect(&house.bus()))
        .expect("connected");
    let make = |n: usize| {
        let made = runtime.block_on(client.create(&format!("d{n}"), mdevd::bus::Options::new()));
        PathBuf::from(made.expect("created")["socket"].as_str().expect("a path"))
    };
    let first = make(0);
    let before = threads();
    let sockets: Vec<_> = (1..500).map(make).collect();
    let clients: Vec<_> = sockets
        .iter()
        .step_by(10)
        .map(|socket| connect(socket))
        .collect();
    assert!(
        threads() <= before + 40,
        "{before} threads became {}",
        threads()
    );
    assert_eq!(identity(&mut connect(&first)), [0xf4, 0x1a, 0x41, 0x10]);
    drop(clients);
}

/// Connects as another user, and says what came of it.
fn connect_as(uid: u32, socket: &Path) -> String {
    // In Debian's base, and unlike this test's program where everybody may run it.
    let program = "use IO::Socket::UNIX; \
                   print IO::Socket::UNIX->new(Peer => $ARGV[0]) ? 'connected' : $!";
    let output = std::process::Command::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={uid}")])
        .args(["--clear-groups", "perl", "-e", program])
        .arg(socket)
        .output()
        .expect("setpriv runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn another_users_socket_cannot_be_connected_to() {
    if !nix::unistd::geteuid().is_root() {
        support::tools::cannot("becoming another user needs root");
        return;
    }
    let house = House::new();
    house.let_all_in();
    let daemon = house.start(&[]);
    let [one, other] = ["61001", "61002"].map(|uid| {
        create(
            &daemon,
            &[
                &format!("of-{uid}"),
                "--socket-owner",
                uid,
                "--socket-group",
                uid,
            ],
        )
    });
    assert_eq!(connect_as(61_001, &one), "connected");
    assert_eq!(connect_as(61_001, &other), "Permission denied");
    assert_eq!(connect_as(61_002, &one), "Permission denied");
    assert_eq!(connect_as(61_002, &other), "connected");
    assert_eq!(connect_as(65_534, &one), "Permission denied");
    let control = house.runtime().join("mdevd.sock");
    assert_eq!(connect_as(61_001, &control), "Permission denied");
}

/// The mailbox of an adaptive virtual function, with a message in each buffer and one descriptor after the other.
struct Mailbox {
    client: vfio_user::Client,
    ram: File,
    sent: u16,
}

impl Mailbox {
    const SEND: u64 = 0x1000;
    const RECEIVE: u64 = 0x2000;
    const POSTED: u64 = 0x1_0000;
    const BUFFER: u64 = 0x8_0000;
    const ENTRIES: u16 = 32;

    fn new(socket: &Path) -> Self {
        use std::os::unix::fs::FileExt;
        let (mut client, ram) = (connect(socket), memory());
        client
            .dma_map(0, 0, 16 * MIB, std::os::fd::AsRawFd::as_raw_fd(&ram))
            .expect("mapped");
        for slot in 0..u64::from(Self::ENTRIES) {
            let mut descriptor = [0; 32];
            (descriptor[1], descriptor[5]) = (0x12, 0x10);
            let buffer = (Self::POSTED + 0x1000 * slot) as u32;
            descriptor[28..].copy_from_slice(&buffer.to_le_bytes());
            ram.write_all_at(&descriptor, Self::RECEIVE + 32 * slot)
                .expect("ram");
        }
        let mut mailbox = Self {
            client,
            ram,
            sent: 0,
        };
        for (low, length, base) in [
            (0x7c00, 0x6800, Self::SEND),
            (0x6c00, 0x8000, Self::RECEIVE),
        ] {
            mailbox.write(length, u32::from(Self::ENTRIES) | 1 << 31);
            mailbox.write(low, base as u32);
        }
        mailbox.write(0x7000, u32::from(Self::ENTRIES) - 1);
        mailbox
    }

    fn write(&mut self, at: u64, value: u32) {
        self.client
            .region_write(VFIO_PCI_BAR0_REGION_INDEX, at, &value.to_le_bytes())
            .expect("a register");
    }

    fn head(&mut self) -> u64 {
        let mut head = [0; 4];
        self.client
            .region_read(VFIO_PCI_BAR0_REGION_INDEX, 0x7400, &mut head)
            .expect("a register");
        u32::from_le_bytes(head).into()
    }

    /// Sends a message; the status of its answer.
    fn ask(&mut self, operation: u32, bytes: &[u8]) -> i32 {
        use std::os::unix::fs::FileExt;
        let before = self.head();
        self.ram.write_all_at(bytes, Self::BUFFER).expect("ram");
        let mut descriptor = [0, 0x34, 0x01, 0x08, bytes.len() as u8].to_vec();
        descriptor.resize(8, 0);
        descriptor.extend(operation.to_le_bytes());
        descriptor.resize(28, 0);
        descriptor.extend((Self::BUFFER as u32).to_le_bytes());
        let at = Self::SEND + 32 * u64::from(self.sent);
        self.ram.write_all_at(&descriptor, at).expect("ram");
        self.sent += 1;
        self.write(0x8400, self.sent.into());
        for slot in before..self.head() {
            let mut answer = [0; 32];
            self.ram
                .read_exact_at(&mut answer, Self::RECEIVE + 32 * slot)
                .expect("ram");
            let word = |at: usize| u32::from_le_bytes(answer[at..at + 4].try_into().expect("4"));
            if word(8) == operation {
                return word(12) as i32;
            }
        }
        panic!("operation {operation} was not answered");
    }
}

#[test]
fn an_adaptive_function_has_as_many_addresses_and_vlans_as_its_profile_lets_be() {
    let house = House::new();
    std::fs::create_dir_all(house.profiles()).expect("made");
    let text = "[control]\nunicast-filter = \"any-unicast\"\nmax-unicast = 3\n\
                vlan-join = \"any\"\nmax-vlans = 2\n";
    std::fs::write(house.profiles().join("few.toml"), text).expect("written");
    let daemon = house.start(&[]);
    let args = [
        "vm1",
        "--personality",
        "avf",
        "--profile",
        "few",
        "--mac",
        "52:54:00:00:00:07",
    ];
    let socket = create(&daemon, &args);
    let mut driver = Mailbox::new(&socket);
    assert_eq!(driver.ask(1, &[1, 0, 0, 0, 1, 0, 0, 0]), 0, "VERSION");
    assert_eq!(driver.ask(3, &[0xff; 4]), 0, "GET_VF_RESOURCES");
    let add = |last: u8| [1, 0, 1, 0, 0x52, 0x54, 0, 0, 0, last, 2, 0];
    for (last, status) in [(7, 0), (8, 0), (9, 0), (10, 0), (11, -5), (10, 0)] {
        assert_eq!(driver.ask(10, &add(last)), status, "ADD_ETH_ADDR {last}");
    }
    // CONFIG_PROMISCUOUS_MODE.
    assert_eq!(driver.ask(14, &[1, 0, 1, 0]), -5);
    let join = |vid: u8| {
        let mut list = vec![1, 0, 1, 0, 0, 0, 0, 0, vid, 0, 0, 0, 0, 0x81];
        list.resize(8 + 32, 0);
        list
    };
    for (vid, status) in [(0, 0), (5, 0), (6, 0), (7, -5), (6, 0)] {
        assert_eq!(driver.ask(52, &join(vid)), status, "ADD_VLAN_V2 {vid}");
    }
    let told = daemon.cvfctl(&["policy", "explain", "-", "vlan=7", "--device", "vm1"]);
    for part in ["VLANs joined 2", "rule vlan-count of profile 'few'"] {
        assert!(told.out.contains(part), "{told:?}");
    }
    let again = daemon.cvfctl(&["policy", "explain", "-", "vlan=6", "--device", "vm1"]);
    assert!(again.out.contains("VLANs joined 1"), "{again:?}");
    assert!(!again.out.contains("rule vlan-count"), "{again:?}");
    let shown = daemon.json(&["show", "vm1"]).to_string();
    assert!(shown.contains("control.max-vlans"), "{shown}");
    // Fewer, and the highest goes.
    std::fs::write(
        house.profiles().join("few.toml"),
        text.replace("max-vlans = 2", "max-vlans = 1"),
    )
    .expect("written");
    let reloaded = daemon.json(&["policy", "reload"]).to_string();
    assert!(reloaded.contains("VLAN 6"), "{reloaded}");
}
