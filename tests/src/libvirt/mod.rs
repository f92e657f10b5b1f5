//! A libvirtd of the lab's own: real, as root, in a root directory and namespaces that nobody else sees.
//!
//! Domains run as a user of their own, as Debian has it, so that who may open what is decided as on a real host. What the kernel
//! confines beyond that (AppArmor, SELinux, cgroups) is switched off: this machine may have none of it.

mod domain;

pub use domain::Domain;

use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::process::{self, Output, Process, Surroundings};
use crate::vm::Agent;
use crate::{artifacts::Programs, fetch, host, limits};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the root directory and runs the daemon.
const ENTER: &str = include_str!("enter.sh");

/// Who QEMU runs as: Debian's number for `libvirt-qemu`, which need not exist on this machine.
pub const USER: u32 = 64055;

/// QEMU's user, and how much of libvirt's confinement can be had here.
const QEMU_CONF: &str = r#"user = "+64055"
group = "+64055"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"#;

const LIBVIRTD_CONF: &str = r#"auth_unix_rw = "none"
log_outputs = "2:stderr"
"#;

/// A running libvirtd with mdevd's hook. It and its domains end when this is dropped.
pub struct Libvirt {
    work: PathBuf,
    log: PathBuf,
    process: Process,
}

impl Libvirt {
    /// Starts a libvirtd whose hook talks to `daemon`.
    ///
    /// # Errors
    /// If it does not come up; what it said is in the message.
    pub fn start(lab: &Lab, programs: &Programs, daemon: &Daemon) -> Result<Self> {
        let tree = fetch::host()?;
        let work = tempfile::Builder::new()
            .prefix("v")
            .rand_bytes(4)
            .tempdir_in(lab.dir())?
            .keep();
        fs::create_dir(work.join("root"))?;
        let share = work.join("share");
        fs::create_dir(&share)?;
        fs::set_permissions(&share, fs::Permissions::from_mode(0o777))?;
        furnish(&work.join("put"), lab, programs, daemon)?;
        let script = work.join("enter.sh");
        fs::write(&script, ENTER)?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh"])
            .arg(&script)
            .arg(&tree)
            .arg(&work)
            .arg(lab.tree().path(""))
            .arg(lab.tree().kernel().image())
            .arg(lab.image())
            .arg(format!("+{}", daemon.runtime_dir().display()))
            .arg(format!("+{}", share.display()))
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let log = work.join("libvirtd.log");
        let process = Process::start("libvirtd", command, Surroundings::default(), &log)?;
        let libvirt = Libvirt { work, log, process };
        libvirt.wait_answering()?;
        Ok(libvirt)
    }

    fn wait_answering(&self) -> Result<()> {
        let up = process::wait_for("libvirtd to answer", limits::DAEMON_START, || {
            if let Some(status) = self.process.ended()? {
                bail!("libvirtd ended: {status}");
            }
            if !self.work.join("pid").exists() {
                return Ok(None);
            }
            let answered = self.try_virsh(&["uri"])?.status.success();
            Ok(answered.then_some(()))
        });
        up.map_err(|error| anyhow!("{error}\n{}", process::tail(&self.log)))
    }

    /// Runs a program inside.
    fn inside(&self, program: &str, args: &[&str]) -> Result<Output> {
        let pid = fs::read_to_string(self.work.join("pid")).context("libvirtd's process id")?;
        let mut command = Command::new("nsenter");
        command
            .args(["--target", pid.trim(), "--mount", "--pid", "--", "chroot"])
            .arg(self.work.join("root"))
            .arg(program)
            .args(args)
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        process::output(command, Surroundings::default(), limits::HOST_COMMAND)
    }

    /// Runs virsh; however it ends.
    ///
    /// # Errors
    /// If it cannot be started or does not end.
    pub fn try_virsh(&self, args: &[&str]) -> Result<Output> {
        let connected = [&["--connect", "qemu:///system"], args].concat();
        self.inside("/usr/bin/virsh", &connected)
    }

    /// Runs virsh, which must succeed; what it printed.
    ///
    /// # Errors
    /// If it fails.
    pub fn virsh(&self, args: &[&str]) -> Result<String> {
        let out = self.try_virsh(args)?;
        if !out.status.success() {
            bail!("virsh {}: {}\n{}", args.join(" "), out.stderr, self.said());
        }
        Ok(out.stdout.trim().to_owned())
    }

    /// Runs virsh, which must refuse and say all of these words.
    ///
    /// # Errors
    /// If it succeeds or says something else.
    pub fn virsh_refused(&self, args: &[&str], words: &[&str]) -> Result<()> {
        let out = self.try_virsh(args)?;
        let missing = words.iter().find(|word| !out.stderr.contains(**word));
        if out.status.success() || missing.is_some() {
            let shown = args.join(" ");
            bail!("virsh {shown}: wanted a refusal that has {words:?}, got {out:?}");
        }
        Ok(())
    }

    /// Versions of libvirt and QEMU.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn version(&self) -> Result<String> {
        let text = self.virsh(&["version"])?;
        let said = |what: &str| text.lines().find_map(|line| line.strip_prefix(what));
        let versions = ["Using library: ", "Running hypervisor: "].map(said);
        Ok(versions.map(|v| v.unwrap_or("?")).join(", "))
    }

    /// Makes a domain known.
    ///
    /// # Errors
    /// If libvirt refuses it.
    pub fn define(&self, domain: &Domain) -> Result<()> {
        let file = self.share().join(format!("{}.xml", domain.name));
        fs::write(&file, domain.xml(&self.share()))?;
        let file = file.to_string_lossy().into_owned();
        self.virsh(&["define", &file]).map(drop)
    }

    /// The channel to the guest's agent; to be taken once for each start.
    ///
    /// # Errors
    /// If the domain does not run.
    pub fn agent(&self, domain: &Domain) -> Result<Agent> {
        let path = domain.agent(&self.share());
        let stream =
            UnixStream::connect(&path).with_context(|| format!("connect to {}", path.display()))?;
        Agent::new(stream)
    }

    /// A QMP command through libvirt; what it returned.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn qmp(&self, domain: &str, command: &serde_json::Value) -> Result<serde_json::Value> {
        let text = self.virsh(&["qemu-monitor-command", domain, &command.to_string()])?;
        let reply: serde_json::Value = serde_json::from_str(&text).context("QMP's reply")?;
        match reply.get("error") {
            Some(error) => bail!("QMP {command}: {error}"),
            None => Ok(reply["return"].clone()),
        }
    }

    /// Ends libvirtd and starts it again; domains go on meanwhile.
    ///
    /// # Errors
    /// If it does not come back.
    pub fn restart(&self) -> Result<()> {
        let pid = "/run/libvirtd.pid";
        let before = self.inside("/usr/bin/busybox", &["cat", pid])?.stdout;
        fs::write(self.work.join("again"), "")?;
        let kill = self.inside("/usr/bin/busybox", &["kill", before.trim()])?;
        if !kill.status.success() {
            bail!("kill libvirtd: {}", kill.stderr);
        }
        process::wait_for("another libvirtd", limits::DAEMON_START, || {
            let now = self.inside("/usr/bin/busybox", &["cat", pid])?.stdout;
            Ok((!now.trim().is_empty() && now != before).then_some(()))
        })?;
        self.wait_answering()
    }

    /// What the hook remembers, by domain and device.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn claims(&self) -> Result<String> {
        let list = self.inside(
            "/usr/bin/busybox",
            &["find", "/var/lib/libvirt/mdevd", "-type", "f"],
        )?;
        Ok(list.stdout)
    }

    /// What libvirtd said last.
    #[must_use]
    pub fn said(&self) -> String {
        process::tail(&self.log)
    }

    /// Directory that is the same inside and outside, and that everybody may write to.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.work.join("share")
    }
}

/// Lays out what is laid over libvirt's own files.
fn furnish(put: &Path, lab: &Lab, programs: &Programs, daemon: &Daemon) -> Result<()> {
    let examples = host::repository().join("examples/libvirt");
    let write = |place: &str, mode: u32, text: &[u8]| -> Result<()> {
        let path = put.join(place);
        fs::create_dir_all(path.parent().unwrap_or(put))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(())
    };
    let script = |words: String| format!("#!/usr/bin/busybox sh\nexec {words} \"$@\"\n");
    let passwd = format!(
        "root::0:0:root:/root:/bin/sh\nlibvirt-qemu::{USER}:{USER}::/nonexistent:/bin/false\n"
    );
    let group = format!("root::0:\nlibvirt-qemu::{USER}:\n");
    let conf = format!(
        "cvfctl = /lab/cvfctl\naddress = {}\nseconds = 10\n",
        daemon.address()
    );
    // The tool is linked for the host; the hook runs in the tree.
    let cvfctl = script(format!(
        "/usr/bin/busybox chroot /host {}",
        programs.cvfctl.display()
    ));
    let qemu = script(process::show(&lab.tree().qemu()));
    let hook = fs::read(examples.join("qemu")).context("the hook")?;
    let guard = fs::read(examples.join("no-migration.vmdk")).context("the guard")?;
    let this = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hosts = format!("127.0.0.1 localhost {}\n", this.trim());
    // Nobody is asked for names over a network.
    write("etc/hosts", 0o644, hosts.as_bytes())?;
    write("etc/nsswitch.conf", 0o644, b"hosts: files\n")?;
    write("etc/passwd", 0o644, passwd.as_bytes())?;
    write("etc/group", 0o644, group.as_bytes())?;
    write("etc/libvirt/qemu.conf", 0o644, QEMU_CONF.as_bytes())?;
    write("etc/libvirt/libvirtd.conf", 0o644, LIBVIRTD_CONF.as_bytes())?;
    write("etc/libvirt/hooks/qemu.d/mdevd", 0o755, &hook)?;
    write("etc/mdevd/libvirt-hook.conf", 0o644, conf.as_bytes())?;
    write("usr/share/mdevd/no-migration.vmdk", 0o644, &guard)?;
    write("lab/cvfctl", 0o755, cvfctl.as_bytes())?;
    write("lab/qemu", 0o755, qemu.as_bytes())
}
