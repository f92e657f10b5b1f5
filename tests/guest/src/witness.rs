//! Looks at everything that arrives at an interface while a flow runs, in a thread of its own.

use crate::sys::view::{Opinion, View};
use lab_guest::inspect::{self, Kind};
use lab_guest::wire::Packets;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Longest frame there can be: a packet of 64 KiB, link header, tags.
const LONGEST_FRAME: usize = 65_535 + 14 + 8;

/// Bytes of a wrong packet that are told: its headers.
const TOLD: usize = 80;

/// A witness at work.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Packets>>,
}

impl Witness {
    /// Begins to look at `interface`, where no packet may be longer than `longest`.
    pub fn begin(interface: &str, longest: usize) -> io::Result<Self> {
        let view = View::open(interface)?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&view, longest, &asked));
        Ok(Witness { stop, thread })
    }

    /// Looks at what has come up to now and tells all of it.
    pub fn end(self) -> io::Result<Packets> {
        self.stop.store(true, Ordering::Release);
        let told = self.thread.join();
        told.map_err(|_| io::Error::other("the witness panicked"))?
    }
}

fn watch(view: &View, longest: usize, stop: &AtomicBool) -> io::Result<Packets> {
    let mut seen = Packets::default();
    let mut buffer = vec![0; LONGEST_FRAME];
    loop {
        // Asked before the look: what was there when it was asked is still looked at.
        let last = stop.load(Ordering::Acquire);
        match view.next(&mut buffer) {
            Ok(Some((length, opinion))) => judge(&buffer[..length], opinion, longest, &mut seen),
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock && last => break,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    seen.missed = view.missed()?;
    Ok(seen)
}

fn judge(frame: &[u8], opinion: Opinion, longest: usize, seen: &mut Packets) {
    match inspect::frame(frame, opinion == Opinion::Unfinished, longest) {
        Ok(kind @ (Kind::Finished | Kind::Partial)) => {
            match kind {
                Kind::Partial => seen.partial += 1,
                _ => seen.finished += 1,
            }
            seen.believed += u64::from(opinion == Opinion::Right);
            seen.longest = seen.longest.max(frame.len() - 14);
        }
        Ok(Kind::Fragment) => seen.fragments += 1,
        Ok(Kind::Other | Kind::NotIp) => seen.others += 1,
        Err(fault) => {
            seen.faults += 1;
            if seen.first_fault.is_empty() {
                let head: String = frame
                    .iter()
                    .take(TOLD)
                    .map(|b| format!("{b:02x}"))
                    .collect();
                let length = frame.len();
                seen.first_fault = format!("{fault}: {length} bytes, {opinion:?}, {head}");
            }
        }
    }
}
