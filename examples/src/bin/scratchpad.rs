//! A whole PCI function: 4 KiB of RAM behind BAR 0 that interrupts when its first byte is written.
//!
//! `cargo run -p examples --bin scratchpad -- /tmp/scratchpad.sock`, then give QEMU (10.1 or later)
//! `-device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/scratchpad.sock"}}'`.

use std::sync::Arc;

use vfio_user_server::blocking::{Listener, serve_all};
use vfio_user_server::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX as CONFIG, VFIO_PCI_INTX_IRQ_INDEX as INTX,
};
use vfio_user_server::wire::{DmaMap, DmaUnmap, SetIrqs};
use vfio_user_server::{
    Answer, Config, Context, Description, Device, Ended, Errno, Irq, IrqTable, Observer, Region,
    RegionRange,
};

struct Scratchpad {
    config: Vec<u8>,
    ram: Vec<u8>,
    irqs: IrqTable,
}

impl Scratchpad {
    fn new() -> Self {
        let mut config = vec![0; 256];
        config[0..4].copy_from_slice(&[0xf4, 0x1a, 0xe5, 0x11]); // vendor 1af4, device 11e5
        config[0x0b] = 0xff; // class: none of the defined ones
        config[0x3d] = 1; // interrupt pin INTA
        Self {
            config,
            ram: vec![0; 4096],
            irqs: IrqTable::new(),
        }
    }

    fn bytes(&mut self, region: u32) -> &mut Vec<u8> {
        if region == CONFIG {
            &mut self.config
        } else {
            &mut self.ram
        }
    }
}

impl Device for Scratchpad {
    fn describe(&self) -> Arc<Description> {
        let ram = Region {
            registers_only: true,
            ..Region::read_write(4096)
        };
        let function = Description::pci()
            .region(0, ram)
            .and_then(|it| it.region(CONFIG, Region::read_write(256)))
            .and_then(|it| it.irq(INTX, Irq::intx()));
        Arc::new(function.expect("indices and sizes are constants within the limits"))
    }

    fn region_read(&mut self, _: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        let from = at.offset as usize;
        let bytes = self.bytes(at.region).get(from..from + at.count as usize);
        Answer::now(bytes.map(<[u8]>::to_vec).ok_or(Errno::EINVAL))
    }

    fn region_write(&mut self, _: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()> {
        for (address, &byte) in (at.offset as usize..).zip(data) {
            match (at.region, address) {
                (CONFIG, 0x04 | 0x05 | 0x3c) => self.config[address] = byte, // command, line
                (CONFIG, 0x11..=0x13) => {
                    self.config[address] = byte & if address == 0x11 { 0xf0 } else { 0xff }
                }
                (CONFIG, _) => {} // everything else in config space is read-only
                _ => self.ram[address] = byte,
            }
        }
        if at.region == 0 && at.offset == 0 {
            let _ = self.irqs.trigger(INTX, 0); // nobody connected: nothing to do
        }
        Answer::ok(())
    }

    fn set_irqs(&mut self, _: &mut Context<'_>, irqs: SetIrqs) -> Answer<()> {
        self.irqs.apply(irqs).into()
    }

    fn reset(&mut self, _: &mut Context<'_>) -> Answer<()> {
        (self.config, self.ram) = (Self::new().config, vec![0; 4096]);
        Answer::ok(())
    }

    // It reaches no guest memory, so it lets go of each map at once.
    fn dma_map(&mut self, _: &mut Context<'_>, _: DmaMap) -> Answer<()> {
        Answer::ok(())
    }

    fn dma_unmap(&mut self, _: &mut Context<'_>, _: DmaUnmap) -> Answer<()> {
        Answer::ok(())
    }

    fn disconnected(&mut self, why: &Ended) {
        println!("{why}");
        self.irqs.clear();
    }
}

fn main() -> std::io::Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "/tmp/scratchpad.sock".to_owned());
    let listener = Listener::bind(&path, 0o600)?;
    println!("waiting for clients at {path}");
    serve_all(
        &listener,
        &mut Scratchpad::new(),
        &Config::default(),
        &Observer::new(),
        |_| true,
    )
}
