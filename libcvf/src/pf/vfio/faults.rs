//! What the kernel's log says of a function's DMA that the IOMMU has stopped: VFIO itself reports none of it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use super::address::PciAddress;
use crate::pf::direct::DmaFaults;

/// Bytes of a record of `/dev/kmsg` at most (`CONSOLE_EXT_LOG_MAX`).
const RECORD: usize = 8192;
/// Records looked at in one go: whoever asks does not read for ever beside a kernel that writes on.
const MOST_RECORDS: usize = 10_000;

/// A reader of the kernel's log, from its opening on, for one function.
#[derive(Debug)]
pub struct FaultLog {
    address: PciAddress,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None`: it cannot be read.
    log: Option<File>,
    known: DmaFaults,
}

impl FaultLog {
    /// Reads the log at `path` (`/dev/kmsg`) about a function.
    pub fn open(path: &Path, address: PciAddress) -> Self {
        let open = || {
            let mut log = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
                .open(path)?;
            // Behind what was there before.
            log.seek(SeekFrom::End(0))?;
            Ok::<_, std::io::Error>(log)
        };
        let (log, unavailable) = match open() {
            Ok(log) => (Some(log), None),
            Err(error) => (
                None,
                Some(format!(
                    "{}: {error}; the kernel's log has the IOMMU's reports (`journalctl -k`)",
                    path.display()
                )),
            ),
        };
        let known = DmaFaults {
            unavailable,
            ..DmaFaults::default()
        };
        Self {
            address,
            state: Mutex::new(State { log, known }),
        }
    }

    /// The function.
    pub const fn address(&self) -> PciAddress {
        self.address
    }

    /// What can be polled for news, if the log can be read.
    fn news(&self) -> Option<OwnedFd> {
        let state = self.state.lock();
        let log = state.log.as_ref()?;
        log.as_fd().try_clone_to_owned().ok()
    }

    /// What is known since somebody looked last: a watch does whenever there is something.
    pub fn known(&self) -> DmaFaults {
        self.state.lock().known.clone()
    }

    /// Reads on, for who follows it alone: what is read tells nobody else.
    pub fn look(&self) -> DmaFaults {
        let mut state = self.state.lock();
        let State { log, known } = &mut *state;
        let Some(file) = log else {
            return known.clone();
        };
        let mut record = [0; RECORD];
        for _ in 0..MOST_RECORDS {
            match file.read(&mut record) {
                // A file that is no device ends.
                Ok(0) => break,
                Ok(len) => {
                    for line in String::from_utf8_lossy(&record[..len]).lines() {
                        if is_fault(line, self.address) {
                            known.count += 1;
                            known.last = Some(message(line).to_owned());
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Records were overwritten before we came: reading goes on with the oldest there is.
                Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => {}
                Err(error) => {
                    known.unavailable = Some(format!("the kernel's log cannot be read: {error}"));
                    *log = None;
                    break;
                }
            }
        }
        known.clone()
    }
}

/// A thread that tells of faults as they are reported; ends when dropped.
#[derive(Debug)]
pub struct FaultWatch {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl FaultWatch {
    /// Has `told` called with what is known whenever there is more of it. `None`: the log cannot be read.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(
        name: &str,
        log: &Arc<FaultLog>,
        told: impl Fn(&DmaFaults) + Send + 'static,
    ) -> std::io::Result<Option<Self>> {
        let Some(news) = log.news() else {
            return Ok(None);
        };
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let (log, ours) = (Arc::clone(log), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name(format!("{name}/faults"))
            .spawn(move || watch(&log, &news, &ours, told))?;
        Ok(Some(Self {
            stop,
            thread: Some(thread),
        }))
    }
}

impl Drop for FaultWatch {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn watch(log: &FaultLog, news: &OwnedFd, stop: &EventFd, told: impl Fn(&DmaFaults)) {
    let mut known = 0;
    loop {
        let mut fds = [
            PollFd::new(news.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        if fds[1].any() == Some(true) {
            return;
        }
        let faults = log.look();
        if faults.count > known {
            known = faults.count;
            told(&faults);
        }
        if faults.unavailable.is_some() {
            return;
        }
    }
}

/// A record is `priority,sequence,microseconds,flags;message`.
fn message(record: &str) -> &str {
    record
        .split_once(';')
        .map_or(record, |(_, message)| message)
}

/// Intel's `DMAR: [DMA Write NO_PASID] Request device [0000:00:03.0] fault addr ...`, AMD's
/// `AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:00:03.0 ...]`. Arm's SMMU names no PCI address.
fn is_fault(line: &str, address: PciAddress) -> bool {
    let whole = address.to_string();
    // Older kernels leave domain 0 out.
    let short = whole.strip_prefix("0000:").unwrap_or(&whole);
    let intel = line.contains("DMAR:")
        && [&whole, short]
            .iter()
            .any(|name| line.contains(&format!("device [{name}]")));
    // Newer kernels name the function in front of the message.
    let named = [
        format!("device={whole}"),
        format!("device={short}"),
        format!(" {whole}:"),
    ];
    let amd = line.contains("AMD-Vi:")
        && line.contains("FAULT")
        && named.iter().any(|name| line.contains(name));
    intel || amd
}

#[cfg(test)]
mod tests;
