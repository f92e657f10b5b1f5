//! The scratchpad as a client sees it, twice: a second client finds what the first one left.

use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_user_server::vfio;

const CONFIG: u32 = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
const INTX: u32 = vfio::VFIO_PCI_INTX_IRQ_INDEX;

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read<const N: usize>(client: &mut vfio_user::Client, region: u32, offset: u64) -> [u8; N] {
    let mut data = [0; N];
    client
        .region_read(region, offset, &mut data)
        .expect("readable");
    data
}

/// Writes the first byte and says how many interrupts came of it.
fn poke(client: &mut vfio_user::Client, event: &EventFd) -> u64 {
    client.region_write(0, 0, &[7]).expect("writable");
    event.read().unwrap_or(0)
}

#[test]
fn config_space_ram_and_interrupt() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scratchpad.sock");
    let mut child = Command::new(env!("CARGO_BIN_EXE_scratchpad"))
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut says = BufReader::new(child.stdout.take().expect("a pipe"));
    let _served = Served(child);
    let mut line = String::new();
    says.read_line(&mut line).expect("a line");
    assert!(line.contains("scratchpad.sock"), "{line}");
    // The line is printed before the socket listens.
    let mut client = loop {
        match vfio_user::Client::new(&path) {
            Ok(client) => break client,
            Err(_) => std::thread::yield_now(),
        }
    };

    assert_eq!(read(&mut client, CONFIG, 0), [0xf4, 0x1a, 0xe5, 0x11]);
    client
        .region_write(CONFIG, 0x10, &[0xff; 4])
        .expect("writable");
    assert_eq!(read(&mut client, CONFIG, 0x10), [0, 0xf0, 0xff, 0xff]);
    client.region_write(0, 4092, b"rust").expect("writable");
    assert_eq!(&read::<4>(&mut client, 0, 4092), b"rust");

    let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an eventfd");
    assert_eq!(poke(&mut client, &event), 0, "nothing is connected");
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    client
        .set_irqs(INTX, flags, 0, 1, &[event.as_raw_fd()])
        .expect("connected");
    assert_eq!(poke(&mut client, &event), 1);
    client
        .region_write(CONFIG, 4, &0x0400u16.to_le_bytes())
        .expect("writable");
    assert_eq!(poke(&mut client, &event), 0, "interrupts are disabled");
    client.shutdown().expect("closed");
    drop(client);

    let mut client = vfio_user::Client::new(&path).expect("the next client");
    assert_eq!(&read::<4>(&mut client, 0, 4092), b"rust");
    client.reset().expect("reset");
    assert_eq!(read(&mut client, 0, 4092), [0; 4]);
    assert_eq!(read(&mut client, CONFIG, 4), [0; 2]);
    assert_eq!(poke(&mut client, &event), 0, "it was the first client's");
}
