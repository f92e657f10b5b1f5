//! Everything a run of the lab needs, prepared once: QEMU, kernel, image, directory for logs.

use crate::fetch::{self, Kernel, Tree};
use crate::vm::{Accel, GuestKernel, Vm, VmConfig};
use crate::{artifacts, cleanup, host, image, limits, process, ui};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// What a guest boots.
pub struct Boot {
    /// Its kernel.
    pub kernel: Kernel,
    /// Its initial RAM disk, with that kernel's modules.
    pub image: PathBuf,
}

impl Boot {
    fn prepare(tree: &Tree, kernel: Kernel, agent: &Path, image: PathBuf) -> Result<Self> {
        image::build(tree, &kernel, agent, &image)?;
        Ok(Boot { kernel, image })
    }
}

/// A prepared lab. Its run directory is removed when it is dropped, and on Ctrl-C.
pub struct Lab {
    tree: Tree,
    host_qemu: Option<PathBuf>,
    accel: Accel,
    agent: PathBuf,
    newest: Boot,
    /// Made when first asked for.
    stable: OnceLock<Boot>,
    dir: PathBuf,
    logs: AtomicU32,
    _remove: cleanup::Guard,
}

impl Lab {
    /// Fetches, builds and probes what machines need.
    ///
    /// # Errors
    /// If any of it fails.
    pub fn prepare() -> Result<Self> {
        let tree = fetch::ensure()?;
        let agent = artifacts::guest_agent()?;
        let (dir, remove) = run_dir()?;
        let kernel = tree.kernel().clone();
        let newest = Boot::prepare(&tree, kernel, &agent, dir.join("image.cpio"))?;
        let mut lab = Lab {
            tree,
            host_qemu: host_qemu(),
            accel: Accel::Tcg,
            agent,
            newest,
            stable: OnceLock::new(),
            dir,
            logs: AtomicU32::new(0),
            _remove: remove,
        };
        lab.accel = lab.choose_accel()?;
        let which = match lab.accel {
            Accel::Kvm => "KVM",
            Accel::Tcg => "emulation (TCG)",
        };
        ui::say(&format!(
            "    guests: kernel {} under {which}",
            lab.newest.kernel.release()
        ));
        Ok(lab)
    }

    /// The fetched tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How guests are executed here.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// The initial RAM disk of guests with the newest kernel.
    #[must_use]
    pub fn image(&self) -> &Path {
        &self.newest.image
    }

    /// What a guest with this kernel boots; fetched and made when first asked for.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn boot(&self, which: GuestKernel) -> Result<&Boot> {
        match which {
            GuestKernel::Newest => Ok(&self.newest),
            GuestKernel::Stable => {
                if self.stable.get().is_none() {
                    let kernel = fetch::stable_kernel()?;
                    let image = self.dir.join("stable.cpio");
                    let boot = Boot::prepare(&self.tree, kernel, &self.agent, image)?;
                    ui::say(&format!("    guests: kernel {}", boot.kernel.release()));
                    let _ = self.stable.set(boot);
                }
                self.stable
                    .get()
                    .context("the stable kernel was made ready")
            }
        }
    }

    /// This run's own directory; short enough for socket paths below it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A QEMU command without arguments yet: the host's own if it is new enough, else the fetched.
    #[must_use]
    pub fn qemu(&self) -> Command {
        match &self.host_qemu {
            Some(path) => Command::new(path),
            None => self.tree.qemu(),
        }
    }

    /// Files for the console and for QEMU's own words of the next machine called `name`.
    #[must_use]
    pub fn logs(&self, name: &str) -> (PathBuf, PathBuf) {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        let file = |what: &str| self.dir.join(format!("{name}-{number}.{what}"));
        (file("console"), file("qemu"))
    }

    /// KVM if a guest really booted with it on this machine since its last start, else TCG.
    fn choose_accel(&mut self) -> Result<Accel> {
        match std::env::var("MDEVD_LAB_ACCEL").as_deref() {
            Ok("kvm") => return Ok(Accel::Kvm),
            Ok("tcg") => return Ok(Accel::Tcg),
            _ => {}
        }
        if nix::unistd::access("/dev/kvm", nix::unistd::AccessFlags::W_OK).is_err() {
            return Ok(Accel::Tcg);
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = format!("{} {}", boot.trim(), self.newest.kernel.release());
        let record = host::cache_dir()?.join("kvm-probe");
        let known = std::fs::read_to_string(&record).unwrap_or_default();
        if let Some(answer) = known.strip_prefix(&key) {
            return Ok(if answer.trim() == "works" {
                Accel::Kvm
            } else {
                Accel::Tcg
            });
        }
        ui::say("    does KVM boot a guest here?");
        self.accel = Accel::Kvm;
        let mut config = VmConfig::new("kvm-probe").cpus(1);
        config.boot_limit = limits::KVM_PROBE;
        let works = Vm::boot(self, config).is_ok();
        ui::say(if works {
            "    it does"
        } else {
            "    it does not: emulating"
        });
        let answer = if works { "works" } else { "fails" };
        std::fs::write(&record, format!("{key} {answer}\n")).context("keep the KVM answer")?;
        Ok(if works { Accel::Kvm } else { Accel::Tcg })
    }
}

/// Run directories are called this, the process id and something random.
const RUN_PREFIX: &str = "mdevd-lab-";

/// Removes what runs that were killed outright have left.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix(RUN_PREFIX)
            .and_then(|rest| rest.split_once('-'));
        let Some((pid, _)) = pid else { continue };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A fresh directory for this run, removed on drop and on Ctrl-C.
///
/// # Errors
/// If it cannot be made.
pub fn run_dir() -> Result<(PathBuf, cleanup::Guard)> {
    sweep();
    let prefix = format!("{RUN_PREFIX}{}-", std::process::id());
    let dir = TempDir::with_prefix(prefix)
        .context("make a run directory")?
        .keep();
    let gone = dir.clone();
    let remove = cleanup::on_drop(move || drop(std::fs::remove_dir_all(&gone)));
    Ok((dir, remove))
}

/// A QEMU installed on the host that can do what the lab needs.
fn host_qemu() -> Option<PathBuf> {
    let path = std::env::var_os("MDEVD_LAB_QEMU")
        .map(PathBuf::from)
        .or_else(|| host::find_program("qemu-system-x86_64"))?;
    fetch::tree::check_qemu(Command::new(&path)).ok()?;
    ui::say(&format!("    using {}", path.display()));
    Some(path)
}

/// The end of a log, for messages.
#[must_use]
pub fn tail(path: &Path) -> String {
    process::tail(path)
}
