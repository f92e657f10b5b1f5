//! mdevd as the lab runs it: in directories of its own, killed on drop, asked through `cvfctl`.

mod ctl;
mod device;
mod footprint;

pub use ctl::{CtlOutput, Refused};
pub use device::Device;
pub use footprint::Footprint;

use crate::artifacts::Programs;
use crate::netns::Netns;
use crate::process::{self, Process, Surroundings};
use crate::{cleanup, limits};
use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Name of the daemon's control socket in its runtime directory.
const BUS_SOCKET: &str = "mdevd.sock";

/// A running mdevd with its own state and runtime directories.
pub struct Daemon {
    programs: Programs,
    dir: PathBuf,
    pfs: Vec<String>,
    netns: Option<Surroundings>,
    bus: Option<String>,
    process: Process,
    starts: AtomicU32,
    _remove: cleanup::Guard,
}

impl Daemon {
    /// Starts a daemon below `parent` with these `--pf` values, in `netns` if given, and waits
    /// until it answers. The namespace must outlive the daemon.
    ///
    /// # Errors
    /// If it does not come up; the end of its log is in the message.
    pub fn start(
        programs: &Programs,
        parent: &Path,
        pfs: &[&str],
        netns: Option<&Netns>,
    ) -> Result<Self> {
        Self::start_at(programs, parent, pfs, netns, None)
    }

    /// The same on the message bus at this D-Bus address, without which it does not start.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_on_bus(
        programs: &Programs,
        parent: &Path,
        pfs: &[&str],
        bus: &str,
    ) -> Result<Self> {
        Self::start_at(programs, parent, pfs, None, Some(bus))
    }

    fn start_at(
        programs: &Programs,
        parent: &Path,
        pfs: &[&str],
        netns: Option<&Netns>,
        bus: Option<&str>,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("d")
            .rand_bytes(4)
            .tempdir_in(parent)?
            .keep();
        let gone = dir.clone();
        let remove = cleanup::on_drop(move || drop(fs::remove_dir_all(&gone)));
        let pfs: Vec<String> = pfs.iter().map(|p| (*p).to_owned()).collect();
        let netns = netns.map(Netns::surroundings);
        let process = launch(programs, &dir, &pfs, netns.as_ref(), bus, 0)?;
        let starts = AtomicU32::new(1);
        let daemon = Daemon {
            programs: programs.clone(),
            dir,
            pfs,
            netns,
            bus: bus.map(str::to_owned),
            process,
            starts,
            _remove: remove,
        };
        daemon.wait_answering()?;
        Ok(daemon)
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The daemon's process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where definitions are kept.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where it looks for profiles; made by who puts some there.
    #[must_use]
    pub fn profile_dir(&self) -> PathBuf {
        self.dir.join("profiles")
    }

    /// Where sockets are.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Where it looks for scripts; made by who puts some there.
    #[must_use]
    pub fn callout_dir(&self) -> PathBuf {
        self.dir.join(CALLOUTS)
    }

    /// What `cvfctl --address` takes.
    #[must_use]
    pub fn address(&self) -> String {
        format!(
            "unix:path={}",
            self.runtime_dir().join(BUS_SOCKET).display()
        )
    }

    /// What the daemon has said last.
    #[must_use]
    pub fn log_tail(&self) -> String {
        process::tail(&log_file(
            &self.dir,
            self.starts.load(Ordering::Relaxed) - 1,
        ))
    }

    /// Asks the daemon to stop and waits until it has.
    ///
    /// # Errors
    /// If it does not end in time, or ends otherwise than with success.
    pub fn stop(&self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(limits::DAEMON_STOP)?;
        if !status.success() {
            bail!(
                "mdevd ended with {status} after SIGTERM\n{}",
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Starts it again on the same directories; it must have ended.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        self.process = launch(
            &self.programs,
            &self.dir,
            &self.pfs,
            self.netns.as_ref(),
            self.bus.as_deref(),
            number,
        )?;
        self.wait_answering()
    }

    /// Runs the daemon program with other arguments to its end: for refusals.
    ///
    /// # Errors
    /// If it cannot be started or does not end in time.
    pub fn run_program(&self, args: &[&str]) -> Result<process::Output> {
        let mut command = Command::new(&self.programs.mdevd);
        command.args(args);
        process::output(command, Surroundings::default(), limits::DAEMON_START)
    }

    /// Seconds of processor time the daemon has used so far.
    ///
    /// # Errors
    /// If it is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // Fields after the parenthesised name; 14 and 15 of the whole are user and system time.
        let rest = stat
            .rsplit_once(')')
            .context("unexpected /proc/PID/stat")?
            .1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| -> Result<u64> {
            Ok(fields.get(at).context("short /proc/PID/stat")?.parse()?)
        };
        Ok((ticks(11)? + ticks(12)?) as f64 / crate::sys::clock_ticks() as f64)
    }

    /// What the daemon holds at the moment.
    ///
    /// # Errors
    /// If it is gone.
    pub fn footprint(&self) -> Result<Footprint> {
        Footprint::of(self.pid(), &self.runtime_dir())
    }

    /// Waits until the daemon holds no more than `before`: idle threads of a pool end by and by.
    ///
    /// # Errors
    /// If something is left.
    pub fn back_to(&self, before: &Footprint) -> Result<()> {
        let mut last = before.clone();
        let given_back = process::wait_for("everything to be given back", limits::SETTLE, || {
            last = self.footprint()?;
            Ok(last.no_more_than(before).is_ok().then_some(()))
        });
        given_back.with_context(|| format!("before {before:?}, now {last:?}"))
    }

    /// Sockets in the runtime directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn sockets(&self) -> Result<Vec<PathBuf>> {
        footprint::sockets(&self.runtime_dir())
    }

    fn wait_answering(&self) -> Result<()> {
        let answering = process::wait_for("mdevd to answer", limits::DAEMON_START, || {
            if let Some(status) = self.process.ended()? {
                bail!("mdevd ended: {status}");
            }
            Ok(self.try_ctl(&["list"])?.is_ok().then_some(()))
        });
        answering.map_err(|error| anyhow!("{error}\n{}", self.log_tail()))
    }

    /// Runs cvfctl and gives what came of it, refusals included.
    ///
    /// # Errors
    /// If cvfctl cannot be run at all.
    pub fn try_ctl(&self, args: &[&str]) -> Result<CtlOutput> {
        ctl::run(&self.programs.cvfctl, Some(&self.address()), args)
    }

    /// Runs cvfctl, which must succeed; the object it printed.
    ///
    /// # Errors
    /// Its refusal.
    pub fn ctl(&self, args: &[&str]) -> Result<Value> {
        let output = self.try_ctl(args)?;
        output
            .value()
            .with_context(|| format!("cvfctl {}", args.join(" ")))
    }

    /// Runs cvfctl, which must refuse; kind and message of the refusal.
    ///
    /// # Errors
    /// If it succeeds.
    pub fn ctl_refused(&self, args: &[&str]) -> Result<Refused> {
        let output = self.try_ctl(args)?;
        output
            .refusal()
            .with_context(|| format!("cvfctl {}", args.join(" ")))
    }

    /// Creates a device.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn create(&self, name: &str, more: &[&str]) -> Result<Device> {
        let args: Vec<&str> = ["create", name].iter().chain(more).copied().collect();
        serde_json::from_value(self.ctl(&args)?).context("what `create` printed")
    }

    /// Destroys a device.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn destroy(&self, name: &str) -> Result<()> {
        self.ctl(&["destroy", name]).map(drop)
    }

    /// A number in a device's counters, addressed by a JSON pointer.
    ///
    /// # Errors
    /// If there is no such counter.
    pub fn counter(&self, name: &str, pointer: &str) -> Result<u64> {
        let stats = self.ctl(&["stats", name])?;
        let value = stats.pointer(pointer).and_then(Value::as_u64);
        value.with_context(|| format!("no counter {pointer} in {stats}"))
    }

    /// Waits until `show` says what `look` wants; the last answer is in the error.
    ///
    /// # Errors
    /// If it never does.
    pub fn wait_show(
        &self,
        name: &str,
        what: &str,
        look: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let found = process::wait_for(what, Duration::from_secs(10), || {
            last = self.ctl(&["show", name])?;
            Ok(look(&last).then(|| last.clone()))
        });
        found.with_context(|| format!("{name} shows {last}"))
    }
}

fn log_file(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("mdevd-{number}.log"))
}

const CALLOUTS: &str = "callouts.d";

fn launch(
    programs: &Programs,
    dir: &Path,
    pfs: &[String],
    netns: Option<&Surroundings>,
    bus: Option<&str>,
    number: u32,
) -> Result<Process> {
    let mut command = Command::new(&programs.mdevd);
    command.arg("--state-dir").arg(dir.join("state"));
    command.arg("--runtime-dir").arg(dir.join("run"));
    // What a test is about is not what a profile lets be, unless it says so.
    command.args(["--default-profile", "lab"]);
    command.arg("--profile-dir").arg(dir.join("profiles"));
    // Nor are the machine's own scripts asked.
    command.arg("--callout-dir").arg(dir.join(CALLOUTS));
    // The machine's own bus is nobody's to test with.
    match bus {
        Some(address) => {
            command.args(["--system-bus", "on"]);
            command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
        }
        None => {
            command.args(["--system-bus", "off"]);
            command.env_remove("DBUS_SYSTEM_BUS_ADDRESS");
        }
    }
    for pf in pfs {
        command.args(["--pf", pf]);
    }
    command.env("RUST_BACKTRACE", "1");
    let around = Surroundings {
        netns: netns.and_then(|n| n.netns),
        keep: Vec::new(),
    };
    Process::start("mdevd", command, around, &log_file(dir, number))
}
