//! A whole PCI function: 4 KiB of RAM behind BAR 0 that interrupts when its first byte is written.
//!
//! `cargo run -p examples --bin scratchpad -- /tmp/scratchpad.sock`, then give QEMU (10.1 or later)
//! `-device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/tmp/scratchpad.sock"}}'`.

use std::sync::Arc;

use vfio_user_server::blocking::serve_at;
use vfio_user_server::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX as CONFIG, VFIO_PCI_INTX_IRQ_INDEX as INTX,
};
use vfio_user_server::{Answer, ConfigSpace, Context, Description, DescriptionError, Device};
use vfio_user_server::{Irq, IrqTable, Region, RegionRange};

struct Scratchpad {
    description: Arc<Description>,
    config: ConfigSpace,
    ram: [u8; 4096],
    irqs: IrqTable,
}

impl Scratchpad {
    fn new() -> Result<Self, DescriptionError> {
        let description = Description::pci()
            .region(0, Region::registers(4096))?
            .region(CONFIG, Region::read_write(ConfigSpace::SIZE))?
            .irq(INTX, Irq::intx())?;
        let config = ConfigSpace::new(0x1af4, 0x11e5, 0xff_00_00);
        Ok(Self {
            description: Arc::new(description),
            config: config.memory_bar(0, 4096)?.with_intx(),
            ram: [0; 4096],
            irqs: IrqTable::new(),
        })
    }
}

impl Device for Scratchpad {
    fn describe(&self) -> Arc<Description> {
        self.description.clone()
    }

    fn irqs(&mut self) -> Option<&mut IrqTable> {
        Some(&mut self.irqs)
    }

    fn region_read(&mut self, _: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        match at.region {
            CONFIG => self.config.read(at),
            _ => at.read(&self.ram),
        }
    }

    fn region_write(&mut self, _: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()> {
        if at.region == CONFIG {
            return self.config.write(at, data);
        }
        if at.offset == 0 && !self.config.intx_disabled() {
            let _ = self.irqs.trigger(INTX, 0); // nobody connected: nothing to do
        }
        at.write(&mut self.ram, data)
    }

    fn reset(&mut self, _: &mut Context<'_>) -> Answer<()> {
        self.config.reset();
        self.ram.fill(0);
        Answer::ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1);
    let path = path.unwrap_or_else(|| "/tmp/scratchpad.sock".to_owned());
    println!("serving clients at {path}");
    Ok(serve_at(&path, &mut Scratchpad::new()?)?)
}
