//! Where the registers are: 32 bits each, in [`TABLE`]; the rest reads as zero and ignores writes.
//!
//! `VFQF_HENA`, `VFQF_HKEY` and `VFQF_HLUT` are among the rest: they count only for drivers that were granted
//! `VIRTCHNL_VF_OFFLOAD_RSS_REG`, and none is.

use std::ops::Range;

use crate::limits::MAX_AVF_QUEUE_PAIRS;
use crate::ring::MailboxSide;

/// A register of an admin queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminRegister {
    /// Low half of the ring's address.
    Bal,
    /// High half.
    Bah,
    /// Descriptors, and whether the queue is enabled.
    Len,
    /// The device's position.
    Head,
    /// The driver's position.
    Tail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// `QTX_TAIL1` of a pair.
    QtxTail(u16),
    /// `QRX_TAIL1` of a pair.
    QrxTail(u16),
    /// `VFINT_ITRN1` of an index (0 to 2) and a queue vector.
    VfintItrn { index: u8, nth: u16 },
    /// `VFINT_DYN_CTLN1` of a queue vector: the first is the function's second.
    VfintDynCtln(u16),
    /// `VFINT_DYN_CTL01`.
    VfintDynCtl0,
    /// `VFINT_ICR01`.
    VfintIcr0,
    /// `VFINT_ICR0_ENA1`.
    VfintIcr0Ena,
    /// `VFGEN_RSTAT`.
    VfgenRstat,
    /// `VF_ATQ*1` and `VF_ARQ*1`.
    Admin(MailboxSide, AdminRegister),
}

/// Bytes of a register.
const WIDTH: usize = 4;
/// Registers of an array of them, one for each queue or queue vector.
const EACH: u16 = MAX_AVF_QUEUE_PAIRS;

/// First offset, how many follow each other, and which one the nth is.
struct Row(u32, u16, fn(u16) -> Register);

const fn one(offset: u32, register: fn(u16) -> Register) -> Row {
    Row(offset, 1, register)
}

const QTX_TAIL: u32 = 0x0000;
const QRX_TAIL: u32 = 0x2000;
const VFINT_ITRN: u32 = 0x2800;

/// Those that are used most come first.
const TABLE: [Row; 18] = [
    Row(QTX_TAIL, EACH, Register::QtxTail),
    Row(QRX_TAIL, EACH, Register::QrxTail),
    Row(0x3800, EACH, Register::VfintDynCtln),
    Row(VFINT_ITRN, 3 * EACH, |nth| Register::VfintItrn {
        index: (nth / EACH) as u8,
        nth: nth % EACH,
    }),
    one(0x4800, |_| Register::VfintIcr0),
    one(0x5000, |_| Register::VfintIcr0Ena),
    one(0x5c00, |_| Register::VfintDynCtl0),
    one(0x6000, |_| receive(AdminRegister::Bah)),
    one(0x6400, |_| send(AdminRegister::Head)),
    one(0x6800, |_| send(AdminRegister::Len)),
    one(0x6c00, |_| receive(AdminRegister::Bal)),
    one(0x7000, |_| receive(AdminRegister::Tail)),
    one(0x7400, |_| receive(AdminRegister::Head)),
    one(0x7800, |_| send(AdminRegister::Bah)),
    one(0x7c00, |_| send(AdminRegister::Bal)),
    one(0x8000, |_| receive(AdminRegister::Len)),
    one(0x8400, |_| send(AdminRegister::Tail)),
    one(0x8800, |_| Register::VfgenRstat),
];

const fn send(register: AdminRegister) -> Register {
    Register::Admin(MailboxSide::Send, register)
}

const fn receive(register: AdminRegister) -> Register {
    Register::Admin(MailboxSide::Receive, register)
}

/// Pages that a client may map: tail registers are in them, and of others `VFINT_ITRN1` only.
pub(super) const PAGES: [u64; 2] = [QTX_TAIL as u64, QRX_TAIL as u64];
/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// Offset of a queue's tail register; receive and transmit queues alternate.
pub(super) const fn tail_of(queue: u16) -> usize {
    let first = if queue.is_multiple_of(2) {
        QRX_TAIL
    } else {
        QTX_TAIL
    };
    first as usize + queue as usize / 2 * WIDTH
}

/// Offset of `VFINT_ITRN1` of an index and a queue vector.
pub(super) const fn itr_of(index: usize, nth: u16) -> usize {
    VFINT_ITRN as usize + (index * EACH as usize + nth as usize) * WIDTH
}

/// What of an access concerns one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub register: Register,
    /// Bytes of the access.
    pub range: Range<usize>,
    /// The first of them within the register.
    pub from: usize,
}

impl Piece {
    pub fn is_whole(&self) -> bool {
        self.range.len() == WIDTH
    }
}

/// The register at an offset.
pub(super) fn at(offset: usize) -> Option<Register> {
    let offset = u32::try_from(offset).ok()?;
    TABLE.iter().find_map(|Row(first, count, register)| {
        let nth = offset.checked_sub(*first)? / WIDTH as u32;
        (nth < u32::from(*count)).then(|| register(nth as u16))
    })
}

/// The registers that `len` bytes at `offset` touch, in ascending order.
pub(super) fn touched(offset: usize, len: usize) -> impl Iterator<Item = Piece> {
    let end = offset + len;
    // Nothing is touched by no bytes.
    let first = if len > 0 {
        offset - offset % WIDTH
    } else {
        end
    };
    (first..end).step_by(WIDTH).filter_map(move |start| {
        let register = at(start)?;
        let (from, to) = (offset.max(start), end.min(start + WIDTH));
        Some(Piece {
            register,
            range: from - offset..to - offset,
            from: from - start,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_overlap_and_all_lie_in_the_bar() {
        for (n, Row(first, count, _)) in TABLE.iter().enumerate() {
            let end = first + 4 * u32::from(*count);
            assert!(first % 4 == 0 && end <= 0xd040);
            for Row(other, more, _) in &TABLE[n + 1..] {
                assert!(end <= *other || other + 4 * u32::from(*more) <= *first);
            }
        }
    }

    #[test]
    fn registers_are_where_the_driver_has_them() {
        assert_eq!(at(0x3c), Some(Register::QtxTail(15)));
        assert_eq!(at(0x40), None);
        assert_eq!(at(0x2000), Some(Register::QrxTail(0)));
        let itr = |index, nth| Some(Register::VfintItrn { index, nth });
        assert_eq!(at(0x2800), itr(0, 0));
        assert_eq!(at(0x2800 + 64 * 2 + 4 * 15), itr(2, 15));
        assert_eq!(at(0x28c0), None);
        assert_eq!(at(0x3804), Some(Register::VfintDynCtln(1)));
        assert_eq!(at(0x7c00), Some(send(AdminRegister::Bal)));
        assert_eq!(at(0x8000), Some(receive(AdminRegister::Len)));
        assert_eq!(at(0xc400), None);
        assert_eq!(at(0x1_fffc), None);
    }

    #[test]
    fn the_pages_that_a_client_may_map_have_tails_and_intervals_only() {
        for offset in (0..0x1_0000).step_by(WIDTH) {
            let mapped = PAGES.contains(&(offset as u64 / PAGE * PAGE));
            match at(offset) {
                Some(Register::QrxTail(pair)) => assert_eq!(offset, tail_of(2 * pair)),
                Some(Register::QtxTail(pair)) => assert_eq!(offset, tail_of(2 * pair + 1)),
                Some(Register::VfintItrn { index, nth }) => {
                    assert_eq!(offset, itr_of(index.into(), nth));
                }
                Some(other) => {
                    assert!(!mapped, "{other:?}");
                    continue;
                }
                None => continue,
            }
            assert!(mapped, "{offset:#x}");
        }
    }

    #[test]
    fn an_access_is_cut_at_registers() {
        let pieces: Vec<_> = touched(0x0002, 8).collect();
        let ranges = pieces.iter().map(|p| (p.register, p.range.clone(), p.from));
        assert!(ranges.eq([
            (Register::QtxTail(0), 0..2, 2),
            (Register::QtxTail(1), 2..6, 0),
            (Register::QtxTail(2), 6..8, 0),
        ]));
        assert_eq!(touched(0x8801, 0).count(), 0);
        assert_eq!(touched(0x4804, 0x7f8).count(), 0);
    }
}
