//! mdevd inside the machine, asked through `cvfctl` inside the machine.

use super::limits::{DAEMON_LIFE, DAEMON_START, LOG};
use super::outer::Outer;
use crate::artifacts::Programs;
use crate::daemon::Device;
use crate::vm::Job;
use crate::{limits, process};
use anyhow::{Context, Result, anyhow, ensure};
use lab_guest::wire::Outcome;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Where it has its directories; the same place inside [`super::outer::ROOT`] and outside.
const DIR: &str = "/run/mdevd-lab";

/// A running mdevd. It ends with the machine, or is stopped.
pub struct Mdevd<'a> {
    outer: &'a Outer,
    programs: Programs,
    pfs: Vec<String>,
    /// There until it is stopped. Locked, so that several threads can ask it.
    job: Mutex<Option<Job>>,
}

impl<'a> Mdevd<'a> {
    /// Starts it with these `--pf` values and waits until it answers.
    ///
    /// # Errors
    /// If it does not; the end of its log is in the message.
    pub fn start(outer: &'a Outer, programs: &Programs, pfs: &[String]) -> Result<Self> {
        outer.vm.run(&format!("rm -rf {DIR}; mkdir {DIR}"))?;
        Self::start_again(outer, programs, pfs)
    }

    /// Kills it, and starts another with what it has left.
    ///
    /// # Errors
    /// As [`Mdevd::start`].
    pub fn killed_and_started(self) -> Result<Self> {
        self.kill()?;
        self.started_again()
    }

    /// Kills it.
    ///
    /// # Errors
    /// If it does not end.
    pub fn kill(&self) -> Result<()> {
        let job = self.take_job().context("mdevd was stopped")?;
        job.kill()?;
        let ended = process::wait_for("mdevd to be killed", limits::DAEMON_STOP, || {
            Ok((!job.is_running()).then_some(()))
        });
        ended.map_err(|error| self.explain("kill mdevd inside", &error))
    }

    /// Starts another with what it has left, after it was killed or stopped.
    ///
    /// # Errors
    /// As [`Mdevd::start`].
    pub fn started_again(self) -> Result<Self> {
        Self::start_again(self.outer, &self.programs, &self.pfs)
    }

    fn start_again(outer: &'a Outer, programs: &Programs, pfs: &[String]) -> Result<Self> {
        let program = programs.mdevd.to_string_lossy().into_owned();
        let dirs = ["state", "run", "profiles", "callouts.d"].map(|name| format!("{DIR}/{name}"));
        let log = format!("exec chroot {} \"$@\" > {DIR}/log 2>&1", super::outer::ROOT);
        let mut argv = vec!["sh", "-c", &log, "mdevd", &program];
        for (option, dir) in [
            "--state-dir",
            "--runtime-dir",
            "--profile-dir",
            "--callout-dir",
        ]
        .iter()
        .zip(&dirs)
        {
            argv.extend([*option, dir.as_str()]);
        }
        argv.extend(["--default-profile", "lab", "--system-bus", "off"]);
        for pf in pfs {
            argv.extend(["--pf", pf]);
        }
        let job = outer.vm.agent.start(&argv, DAEMON_LIFE)?;
        let daemon = Mdevd {
            outer,
            programs: programs.clone(),
            pfs: pfs.to_vec(),
            job: Mutex::new(Some(job)),
        };
        let attempted = format!("start mdevd inside with {pfs:?}");
        daemon
            .wait_answering()
            .map_err(|error| daemon.explain(&attempted, &error))?;
        Ok(daemon)
    }

    fn wait_answering(&self) -> Result<()> {
        process::wait_for("mdevd to answer", DAEMON_START, || {
            let job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
            let runs = job.as_ref().is_some_and(Job::is_running);
            drop(job);
            ensure!(runs, "mdevd ended");
            Ok(self.ctl(&["list"]).is_ok().then_some(()))
        })
    }

    /// Its process id inside.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> Result<u32> {
        let said = self.outer.vm.run("pidof mdevd")?;
        said.parse()
            .with_context(|| format!("one mdevd, not {said:?}"))
    }

    /// Runs cvfctl inside, which must succeed; the object it printed.
    ///
    /// # Errors
    /// Its refusal.
    pub fn ctl(&self, args: &[&str]) -> Result<Value> {
        let program = self.programs.cvfctl.to_string_lossy().into_owned();
        let address = format!("unix:path={DIR}/run/mdevd.sock");
        let argv = [&[program.as_str(), "--address", &address, "--json"], args].concat();
        let text = self.outer.run(&argv)?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(text).with_context(|| format!("no JSON: {text:?}"))
    }

    /// Creates a device.
    ///
    /// # Errors
    /// The daemon's refusal.
    pub fn create(&self, name: &str, more: &[&str]) -> Result<Device> {
        let args = [&["create", name], more].concat();
        serde_json::from_value(self.ctl(&args)?).context("what `create` printed")
    }

    /// What it has said last.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let tail = format!("tail -n {} {DIR}/log", limits::LOG_TAIL);
        let agent = &self.outer.vm.agent;
        match agent.start(&["sh", "-c", &tail], LOG).and_then(Job::wait) {
            Ok(said) => process::last_lines(&format!("{}{}", said.stdout, said.stderr)),
            Err(error) => format!("    (its log cannot be had: {error:#})\n"),
        }
    }

    /// Adds what was attempted, and what mdevd and the machine have said last, to an error.
    pub fn explain(&self, attempted: &str, error: &anyhow::Error) -> anyhow::Error {
        let error = self.outer.explain(attempted, error);
        anyhow!("{error:#}\n  mdevd inside said last:\n{}", self.log_tail())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If it ends otherwise than with success; the end of its log is in the message.
    pub fn stop(self) -> Result<()> {
        let job = self.take_job();
        job.map_or(Ok(()), end)
            .map_err(|error| self.explain("stop mdevd inside", &error))
    }

    fn take_job(&self) -> Option<Job> {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        job.take()
    }
}

fn end(job: Job) -> Result<()> {
    job.stop()?;
    process::wait_for("mdevd to end", limits::DAEMON_STOP, || {
        Ok((!job.is_running()).then_some(()))
    })?;
    let ended = job.wait()?.outcome;
    ensure!(
        ended == Outcome::Exit(0),
        "mdevd ended with {ended:?} after SIGTERM"
    );
    Ok(())
}
