//! A daemon with any number of devices, each with a guest of its own in this process.

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

use super::DEVICES;
use crate::artifacts::Programs;
use crate::bench::cpu;
use crate::daemon::Daemon;
use crate::fakevm::memory::{HUGE_PAGE, PAGE};
use crate::fakevm::{Ack, FakeVm, FakeVmConfig};

/// Unicast addresses that a guest may list beside its own.
pub const LISTED: usize = 64;

/// A daemon and its guests.
pub struct Fleet {
    /// The daemon.
    pub daemon: Daemon,
    /// Guests whose drivers run, in the order of their devices.
    pub guests: Vec<FakeVm>,
    /// Their addresses.
    pub macs: Vec<[u8; 6]>,
    sockets: Vec<String>,
    doorbells: &'static str,
    /// Guests lie on huge pages.
    huge: bool,
    _dir: TempDir,
}

impl Fleet {
    /// A daemon without devices, all of it on one core.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub fn start(
        programs: &Programs,
        core: usize,
        doorbells: &'static str,
        huge: bool,
    ) -> Result<Self> {
        raise_file_limit()?;
        let dir = TempDir::with_prefix("mdevd-bench-").context("make a directory")?;
        let pf = format!("soft:bench,queue-pairs={},workers=1", DEVICES + 64);
        let daemon = Daemon::start(programs, dir.path(), &[&pf], None)?;
        cpu::pin_process(daemon.pid(), core)?;
        Ok(Fleet {
            daemon,
            guests: Vec::new(),
            macs: Vec::new(),
            sockets: Vec::new(),
            doorbells,
            huge,
            _dir: dir,
        })
    }

    /// Creates devices until there are `count`.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn create(&mut self, count: usize) -> Result<()> {
        while self.sockets.len() < count {
            let name = format!("d{}", self.sockets.len());
            let options = ["--queue-pairs", "1", "--doorbells", self.doorbells];
            self.sockets
                .push(self.daemon.create(&name, &options)?.socket);
        }
        Ok(())
    }

    /// Starts guests until the first `count` devices have one.
    ///
    /// # Errors
    /// Fails when a guest cannot be attached.
    pub fn attach(&mut self, count: usize, config: &FakeVmConfig) -> Result<()> {
        self.create(count)?;
        while self.guests.len() < count {
            let nth = self.guests.len();
            let guest = placed(config.clone(), nth, self.huge);
            let guest = FakeVm::connect(self.sockets[nth].as_ref(), guest);
            let mut guest =
                guest.with_context(|| format!("attach d{nth}: {}", self.daemon.log_tail()))?;
            self.macs.push(guest.mac()?);
            self.guests.push(guest);
        }
        Ok(())
    }

    /// Lets the guests from the third on list addresses, until the forwarding table has `entries`:
    /// those, and every device's own.
    ///
    /// # Errors
    /// Fails when a guest is refused, or all together may not list so many.
    pub fn fill_table(&mut self, entries: usize) -> Result<()> {
        let mut wanted = entries.saturating_sub(self.guests.len());
        let listers = self.guests.len().saturating_sub(2);
        ensure!(
            wanted <= listers * LISTED,
            "{listers} guests cannot list {wanted} addresses"
        );
        let mut number = 0_u32;
        for guest in self.guests.iter_mut().skip(2) {
            let count = wanted.min(LISTED);
            wanted -= count;
            let macs: Vec<[u8; 6]> = (number..).map(listed).take(count).collect();
            number += count as u32;
            let ack = guest.set_mac_table(&macs, &[])?;
            ensure!(ack == Ack::Ok, "a table of {count} addresses was refused");
        }
        Ok(())
    }

    /// Ends everything.
    ///
    /// # Errors
    /// The daemon had ended by itself, or does not end.
    pub fn stop(self) -> Result<()> {
        ensure!(
            self.daemon.process().ended()?.is_none(),
            "mdevd ended: {}",
            self.daemon.log_tail()
        );
        drop(self.guests);
        self.daemon.stop()
    }
}

/// A guest whose rings lie on another page of a huge one than those of its neighbours.
fn placed(mut guest: FakeVmConfig, nth: usize, huge: bool) -> FakeVmConfig {
    guest.skew = nth as u64 % (HUGE_PAGE / PAGE) * PAGE;
    if huge {
        guest.memory = Some(guest.hugetlb_plan());
    }
    guest
}

/// Huge pages that `count` guests like this one need at most.
pub fn huge_pages(guest: &FakeVmConfig, count: usize) -> u64 {
    let last = placed(guest.clone(), (HUGE_PAGE / PAGE) as usize - 1, true);
    last.memory_plan().size().div_ceil(HUGE_PAGE) * count as u64
}

/// A locally administered address that no device has of itself.
fn listed(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x06, 0xbe, a, b, c, d]
}

/// Every guest holds some descriptors: a connection, its memory, its events.
fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the limit of files")?;
    let want = 10 * DEVICES as u64;
    ensure!(
        hard >= want,
        "at most {hard} files may be open here and {want} are needed: raise the hard limit (ulimit -Hn)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn listed_addresses_are_stations_and_differ() {
        assert_eq!(super::listed(0x0102_0304), [0x06, 0xbe, 1, 2, 3, 4]);
        assert_ne!(super::listed(1), super::listed(256));
        assert_eq!(super::listed(7)[0] & 3, 2, "local, unicast");
    }
}
