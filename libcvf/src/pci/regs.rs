//! Registers as tables, and the one place where accesses of any width meet whole registers.

/// What reads and writes whole registers.
///
/// `get` must have no side effect for any register that can be written partially: a partial write
/// is widened with the bytes `get` returns.
pub trait Registers<R> {
    /// The register's current value, in its low bytes.
    fn get(&mut self, reg: R) -> u64;
    /// Writes the whole register.
    fn set(&mut self, reg: R, value: u64);
}

/// Consecutive little-endian registers as `(register, offset, width in bytes)`.
#[derive(Debug)]
pub struct RegTable<R, const N: usize> {
    rows: [(R, u16, u8); N],
    size: u16,
}

impl<R: Copy, const N: usize> RegTable<R, N> {
    /// A table of `size` bytes.
    ///
    /// # Panics
    /// When rows do not follow each other without hole or overlap, a width is not 1, 2, 4 or 8, or
    /// the widths do not sum up to `size`. In a `const` this fails the build.
    pub const fn new(size: u16, rows: [(R, u16, u8); N]) -> Self {
        let mut at = 0;
        let mut i = 0;
        while i < N {
            let (_, offset, width) = rows[i];
            assert!(
                offset == at,
                "a register is not where the previous one ends"
            );
            assert!(
                matches!(width, 1 | 2 | 4 | 8),
                "a register is 1, 2, 4 or 8 bytes wide"
            );
            at += width as u16;
            i += 1;
        }
        assert!(at == size, "the widths do not sum up to the table's size");
        Self { rows, size }
    }

    /// Size in bytes.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// The rows in order.
    pub const fn rows(&self) -> &[(R, u16, u8); N] {
        &self.rows
    }

    /// Rows that `len` bytes at `offset` touch: register, width, range within the register, start
    /// within the access.
    fn touched(&self, offset: usize, len: usize) -> impl Iterator<Item = Piece<R>> + '_ {
        let end = offset.saturating_add(len);
        self.rows.iter().filter_map(move |&(reg, at, width)| {
            let (at, width) = (usize::from(at), usize::from(width));
            let from = offset.max(at);
            let to = end.min(at + width);
            (from < to).then(|| Piece {
                reg,
                width,
                from: from - at,
                to: to - at,
                start: from - offset,
            })
        })
    }

    /// Reads any number of bytes at any offset; what lies past the table reads as zero.
    pub fn read(&self, offset: usize, data: &mut [u8], regs: &mut impl Registers<R>) {
        data.fill(0);
        for piece in self.touched(offset, data.len()) {
            let value = regs.get(piece.reg).to_le_bytes();
            let n = piece.to - piece.from;
            data[piece.start..piece.start + n].copy_from_slice(&value[piece.from..piece.to]);
        }
    }

    /// Writes any number of bytes at any offset, register by register in ascending order; what
    /// lies past the table is ignored.
    pub fn write(&self, offset: usize, data: &[u8], regs: &mut impl Registers<R>) {
        for piece in self.touched(offset, data.len()) {
            let n = piece.to - piece.from;
            let mut value = if n == piece.width {
                [0; 8]
            } else {
                regs.get(piece.reg).to_le_bytes()
            };
            value[piece.from..piece.to].copy_from_slice(&data[piece.start..piece.start + n]);
            regs.set(piece.reg, u64::from_le_bytes(value));
        }
    }
}

struct Piece<R> {
    reg: R,
    width: usize,
    from: usize,
    to: usize,
    start: usize,
}

#[cfg(test)]
mod tests;
