//! What a disk may hold after a power cut.

use super::recorder::{Op, apply, write};
use super::script::Dice;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What became of the writes after the last one that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// None of them arrived.
    Dropped,
    /// All of them did, as after a SIGKILL.
    Kept,
    /// Each of them did or did not.
    Some,
    /// Each sector of each of them did or did not.
    Torn,
}

/// A file as it is written: what is safe, and what is on its way.
#[derive(Clone, Debug)]
pub struct Disk {
    safe: Vec<u8>,
    pending: Vec<Op>,
}

impl Disk {
    pub fn new(safe: Vec<u8>) -> Self {
        Self {
            safe,
            pending: Vec::new(),
        }
    }

    pub fn take(&mut self, op: &Op) {
        if matches!(op, Op::Sync) {
            for op in self.pending.drain(..) {
                apply(&mut self.safe, &op);
            }
        } else {
            self.pending.push(op.clone());
        }
    }

    /// Whether a power cut now could lose anything.
    pub fn at_risk(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The file after a power cut now.
    pub fn cut(&self, fate: Fate, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        for op in &self.pending {
            let arrives = match fate {
                Fate::Dropped => false,
                Fate::Kept => true,
                Fate::Some => dice.coin(),
                Fate::Torn => match op {
                    Op::Write { at, data } => {
                        sectors(&mut bytes, *at, data, dice);
                        false
                    }
                    _ => dice.coin(),
                },
            };
            if arrives {
                apply(&mut bytes, op);
            }
        }
        bytes
    }
}

fn sectors(bytes: &mut Vec<u8>, at: usize, data: &[u8], dice: &mut Dice) {
    let (mut at, mut rest) = (at, data);
    while !rest.is_empty() {
        let len = (SECTOR - at % SECTOR).min(rest.len());
        let (sector, more) = rest.split_at(len);
        if dice.coin() {
            write(bytes, at, sector);
        }
        (at, rest) = (at + len, more);
    }
}

#[test]
fn what_was_waited_for_is_safe_and_the_rest_is_not() {
    let mut disk = Disk::new(vec![0; 2048]);
    disk.take(&Op::Write {
        at: 0,
        data: vec![1; 1024],
    });
    disk.take(&Op::Sync);
    disk.take(&Op::Write {
        at: 512,
        data: vec![2; 1024],
    });
    disk.take(&Op::Len(4096));
    assert!(disk.at_risk());
    let mut dice = Dice(1);
    let dropped = disk.cut(Fate::Dropped, &mut dice);
    assert_eq!((dropped.len(), dropped[1023], dropped[1024]), (2048, 1, 0));
    let kept = disk.cut(Fate::Kept, &mut dice);
    assert_eq!((kept.len(), kept[511], kept[512]), (4096, 1, 2));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let torn = disk.cut(Fate::Torn, &mut dice);
        seen.insert((torn[512], torn[1024], torn.len()));
    }
    assert_eq!(seen.len(), 8, "every combination: {seen:?}");
}
