//! Which mirror and which keys: taken from the machine's own package configuration.

use crate::host;
use crate::process::{self, Surroundings};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Debian's keys as its keyring package installs them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where Debian packages come from.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Address of the archive.
    pub uri: String,
    /// Keyring file, if the machine has Debian's; otherwise apt's trusted keys decide.
    pub keyring: Option<String>,
}

/// Finds the mirror this machine installs Debian from; `MDEVD_LAB_MIRROR` overrides it.
pub fn find() -> Result<Mirror> {
    let keyring = Path::new(KEYRING).is_file().then(|| KEYRING.to_owned());
    if let Ok(uri) = std::env::var("MDEVD_LAB_MIRROR") {
        return Ok(Mirror { uri, keyring });
    }
    if host::find_program("apt-get").is_none() || host::find_program("dpkg-deb").is_none() {
        bail!(
            "QEMU >= 10.1 and a guest kernel come as Debian packages, and this machine has no \
             apt-get and dpkg-deb; install both (packages apt and dpkg), and set \
             MDEVD_LAB_MIRROR to the address of a Debian archive"
        );
    }
    let codename = host::os_release("VERSION_CODENAME").unwrap_or_default();
    let mut list = Command::new("apt-get");
    let format = "$(RELEASE) $(COMPONENT) $(REPO_URI)";
    list.args([
        "indextargets",
        "--no-release-info",
        "--format",
        format,
        "Created-By: Packages",
    ]);
    let targets = process::check(list, Surroundings::default())?;
    match choose(&targets, &codename) {
        Some(uri) => Ok(Mirror { uri, keyring }),
        None => bail!(
            "no source of Debian {codename} main in this machine's package configuration; set \
             MDEVD_LAB_MIRROR to the address of a Debian archive"
        ),
    }
}

/// Picks the archive of the host's own release out of `release component uri` lines.
fn choose(targets: &str, codename: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (release, component, uri) = (words.next()?, words.next()?, words.next()?);
        let ours = [codename, "stable", "oldstable", "testing"].contains(&release);
        (ours && component == "main").then(|| uri.to_owned())
    })
}

#[cfg(test)]
mod tests;
