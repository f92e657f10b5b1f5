//! Puts header, BARs and capabilities together, refusing what a real function could not be.

use super::bar::{BarKind, BarSpec};
use super::capability::{Capability, PlacedCapability, cap_id};
use super::config::{ConfigSpace, DESCRIBED};
use super::header::{HEADER, HeaderSpec, Identity, InterruptPin};

/// First byte of the capability area.
const CAPABILITIES: usize = 0x40;
/// First byte past the capability area.
const CAPABILITIES_END: usize = DESCRIBED;

/// Why the tables do not make a function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Size not a power of two, too small, too large for its kind.
    #[error(
        "BAR{0} cannot be {1:#x} bytes: take a power of two of at least 16 that its kind can address"
    )]
    BarSize(u8, u64),
    /// Register index past the last or already taken.
    #[error("BAR{0} does not fit: its registers are taken or do not exist")]
    BarIndex(u8),
    /// A capability does not fit where it was put.
    #[error(
        "capability {id:#04x} of {len} bytes at {offset:#x} overlaps another or leaves 0x40..0x100"
    )]
    CapabilityPlace {
        /// Capability id.
        id: u8,
        /// Where it was to be.
        offset: usize,
        /// Its length.
        len: usize,
    },
    /// A capability that may exist once was given twice.
    #[error("capability {0:#04x} may exist only once")]
    CapabilityTwice(u8),
    /// MSI-X structures that do not lie within a BAR, overlap or are misaligned.
    #[error("MSI-X table or pending bits do not fit their BAR: {0}")]
    Msix(&'static str),
}

/// Builds a [`ConfigSpace`].
#[derive(Debug)]
pub struct ConfigBuilder {
    identity: Identity,
    pin: InterruptPin,
    bars: Vec<BarSpec>,
    capabilities: Vec<(Option<usize>, Capability)>,
}

impl ConfigBuilder {
    /// A type 0 function without BARs, capabilities or interrupt pin.
    pub fn new(identity: Identity) -> Self {
        let (bars, capabilities) = (Vec::new(), Vec::new());
        Self {
            identity,
            pin: InterruptPin::None,
            bars,
            capabilities,
        }
    }

    /// Gives it a legacy interrupt.
    #[must_use]
    pub fn interrupt_pin(mut self, pin: InterruptPin) -> Self {
        self.pin = pin;
        self
    }

    /// Adds a BAR.
    #[must_use]
    pub fn bar(mut self, bar: BarSpec) -> Self {
        self.bars.push(bar);
        self
    }

    /// Adds a capability behind the previous one.
    #[must_use]
    pub fn capability(mut self, capability: Capability) -> Self {
        self.capabilities.push((None, capability));
        self
    }

    /// Adds a capability at a fixed offset.
    #[must_use]
    pub fn capability_at(mut self, offset: u8, capability: Capability) -> Self {
        self.capabilities.push((Some(offset.into()), capability));
        self
    }

    /// Checks everything and builds.
    ///
    /// # Errors
    /// The first thing a real function could not be.
    pub fn build(self) -> Result<ConfigSpace, BuildError> {
        check_bars(&self.bars)?;
        let placed = self.place()?;
        self.check_msix()?;

        let mut space = ConfigSpace::zeroed(self.bars.clone(), placed.clone());
        let header = HeaderSpec {
            identity: self.identity,
            pin: self.pin,
            bars: &self.bars,
            first_capability: placed.first().map_or(0, |cap| cap.offset),
        };
        for &(reg, offset, width) in HEADER.rows() {
            let (at, n) = (usize::from(offset), usize::from(width));
            let field = header.field(reg);
            space.init[at..at + n].copy_from_slice(&field.value.to_le_bytes()[..n]);
            space.writable[at..at + n].copy_from_slice(&field.writable.to_le_bytes()[..n]);
            space.write_1_to_clear[at..at + n]
                .copy_from_slice(&field.write_1_to_clear.to_le_bytes()[..n]);
        }
        for (i, (_, cap)) in self.capabilities.iter().enumerate() {
            let at = usize::from(placed[i].offset);
            let end = at + cap.bytes.len();
            space.init[at..end].copy_from_slice(&cap.bytes);
            space.writable[at..end].copy_from_slice(&cap.writable);
            space.write_1_to_clear[at..end].copy_from_slice(&cap.write_1_to_clear);
            space.init[at + 1] = placed.get(i + 1).map_or(0, |next| next.offset);
        }
        space.reset();
        Ok(space)
    }

    fn place(&self) -> Result<Vec<PlacedCapability>, BuildError> {
        let mut placed: Vec<PlacedCapability> = Vec::new();
        let mut next = CAPABILITIES;
        for (wanted, cap) in &self.capabilities {
            let (id, len) = (cap.id, cap.bytes.len());
            let offset = wanted.unwrap_or(next);
            let refused = BuildError::CapabilityPlace { id, offset, len };
            let end = offset + len;
            let aligned = offset.is_multiple_of(4);
            if !aligned || offset < CAPABILITIES || end > CAPABILITIES_END {
                return Err(refused);
            }
            for other in &placed {
                let start = usize::from(other.offset);
                if offset < start + usize::from(other.len) && start < end {
                    return Err(refused);
                }
                if other.id == id && id != cap_id::VENDOR {
                    return Err(BuildError::CapabilityTwice(id));
                }
            }
            next = end.next_multiple_of(4);
            placed.push(PlacedCapability {
                id,
                offset: offset as u8,
                len: len as u8,
            });
        }
        Ok(placed)
    }

    fn check_msix(&self) -> Result<(), BuildError> {
        let Some((_, cap)) = self
            .capabilities
            .iter()
            .find(|(_, cap)| cap.id == cap_id::MSIX)
        else {
            return Ok(());
        };
        let word = |at: usize| {
            let bytes = &cap.bytes[at..at + 4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let last = u16::from_le_bytes([cap.bytes[2], cap.bytes[3]]);
        if last > 0x7ff {
            return Err(BuildError::Msix("vectors must be 1 to 2048"));
        }
        let vectors = u64::from(last) + 1;
        let place = |word: u32, len: u64| {
            let (bar, start) = ((word & 7) as u8, u64::from(word & !7));
            let size = self
                .bars
                .iter()
                .find(|b| b.index == bar)
                .map_or(0, |b| b.size);
            (bar, start, start + len, start + len <= size)
        };
        let table = place(word(4), vectors * 16);
        let pba = place(word(8), vectors.div_ceil(64) * 8);
        if !table.3 || !pba.3 {
            return Err(BuildError::Msix("it reaches past the end of its BAR"));
        }
        if table.0 == pba.0 && table.1 < pba.2 && pba.1 < table.2 {
            return Err(BuildError::Msix("table and pending bits overlap"));
        }
        Ok(())
    }
}

fn check_bars(bars: &[BarSpec]) -> Result<(), BuildError> {
    let mut taken = [false; 6];
    for bar in bars {
        let fits = match bar.kind {
            BarKind::Mem32 { .. } => bar.size <= 1 << 31,
            BarKind::Mem64 { .. } => true,
        };
        if !bar.size.is_power_of_two() || bar.size < 16 || !fits {
            return Err(BuildError::BarSize(bar.index, bar.size));
        }
        for register in 0..usize::from(bar.kind.registers()) {
            match taken.get_mut(usize::from(bar.index) + register) {
                Some(slot) if !*slot => *slot = true,
                _ => return Err(BuildError::BarIndex(bar.index)),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
