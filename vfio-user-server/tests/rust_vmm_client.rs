//! rust-vmm's own client as a peer that knows nothing of this server.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::eventfd::{EfdFlags, EventFd};
use vfio_user_server::wire::{Backing, DmaMap, DmaUnmap, SetIrqs};
use vfio_user_server::{
    Answer, Config, Context, Description, Device, Ended, Irq, IrqTable, Mapping, MmapArea,
    Observer, Region, RegionRange, blocking, vfio,
};

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Seen {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

struct Ram {
    description: Arc<Description>,
    ram: Vec<u8>,
    irqs: Arc<Mutex<IrqTable>>,
    seen: Arc<Seen>,
}

impl Device for Ram {
    fn describe(&self) -> Arc<Description> {
        Arc::clone(&self.description)
    }

    fn disconnected(&mut self, why: &Ended) {
        self.seen.note(format!("{why:?}"));
    }

    fn region_read(&mut self, _cx: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        let from = at.offset as usize;
        Answer::ok(self.ram[from..from + at.count as usize].to_vec())
    }

    fn region_write(&mut self, _cx: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()> {
        let from = at.offset as usize;
        self.ram[from..from + data.len()].copy_from_slice(data);
        Answer::ok(())
    }

    fn dma_map(&mut self, _cx: &mut Context<'_>, map: DmaMap) -> Answer<()> {
        assert!(matches!(map.backing, Backing::Mmap(_)));
        self.seen.note(format!(
            "map {:#x}+{:#x} @{:#x}",
            map.address, map.size, map.offset
        ));
        Answer::ok(())
    }

    fn dma_unmap(&mut self, _cx: &mut Context<'_>, unmap: DmaUnmap) -> Answer<()> {
        self.seen.note(format!("{unmap:?}"));
        Answer::ok(())
    }

    fn set_irqs(&mut self, _cx: &mut Context<'_>, irqs: SetIrqs) -> Answer<()> {
        self.irqs.lock().unwrap().apply(irqs).into()
    }

    fn reset(&mut self, _cx: &mut Context<'_>) -> Answer<()> {
        self.seen.note("reset".to_owned());
        Answer::ok(())
    }
}

fn memfd(size: i64) -> std::os::fd::OwnedFd {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let fd = nix::sys::memfd::memfd_create(c"peer", flags).unwrap();
    nix::unistd::ftruncate(&fd, size).unwrap();
    fd
}

#[derive(Clone, Copy)]
enum Transport {
    Blocking,
    #[cfg(feature = "tokio")]
    Tokio,
}

struct Peer {
    client: vfio_user::Client,
    irqs: Arc<Mutex<IrqTable>>,
    seen: Arc<Seen>,
    server: thread::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn connect(transport: Transport) -> Peer {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("device.sock");
    let mapping = Mapping {
        fd: Arc::new(memfd(0x4000)),
        offset: 0,
        areas: vec![MmapArea {
            offset: 0x1000,
            size: 0x1000,
        }],
    };
    let description = Description::pci()
        .region(0, Region::read_write(0x1000))
        .and_then(|it| it.region(2, Region::read_write(0x4000).mapped(mapping)))
        .and_then(|it| {
            it.region(
                vfio::VFIO_PCI_CONFIG_REGION_INDEX,
                Region::read_write(0x100),
            )
        })
        .and_then(|it| it.irq(vfio::VFIO_PCI_MSIX_IRQ_INDEX, Irq::message_signalled(4)))
        .unwrap();
    let (irqs, seen) = (
        Arc::new(Mutex::new(IrqTable::new())),
        Arc::new(Seen::default()),
    );
    let mut device = Ram {
        description: Arc::new(description),
        ram: vec![0; 0x4000],
        irqs: Arc::clone(&irqs),
        seen: Arc::clone(&seen),
    };
    let (ready, listening) = mpsc::channel();
    let at = path.clone();
    let server = thread::spawn(move || {
        let listener = blocking::Listener::bind(&at, 0o600).unwrap();
        ready.send(()).unwrap();
        let (config, observer) = (Config::default(), Observer::new());
        match transport {
            Transport::Blocking => {
                blocking::serve_all(&listener, &mut device, &config, &observer, |_| false).unwrap();
            }
            #[cfg(feature = "tokio")]
            Transport::Tokio => {
                let stream = listener.accept().unwrap();
                stream.set_nonblocking(true).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_io()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
                    vfio_user_server::tokio::serve(stream, &mut device, &config, &observer).await
                });
            }
        }
    });
    listening.recv().unwrap();
    let client = vfio_user::Client::new(&path).unwrap();
    Peer {
        client,
        irqs,
        seen,
        server,
        _dir: dir,
    }
}

fn everything_it_can_do(transport: Transport) {
    let Peer {
        mut client,
        irqs,
        seen,
        server,
        _dir,
    } = connect(transport);

    // Regions were read by Client::new.
    assert_eq!(client.region(0).unwrap().size, 0x1000);
    let mapped = client.region(2).unwrap();
    assert_eq!((mapped.flags, mapped.size), (15, 0x4000));
    assert!(
        mapped.file_offset.is_some(),
        "the fd came with the second reply"
    );
    let areas: Vec<_> = mapped
        .sparse_areas
        .iter()
        .map(|area| (area.offset, area.size))
        .collect();
    assert_eq!(areas, [(0x1000, 0x1000)]);
    assert_eq!(client.region(7).unwrap().size, 0x100);
    // It reads the flag the wrong way round.
    assert!(!client.resettable());

    client.region_write(0, 0x10, b"hello").unwrap();
    let mut data = [0; 5];
    client.region_read(0, 0x10, &mut data).unwrap();
    assert_eq!(&data, b"hello");

    let memory = memfd(0x10000);
    client
        .dma_map(0x4000, 0x10_0000, 0x8000, memory.as_raw_fd())
        .unwrap();
    client.dma_unmap(0x10_0000, 0x8000).unwrap();
    client.reset().unwrap();

    let info = client.get_irq_info(2).unwrap();
    assert_eq!((info.index, info.count, info.flags), (2, 4, 1));
    let vectors: Vec<_> = (0..4)
        .map(|_| EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap())
        .collect();
    let raw: Vec<_> = vectors.iter().map(AsRawFd::as_raw_fd).collect();
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    client.set_irqs(2, flags, 0, 4, &raw).unwrap();
    irqs.lock().unwrap().trigger(2, 3).unwrap();
    assert_eq!(vectors[3].read().unwrap(), 1);
    let flags = vfio::VFIO_IRQ_SET_DATA_NONE | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    client.set_irqs(2, flags, 0, 0, &[]).unwrap();
    assert!(irqs.lock().unwrap().trigger(2, 3).is_err());

    client.shutdown().unwrap();
    server.join().unwrap();
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            "map 0x100000+0x8000 @0x4000",
            "Range { address: 1048576, size: 32768 }",
            "reset",
            "ClientClosed",
        ]
    );
}

#[test]
fn speaks_with_the_blocking_server() {
    everything_it_can_do(Transport::Blocking);
}

#[cfg(feature = "tokio")]
#[test]
fn speaks_with_the_tokio_server() {
    everything_it_can_do(Transport::Tokio);
}
