//! QEMU: which, whether it can, and what it does wrong.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::Check;
use super::host::Host;

/// Time QEMU has for each question.
const LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of its answer that are read.
const MAX_ANSWER: u64 = 1 << 20;
/// The first version with a vfio-user client.
const FIRST: Version = Version(10, 1, 0);
/// The last version that the faults were seen in.
const TRIED: Version = Version(11, 1, 3);

/// What QEMU up to [`TRIED`] does wrong, and what to do; the operator's guide has the same.
pub(super) const FAULTS: [(&str, &str); 4] = [
    (
        "unplugging a vfio-user device with MSI-X aborts QEMU",
        "create with --interrupts intx for VMs that unplug",
    ),
    (
        "migrate succeeds without the device's state",
        "have QEMU refuse",
    ),
    (
        "a hot-add that fails late crashes QEMU; a server that dies while memory is mapped aborts it",
        "do not kill the daemon while a VM starts",
    ),
    ("no reconnect after the daemon ends", "restart the VM"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version in `QEMU emulator version 11.1.3 (Debian ...)`.
pub(super) fn version(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("version ")?;
    let word = rest
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?;
    let mut numbers = word.split('.').map(str::parse);
    let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
    Some(Version(next()?, next()?, next()?))
}

fn install() -> String {
    format!("install QEMU {FIRST} or later, or name it with --qemu PATH")
}

pub(super) async fn checks(host: &Host, given: Option<PathBuf>) -> Vec<Check> {
    let Some(path) = given.or_else(|| find(host, std::env::var_os("PATH"))) else {
        let found = format!("no {} in PATH", program());
        return vec![Check::bad("qemu", found, install())];
    };
    let shown = path.display();
    let text = match ask(&path, "--version").await {
        Ok(text) => text,
        Err(why) => return vec![Check::bad("qemu", format!("{shown}: {why}"), install())],
    };
    let Some(version) = version(&text) else {
        let found = format!("{shown} does not say which version it is");
        return vec![Check::bad("qemu", found, install())];
    };
    if version < FIRST {
        let found = format!("{shown} is version {version}, which has no vfio-user client");
        return vec![Check::bad("qemu", found, install())];
    }
    let devices = match ask(&path, "-device help").await {
        Ok(text) => text,
        Err(why) => return vec![Check::bad("qemu", format!("{shown}: {why}"), install())],
    };
    if !devices.contains("\"vfio-user-pci\"") {
        let found = format!("{shown} (version {version}) was built without vfio-user-pci");
        let advice = "install a build that has it, or name one with --qemu PATH";
        return vec![Check::bad("qemu", found, advice)];
    }
    let found = format!("{shown}, version {version}, has vfio-user-pci");
    vec![Check::ok("qemu", found), faults(version)]
}

pub(super) fn faults(version: Version) -> Check {
    if version > TRIED {
        let found = format!("version {version} is later than any that was tried ({TRIED})");
        let advice = "see 'What QEMU does wrong' in the operator's guide: it may still do so";
        return Check::warn("qemu-faults", found, advice);
    }
    let list = |part: fn(&(&'static str, &'static str)) -> &'static str| {
        FAULTS.iter().map(part).collect::<Vec<_>>().join("; ")
    };
    Check::warn("qemu-faults", list(|fault| fault.0), list(|fault| fault.1))
}

fn program() -> String {
    format!("qemu-system-{}", std::env::consts::ARCH)
}

/// QEMU in the directories of `path`, or where Red Hat puts it.
pub(super) fn find(host: &Host, path: Option<std::ffi::OsString>) -> Option<PathBuf> {
    let dirs: Vec<PathBuf> = std::env::split_paths(&path.unwrap_or_default()).collect();
    let named = dirs
        .iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| host.at(&dir.join(program()).to_string_lossy()));
    let others = [host.at("/usr/libexec/qemu-kvm")];
    named.chain(others).find(|path| path.is_file())
}

/// What QEMU prints.
async fn ask(path: &Path, question: &str) -> Result<String, String> {
    let mut command = Command::new(path);
    command
        .args(question.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let out = child.stdout.take();
    let answer = async {
        let mut text = Vec::new();
        if let Some(out) = out {
            out.take(MAX_ANSWER).read_to_end(&mut text).await?;
        }
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status, text))
    };
    match timeout(LIMIT, answer).await {
        Err(_) => Err(format!(
            "did not answer '{question}' within {} s",
            LIMIT.as_secs()
        )),
        Ok(Err(error)) => Err(format!("did not answer '{question}': {error}")),
        Ok(Ok((status, _))) if !status.success() => {
            Err(format!("failed at '{question}': {status}"))
        }
        Ok(Ok((_, text))) => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}
