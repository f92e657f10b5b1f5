//! A running virtual machine.

use super::{Agent, GuestOutput, Job, Qmp, VmConfig};
use crate::lab::Lab;
use crate::netns::Netns;
use crate::process::{self, Process, Surroundings};
use crate::{host, limits, sys};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A QEMU process with its monitor and its guest's agent. Killed when dropped.
pub struct Vm {
    config: VmConfig,
    /// QEMU's monitor.
    pub qmp: Qmp,
    /// The agent inside the guest.
    pub agent: Agent,
    process: Process,
    console: PathBuf,
    log: PathBuf,
}

impl Vm {
    /// Starts QEMU; the guest boots while the caller does other things. See [`Vm::ready`].
    ///
    /// # Errors
    /// If QEMU cannot be started or refuses its arguments; its own words are in the message.
    pub fn start(lab: &Lab, config: VmConfig) -> Result<Self> {
        Self::start_in(lab, config, None)
    }

    /// The same, with QEMU in a network namespace, where its TAPs are to be.
    ///
    /// # Errors
    /// As [`Vm::start`].
    pub fn start_in(lab: &Lab, config: VmConfig, netns: Option<&Netns>) -> Result<Self> {
        let (qmp, qmp_theirs) = UnixStream::pair()?;
        let (agent, agent_theirs) = UnixStream::pair()?;
        let (console, log) = lab.logs(&config.name);
        let keep = [OwnedFd::from(qmp_theirs), OwnedFd::from(agent_theirs)];
        let numbers = keep.each_ref().map(sys::raw);
        let boot = lab.boot(config.kernel)?;
        let mut command = lab.qemu();
        command.args(config.arguments(
            lab.accel(),
            &boot.kernel.image(),
            &boot.image,
            &console,
            numbers[0],
            numbers[1],
        ));
        let around = Surroundings {
            netns: netns.and_then(|netns| netns.surroundings().netns),
            keep: numbers.to_vec(),
        };
        let process = if config.interactive {
            command
                .stdin(Stdio::inherit())
                .stdout(Stdio::inherit())
                .stderr(File::create(&log)?);
            Process::start_bare("interactive", command, around)?
        } else {
            Process::start(&format!("QEMU {}", config.name), command, around, &log)?
        };
        drop(keep);
        let agent = Agent::new(agent)?;
        let qmp = Qmp::connect(qmp).map_err(|error| {
            anyhow!(
                "QEMU for {} did not come up: {error}\n{}",
                config.name,
                process::tail(&log)
            )
        })?;
        Ok(Vm {
            config,
            qmp,
            agent,
            process,
            console,
            log,
        })
    }

    /// Waits until the guest's agent is up.
    ///
    /// # Errors
    /// If it does not come up in time; the end of the console is in the message.
    pub fn ready(&self) -> Result<()> {
        self.greeted(1)
    }

    /// Waits for greeting number `number`. A guest that does not come up is made to say what its
    /// tasks wait for, by an interrupt that its kernel takes for a reason to panic; its console is kept.
    fn greeted(&self, number: u32) -> Result<()> {
        let up = self.agent.wait_greeting(number, self.config.boot_limit);
        if up.is_ok() {
            return Ok(());
        }
        let mut said = String::new();
        match self.qmp.execute("inject-nmi", &json!({})) {
            Ok(_) => std::thread::sleep(limits::LAST_WORDS),
            Err(error) => said = format!("\n  QEMU does not answer either: {error}"),
        }
        if let Ok(kept) = self.keep_console() {
            said.push_str(&format!("\n  its console is kept: {}", kept.display()));
        }
        self.explained(up.map_err(|error| anyhow!("{error:#}{said}")))
    }

    /// Copies the console to where it outlives this run.
    fn keep_console(&self) -> Result<PathBuf> {
        let dir = host::cache_dir()?.join("failed");
        std::fs::create_dir_all(&dir)?;
        let kept = dir.join(format!("{}.console", self.config.name));
        std::fs::copy(&self.console, &kept)?;
        Ok(kept)
    }

    /// Starts a machine and waits until it is up.
    ///
    /// # Errors
    /// As [`Vm::start`] and [`Vm::ready`].
    pub fn boot(lab: &Lab, config: VmConfig) -> Result<Self> {
        let vm = Vm::start(lab, config)?;
        vm.ready()?;
        Ok(vm)
    }

    /// Name of the machine.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What the machine was started from.
    #[must_use]
    pub fn config(&self) -> &VmConfig {
        &self.config
    }

    /// QEMU's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The QEMU process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What QEMU itself has said so far.
    #[must_use]
    pub fn qemu_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the guest's console has shown so far.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Runs a shell line in the guest, which must succeed; its standard output, trimmed.
    ///
    /// # Errors
    /// If it fails, with its standard error.
    pub fn run(&self, line: &str) -> Result<String> {
        let out = self
            .start_shell(line, limits::GUEST_COMMAND)
            .and_then(Job::check);
        self.explained(out).map(|text| text.trim_end().to_owned())
    }

    /// Runs a shell line in the guest and tells how it ended.
    ///
    /// # Errors
    /// Only if the guest cannot be reached.
    pub fn try_run(&self, line: &str) -> Result<GuestOutput> {
        let out = self
            .start_shell(line, limits::GUEST_COMMAND)
            .and_then(Job::wait);
        self.explained(out)
    }

    /// Starts a shell line in the guest and lets it run for at most `limit`.
    ///
    /// # Errors
    /// If the guest cannot be reached.
    pub fn start_shell(&self, line: &str, limit: Duration) -> Result<Job> {
        self.agent.start(&["sh", "-c", line], limit)
    }

    /// Starts one of the guest tools with its arguments.
    ///
    /// # Errors
    /// If the guest cannot be reached.
    pub fn start_tool(&self, verb: &str, args: &impl Serialize, limit: Duration) -> Result<Job> {
        self.agent
            .start(&["guest-agent", verb, &serde_json::to_string(args)?], limit)
    }

    /// Waits for a guest tool and reads its report.
    ///
    /// # Errors
    /// If the tool failed.
    pub fn report<R: DeserializeOwned>(&self, job: Job) -> Result<R> {
        let text = self.explained(job.check())?;
        serde_json::from_str(text.trim()).with_context(|| format!("report {text:?}"))
    }

    /// Restarts the guest from inside and waits until it is up again.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub fn reboot(&self) -> Result<()> {
        let before = self.agent.greetings();
        // No answer can come: the guest goes away meanwhile.
        drop(self.start_shell("reboot -f", limits::GUEST_COMMAND)?);
        self.greeted(before + 1)
    }

    /// Resets the machine from outside and waits until it is up again.
    ///
    /// # Errors
    /// If it does not come up in time.
    pub fn reset(&self) -> Result<()> {
        let before = self.agent.greetings();
        self.qmp.execute("system_reset", &json!({}))?;
        self.greeted(before + 1)
    }

    /// Ends QEMU in good order and waits for it.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn quit(self) -> Result<()> {
        // QEMU may close the monitor before it answers; its end is what counts.
        let _ = self.qmp.execute("quit", &json!({}));
        self.process.wait(limits::SETTLE).map(drop)
    }

    /// Ends QEMU at once, as a crash would.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Adds what console and QEMU said last to an error.
    ///
    /// # Errors
    /// The one that it was given.
    pub fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let mut text = format!("{}: {error:#}", self.config.name);
            if let Ok(Some(status)) = self.process.ended() {
                text.push_str(&format!("\n  QEMU ended: {status}"));
            }
            for (what, path) in [("QEMU", &self.log), ("console", &self.console)] {
                let said = process::tail(path);
                if !said.is_empty() {
                    text.push_str(&format!("\n  {what} said last:\n{said}"));
                }
            }
            anyhow!(text)
        })
    }
}

/// A `-device` value for a socket that a vfio-user server listens on.
#[must_use]
pub fn vfio_user_device(socket: &Path) -> String {
    json!({"driver": "vfio-user-pci", "socket": {"type": "unix", "path": socket}}).to_string()
}
