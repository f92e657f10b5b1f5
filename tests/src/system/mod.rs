//! A virtual machine that is a host: systemd as its first process, mdevd installed in it as its package does.
//!
//! Its root is the tree of a Debian, over it what is laid out here, and over that memory: whatever happens in it is gone
//! with it. Units are started in there and never on this machine.

use crate::artifacts::Programs;
use crate::lab::Lab;
use crate::vm::{Vm, VmConfig};
use crate::{artifacts, fetch, host, limits};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// What is in the repository and put there by Debian's own tools, or by nobody.
const MORE: [(&str, &str); 4] = [
    (
        "data/systemd/mdevd-cvf.service",
        "usr/lib/systemd/system/mdevd-cvf.service",
    ),
    (
        "data/systemd/mdevd-cvf.socket",
        "usr/lib/systemd/system/mdevd-cvf.socket",
    ),
    ("data/debian/postinst", "lab/postinst"),
    ("data/debian/prerm", "lab/prerm"),
];

/// Written by scripts that Debian runs at an installation; here packages are only unpacked.
const PASSWD: &str = "root::0:0:root:/root:/bin/sh\nmessagebus::100:100::/nonexistent:/bin/false\n\
                      somebody::1000:1000::/:/bin/sh\nnobody::65534:65534::/nonexistent:/bin/false\n";
const GROUP: &str = "root::0:\nadm::4:\ntty::5:\ndisk::6:\nkmem::15:\nutmp::43:\naudio::29:\nvideo::44:\ninput::101:\n\
                     kvm::102:\nsgx::103:\nrender::104:\nlp::7:\ncdrom::24:\ndialout::20:\ntape::26:\nclock::105:\n\
                     systemd-journal::106:\nmessagebus::100:\nsomebody::1000:\nnogroup::65534:\n";

/// The guest's agent as a service.
const AGENT: &str = "[Unit]
Description=The lab's agent
Wants=dbus.socket
After=sysinit.target dbus.socket

[Service]
ExecStartPre=/usr/bin/busybox --install -s /lab/bin
ExecStart=/lab/guest-agent serve
Environment=PATH=/usr/sbin:/usr/bin:/lab/bin LC_ALL=C SYSTEMD_PAGER= SYSTEMD_COLORS=0
Restart=always
KillMode=process
";

/// The watchdog of the unit, so short that a test can wait for it.
const SHORT_WATCHDOG: &str = "[Service]\nWatchdogSec=6s\n";

/// Connects to a device as a VMM does, says so and keeps it until it is ended.
const CLIENT: &str = include_str!("client.py");

/// Such a machine, up and answering.
pub struct System {
    /// The machine; commands are run as root in it.
    pub vm: Vm,
    _put: TempDir,
}

impl System {
    /// Boots one.
    ///
    /// # Errors
    /// If it does not come up; the console's end is in the message.
    pub fn boot(lab: &Lab, programs: &Programs) -> Result<Self> {
        let tree = fetch::host()?;
        let put = TempDir::new_in(lab.dir())?;
        furnish(put.path(), programs)?;
        let mut config = VmConfig::new("system");
        config.memory_mib = 1024;
        config.boot_limit = limits::SYSTEM_BOOT;
        config.kernel_words =
            "lab.system systemd.show_status=0 systemd.unit=multi-user.target".into();
        for (tag, dir) in [("tree", tree.as_path()), ("put", put.path())] {
            let dir = dir.display();
            config.more.extend([
                "-fsdev".into(),
                format!("local,id={tag},path={dir},security_model=none,readonly=on"),
                "-device".into(),
                format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
            ]);
        }
        let vm = Vm::boot(lab, config)?;
        Ok(System { vm, _put: put })
    }
}

/// The files of the package, as its own list has them: where in the repository, and where it puts them. Those that are
/// built for it are left out; of these, the machine needs the programs only.
fn packaged() -> Result<Vec<(String, String)>> {
    let manifest = host::repository().join("mdevd/Cargo.toml");
    let text = fs::read_to_string(&manifest).context("read the package's manifest")?;
    let manifest: toml::Table = text.parse().context("read the package's manifest")?;
    let assets = &manifest["package"]["metadata"]["deb"]["assets"];
    let mut files = Vec::new();
    for asset in assets.as_array().context("assets are a list")? {
        let word = |n: usize| asset.get(n).and_then(toml::Value::as_str);
        let (from, to) = word(0).zip(word(1)).context("an asset has two places")?;
        let Some(from) = from
            .strip_prefix("../")
            .filter(|from| !from.starts_with("target/"))
        else {
            continue;
        };
        let name = from.rsplit('/').next().unwrap_or(from);
        let to = if to.ends_with('/') {
            format!("{to}{name}")
        } else {
            to.to_owned()
        };
        files.push((from.to_owned(), to));
    }
    Ok(files)
}

/// Lays out what is laid over the tree.
fn furnish(put: &Path, programs: &Programs) -> Result<()> {
    let place = |inside: &str| -> Result<std::path::PathBuf> {
        let path = put.join(inside);
        fs::create_dir_all(path.parent().unwrap_or(put))?;
        Ok(path)
    };
    let write = |inside: &str, text: &str| -> Result<()> {
        let path = place(inside)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    let program = |from: &Path, inside: &str| -> Result<()> {
        let path = place(inside)?;
        fs::copy(from, &path).with_context(|| format!("copy {}", from.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(Into::into)
    };
    let more = MORE.map(|(from, inside)| (from.to_owned(), inside.to_owned()));
    for (from, inside) in packaged()?.into_iter().chain(more) {
        let from = host::repository().join(from);
        let text = fs::read_to_string(&from).with_context(|| format!("read {}", from.display()))?;
        write(&inside, &text)?;
    }
    program(&programs.mdevd, "usr/bin/mdevd")?;
    program(&programs.cvfctl, "usr/bin/cvfctl")?;
    program(&artifacts::guest_agent()?, "lab/guest-agent")?;
    fs::create_dir_all(put.join("lab/bin"))?;
    write("lab/client.py", CLIENT)?;
    write("etc/passwd", PASSWD)?;
    write("etc/group", GROUP)?;
    write("etc/hosts", "127.0.0.1 localhost\n")?;
    write("etc/hostname", "system\n")?;
    write("etc/machine-id", "6d646576640000000000000000000001\n")?;
    write("etc/fstab", "")?;
    let units = "etc/systemd/system";
    write(&format!("{units}/lab-agent.service"), AGENT)?;
    write(
        &format!("{units}/mdevd-cvf.service.d/short-watchdog.conf"),
        SHORT_WATCHDOG,
    )?;
    let wanted = place(&format!(
        "{units}/multi-user.target.wants/lab-agent.service"
    ))?;
    symlink("/etc/systemd/system/lab-agent.service", wanted)?;
    // Nobody logs in, and the serial port is the console's.
    for unit in ["getty.target", "systemd-logind.service", "ldconfig.service"] {
        symlink("/dev/null", put.join(units).join(unit))?;
    }
    Ok(())
}
