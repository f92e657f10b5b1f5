//! Profiles by name: those that come with the daemon, and those in a directory.
//!
//! A file takes the place of a shipped profile of its name. A file that cannot be read as a profile
//! stands in nobody's place: what was in force before stays in force, and where nothing was, its name
//! is refused with the reason.

mod directory;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use policies::Profile;

pub use view::{ProfileDetail, ProfileSummary, Reloaded};

use crate::nearest;

/// The profile of devices that do not name one, unless the configuration says otherwise.
pub const DEFAULT: &str = "tenant";

/// Where a profile's text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the program.
    Shipped,
    /// In a file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped => f.write_str("shipped"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A profile with its text.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it says.
    pub profile: Arc<Profile>,
    /// Its text, comments included.
    pub text: Arc<str>,
    /// Where that is.
    pub source: Source,
    /// Why what is there now is not in force.
    pub fault: Option<String>,
    /// Its file is gone; it is in force for those that have it.
    pub lost: bool,
}

impl Known {
    /// The same, in force although its file is gone.
    fn without_file(self) -> Self {
        let fault = Some(format!("{} is gone", self.source));
        Self {
            fault,
            lost: true,
            ..self
        }
    }
}

/// Why there is no profile of a name. A sentence's second half.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProfile {
    /// Nobody has heard of it.
    #[error("there is no profile of that name{hint}; 'cvfctl policy list' shows what there is")]
    Unknown {
        /// "did you mean", or empty.
        hint: String,
    },
    /// Its file is no profile, and never was since the daemon started.
    #[error("its file cannot be used: {0}; mend it, and 'cvfctl policy reload'")]
    Broken(String),
}

#[derive(Debug, Default)]
struct Table {
    good: BTreeMap<String, Known>,
    /// Names whose file is broken and was never good.
    broken: BTreeMap<String, String>,
}

/// The profiles of a daemon. Shared between threads; readers wait for a reload's last step only.
#[derive(Debug)]
pub struct Profiles {
    dir: Option<PathBuf>,
    default: String,
    table: RwLock<Table>,
    reloading: Mutex<()>,
}

impl Profiles {
    /// Shipped profiles only.
    pub fn shipped(default: &str) -> Self {
        Self::new(None, default)
    }

    /// Shipped profiles and those in `dir`, which need not exist. Faults are logged and shown.
    pub fn new(dir: Option<&Path>, default: &str) -> Self {
        let new = Self {
            dir: dir.map(Path::to_owned),
            default: default.to_owned(),
            table: RwLock::default(),
            reloading: Mutex::default(),
        };
        for fault in new.reload(|_| false).refused {
            tracing::error!("profile refused: {fault}");
        }
        new
    }

    /// The name of the profile of devices that do not name one.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The directory, if one was given.
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// The profile of that name as it is in force.
    ///
    /// # Errors
    /// [`NoProfile`].
    pub fn get(&self, name: &str) -> Result<Arc<Profile>, NoProfile> {
        self.known(name).map(|known| known.profile)
    }

    /// The same with its text.
    ///
    /// # Errors
    /// [`NoProfile`].
    pub fn known(&self, name: &str) -> Result<Known, NoProfile> {
        let table = self.table.read();
        if let Some(known) = table.good.get(name) {
            return Ok(known.clone());
        }
        if let Some(fault) = table.broken.get(name) {
            return Err(NoProfile::Broken(fault.clone()));
        }
        let names = table.good.keys().map(String::as_str);
        Err(NoProfile::Unknown {
            hint: nearest::hint(name, names),
        })
    }

    /// The file of that profile, if it is gone and the profile is in force only for those that have it.
    pub fn lost(&self, name: &str) -> Option<String> {
        let table = self.table.read();
        let known = table.good.get(name)?;
        known.lost.then(|| known.source.to_string())
    }

    /// All names in order, those whose file is broken with the reason instead of a profile.
    pub fn all(&self) -> BTreeMap<String, Result<Known, String>> {
        let table = self.table.read();
        let good = table.good.iter();
        let good = good.map(|(name, known)| (name.clone(), Ok(known.clone())));
        let broken = table.broken.iter();
        let broken = broken.map(|(name, fault)| (name.clone(), Err(fault.clone())));
        good.chain(broken).collect()
    }

    /// Reads the directory anew. What cannot be used is refused and what was in force before stays; a
    /// profile whose file is gone stays in force while it is `used`.
    pub fn reload(&self, used: impl Fn(&str) -> bool) -> Reloaded {
        let _alone = self.reloading.lock();
        let found = directory::read(self.dir.as_deref());
        let mut table = self.table.write();
        let mut report = Reloaded {
            refused: found.faults,
            ..Reloaded::default()
        };
        if found.unread && !table.good.is_empty() {
            return report;
        }
        let before = std::mem::take(&mut *table);
        for (name, read) in found.profiles {
            let old = before.good.get(&name);
            let gone = |old: &Known| {
                let was = old.source != Source::Shipped;
                was && matches!(&read, Ok(known) if known.source == Source::Shipped)
            };
            // Devices had the file's rules: those of the shipped profile behind it may be laxer.
            if let Some(old) = old.filter(|old| gone(old) && used(&name)) {
                report.kept.push(name.clone());
                table.good.insert(name, old.clone().without_file());
                continue;
            }
            match (read, old) {
                (Ok(known), Some(old)) if known.profile == old.profile => {
                    table.good.insert(name, known);
                }
                (Ok(known), old) => {
                    let list = match old {
                        Some(_) => &mut report.changed,
                        None => &mut report.added,
                    };
                    list.push(name.clone());
                    table.good.insert(name, known);
                }
                (Err(fault), old) => {
                    report.refused.push(fault.clone());
                    if let Some(old) = old {
                        let fault = Some(fault);
                        let kept = Known {
                            fault,
                            ..old.clone()
                        };
                        table.good.insert(name, kept);
                    } else {
                        table.broken.insert(name, fault);
                    }
                }
            }
        }
        for (name, old) in before.good {
            if table.good.contains_key(&name) {
                continue;
            }
            if used(&name) {
                table.good.insert(name.clone(), old.without_file());
                report.kept.push(name);
            } else {
                report.removed.push(name);
            }
        }
        report
    }
}

#[cfg(test)]
mod tests;
