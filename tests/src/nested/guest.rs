//! A full guest inside the machine: a stock kernel with stock drivers, emulated twice, that has devices of a daemon there.
//!
//! Its agent is talked to from here: the machine passes the channel on.

use super::limits::{GUEST_BOOT, GUEST_LIFE, GUEST_MEMORY_MIB};
use super::outer::{Outer, ROOT};
use crate::daemon::Device;
use crate::lab::Lab;
use crate::process::{self, Surroundings};
use crate::vm::{Agent, Job, VmConfig};
use crate::{host, limits, traffic};
use anyhow::{Context, Result, anyhow, ensure};
use lab_guest::wire::PORT_NAME;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What its kernel does without, for its instructions are emulated by emulated ones: certificates of its modules, tests of
/// its ciphers, security modules, what guards against processors that guess, pages that are cleared twice. And it says how far it
/// is.
const KERNEL_WORDS: &str = "initcall_blacklist=load_system_certificate_list cryptomgr.notests lsm=capability audit=0 \
                            mitigations=off init_on_alloc=0 earlyprintk=ttyS0 loglevel=6";

/// A guest inside. Its QEMU ends with the machine, or is stopped.
pub struct Inner<'a> {
    /// The agent in it.
    pub agent: Agent,
    outer: &'a Outer,
    name: String,
    begun: Instant,
    job: Job,
}

impl<'a> Inner<'a> {
    /// Starts the machine's guest `number` with these devices; it boots while the caller does other things.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(lab: &Lab, outer: &'a Outer, number: usize, devices: &[&Device]) -> Result<Self> {
        let name = format!("inner{number}");
        let (channel, port) = outer.channel(number)?;
        let agent = Agent::new(channel)?;
        let mut qemu = lab.qemu();
        qemu.args(arguments(&name, &port));
        for device in devices {
            qemu.args(["-device", &device.qemu]);
        }
        qemu.arg("-kernel").arg(kernel(lab)?);
        qemu.arg("-initrd").arg(lab.image());
        let line = format!("exec chroot {ROOT} \"$@\" > {} 2>&1", file(&name, "qemu"));
        let words = words(&qemu);
        let mut argv = vec!["sh", "-c", &line, "qemu"];
        argv.extend(words.iter().map(String::as_str));
        let begun = Instant::now();
        let job = outer.vm.agent.start(&argv, GUEST_LIFE)?;
        Ok(Inner {
            agent,
            outer,
            name,
            begun,
            job,
        })
    }

    /// Waits until its agent is up; how long that took from the start.
    ///
    /// # Errors
    /// If it does not come up; what it and QEMU have said last is in the message.
    pub fn ready(&self) -> Result<Duration> {
        let up = process::wait_for("the agent of the guest inside", GUEST_BOOT, || {
            ensure!(self.job.is_running(), "its QEMU ended");
            Ok((self.agent.greetings() > 0).then_some(()))
        });
        up.map_err(|error| self.explain(&error))?;
        Ok(self.begun.elapsed())
    }

    /// Runs a shell line in the guest, which must succeed; its standard output, trimmed.
    ///
    /// # Errors
    /// If it fails.
    pub fn run(&self, line: &str) -> Result<String> {
        let job = self
            .agent
            .start(&["sh", "-c", line], limits::GUEST_COMMAND)?;
        let said = job.check().map_err(|error| self.explain(&error))?;
        Ok(said.trim_end().to_owned())
    }

    /// Fails unless `count` echo requests to `address` are answered.
    ///
    /// # Errors
    /// If one is not.
    pub fn ping(&self, address: &str, count: u32) -> Result<()> {
        let said = self.run(&format!("ping -c {count} -i 0.1 -W 5 {address} || true"))?;
        let got = traffic::answers(&said).with_context(|| format!("ping {address}: {said}"))?;
        ensure!(
            got == count,
            "{}: {got} of {count} echo requests to {address} were answered",
            self.name
        );
        Ok(())
    }

    /// Ends its QEMU.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(self) -> Result<()> {
        self.job.stop()?;
        process::wait_for("QEMU inside to end", limits::SETTLE, || {
            Ok((!self.job.is_running()).then_some(()))
        })
    }

    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        let said = |what: &str| {
            let tail = format!("tail -n {} {}", limits::LOG_TAIL, file(&self.name, what));
            let said = self
                .outer
                .vm
                .run(&tail)
                .unwrap_or_else(|error| format!("{error:#}"));
            process::last_lines(&said)
        };
        anyhow!(
            "{}: {error:#}\n  its console said last:\n{}\n  its QEMU said last:\n{}",
            self.name,
            said("console"),
            said("qemu")
        )
    }
}

/// Where a guest's console, or what its QEMU says, is inside; the same place within [`ROOT`].
fn file(name: &str, what: &str) -> String {
    format!("/run/{name}.{what}")
}

/// The guests' kernel, unpacked where this machine has what unpacks it: a guest that is emulated twice takes a third of its
/// boot for that.
fn kernel(lab: &Lab) -> Result<PathBuf> {
    let image = lab.tree().kernel().image();
    let unpacked = lab.dir().join("vmlinux");
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let packed = fs::read(&image).with_context(|| format!("read {}", image.display()))?;
    let (Some(payload), Some(zstd)) = (payload(&packed), host::find_program("zstd")) else {
        return Ok(image);
    };
    let file = lab.dir().join("vmlinux.zst");
    fs::write(&file, payload).with_context(|| format!("write {}", file.display()))?;
    let mut unpack = Command::new(zstd);
    unpack
        .args(["-d", "-q", "-f", "-o"])
        .arg(&unpacked)
        .arg(&file);
    process::check(unpack, Surroundings::default()).context("unpack the guests' kernel")?;
    Ok(unpacked)
}

/// What a bzImage unpacks when it boots, if zstd has packed it (Linux' boot protocol, 2.08: `payload_offset` and
/// `payload_length`, which counts the unpacked size behind it).
fn payload(image: &[u8]) -> Option<&[u8]> {
    const SETUP_SECTORS: usize = 0x1f1;
    const OFFSET: usize = 0x248;
    const LENGTH: usize = 0x24c;
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let number = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let begin = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512 + number(OFFSET)?;
    let payload = image.get(begin..begin.checked_add(number(LENGTH)?.checked_sub(4)?)?)?;
    payload.starts_with(&MAGIC).then_some(payload)
}

/// What QEMU is told of a guest whose agent has the port `port`: as little as it takes, for every instruction is emulated
/// by an emulated one.
fn arguments(name: &str, port: &str) -> Vec<String> {
    let size = GUEST_MEMORY_MIB;
    let mut config = VmConfig::new(name);
    config.kernel_words = KERNEL_WORDS.into();
    let words = config.kernel_command_line();
    [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-accel",
        "tcg",
        "-cpu",
        "qemu64",
        "-smp",
        "1",
        "-machine",
        "q35,usb=off,vmport=off,memory-backend=m",
        "-m",
        &format!("{size}M"),
        "-object",
        &format!("memory-backend-memfd,id=m,size={size}M,share=on"),
        "-name",
        name,
        "-chardev",
        &format!("file,id=console,path={}", file(name, "console")),
        "-serial",
        "chardev:console",
        "-chardev",
        &format!("pipe,id=agent,path={port}"),
        "-device",
        "virtio-serial-pci,id=vser,max_ports=2",
        "-device",
        &format!("virtserialport,bus=vser.0,chardev=agent,name={PORT_NAME}"),
        "-append",
        &words,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A command as words, with what is added to its environment.
fn words(command: &Command) -> Vec<String> {
    let set = |(name, value): (&OsStr, Option<&OsStr>)| {
        let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
        Some(format!("{name}={value}"))
    };
    let own = std::iter::once(command.get_program()).chain(command.get_args());
    std::iter::once("env".to_owned())
        .chain(command.get_envs().filter_map(set))
        .chain(own.map(|word| word.to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_taken_out_of_its_image_where_zstd_has_packed_it() {
        let mut image = vec![0; 2048];
        image[0x1f1] = 1;
        image[0x248..0x24c].copy_from_slice(&100_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&14_u32.to_le_bytes());
        assert_eq!(payload(&image), None, "packed otherwise");
        image[1124..1128].copy_from_slice(&[0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(payload(&image).map(<[u8]>::len), Some(10));
        assert_eq!(payload(&image[..1130]), None, "cut off");
        assert_eq!(payload(&[]), None);
    }
}
