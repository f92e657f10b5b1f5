use std::sync::Arc;

use parking_lot::Mutex;

use super::{Entry, Hold, Reach, Reaching};
use crate::mem::GuestMemory;
use crate::mem::testutil::guest;

/// Puts memory at its guest address and some, and remembers what is within reach.
#[derive(Default)]
struct Mirror {
    held: Arc<Mutex<Vec<u64>>>,
}

struct Held(Arc<Mutex<Vec<u64>>>, u64, #[expect(dead_code)] Hold);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().retain(|guest| *guest != self.1);
    }
}

const WINDOW: u64 = 1 << 40;

impl Reaching for Mirror {
    fn reach(
        &self,
        guest: u64,
        _: (usize, u64),
        _: bool,
        memory: Hold,
    ) -> Result<(u64, Hold), String> {
        self.held.lock().push(guest);
        Ok((
            WINDOW + guest,
            Arc::new(Held(Arc::clone(&self.held), guest, memory)),
        ))
    }
}

/// Everything that is mapped, within reach.
fn all(before: &Reach, memory: &GuestMemory, by: &dyn Reaching) -> Reach {
    let missing = before.missing(&memory.load());
    let mut reach = before.clone();
    for block in missing.into_iter().rev() {
        reach = reach.with(Entry::new(block, by).expect("it can be reached"));
    }
    reach
}

#[test]
fn what_is_mapped_is_found_and_nothing_across_a_seam() {
    let (memory, _file) = guest(0x8000, 0x4000);
    let by = Mirror::default();
    let reach = all(&Reach::default(), &memory, &by);
    assert_eq!((reach.count(), reach.bytes()), (2, 0x8000));
    let place = |address: u64, len: u64| {
        let mut place = 0;
        let regions = memory.load();
        regions
            .writable(address, len, |slice| {
                place = slice.address();
                false
            })
            .expect("mapped");
        place
    };
    assert_eq!(
        reach.find(place(0x1234, 16), 16, true),
        Some(WINDOW + 0x1234)
    );
    assert_eq!(
        reach.find(place(0x4000, 1), 0x4000, true),
        Some(WINDOW + 0x4000)
    );
    assert_eq!(reach.find(place(0x4000, 1), 0x4001, true), None);
    assert_eq!(
        reach.find(place(0x3ff0, 16), 17, false),
        None,
        "two regions are two pieces"
    );
    assert_eq!(reach.find(16, 1, false), None);
}

#[test]
fn what_stays_is_not_brought_anew_and_what_goes_is_let_go() {
    let (memory, _file) = guest(0x8000, 0x4000);
    let by = Mirror::default();
    let first = all(&Reach::default(), &memory, &by);
    let second = all(&first, &memory, &by);
    assert_eq!(by.held.lock().len(), 2, "each once");
    drop(first);
    memory.unmap(0, 0x4000).expect("mapped");
    let less = second.within(&memory.load());
    assert_eq!(
        by.held.lock().len(),
        2,
        "held as long as anybody has the table before"
    );
    drop(second);
    assert_eq!(*by.held.lock(), [0x4000]);
    drop(less);
    assert!(by.held.lock().is_empty());
}
