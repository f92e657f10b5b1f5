//! The configuration read anew while the daemon runs: all of it, or nothing.

use std::sync::Arc;

use parking_lot::Mutex;

use super::notify::reloading;
use crate::config::{Args, Config};
use crate::engine::Reloaded;

/// Something that takes a new configuration without a restart. Called from any thread, one reload at a time.
pub trait Part: Send + Sync {
    /// Keys of the configuration that are in force once this part has taken them.
    fn keys(&self) -> &'static [&'static str];

    /// Checks what `new` means for this part and prepares it. Nothing may change yet: another part may refuse.
    ///
    /// # Errors
    /// A sentence that says what is wrong and where: with file and line, if there is one.
    fn prepare(&self, new: &Config) -> Result<Prepared, String>;
}

/// What a part is about to do.
#[derive(Default)]
pub struct Prepared {
    /// Puts it in force, and adds what it did beside keys of the configuration to the outcome. Cannot fail.
    commit: Option<Commit>,
}

type Commit = Box<dyn FnOnce(&mut Reloaded) + Send>;

impl Prepared {
    /// `commit` is to be done.
    pub fn to(commit: impl FnOnce(&mut Reloaded) + Send + 'static) -> Self {
        Self {
            commit: Some(Box::new(commit)),
        }
    }
}

/// Reads the configuration again and hands it to the parts.
pub struct Reloader {
    args: Args,
    parts: Vec<Arc<dyn Part>>,
    in_force: Mutex<Config>,
}

impl Reloader {
    /// `in_force` is what the daemon was started with, by `args`.
    pub fn new(args: Args, in_force: Config, parts: Vec<Arc<dyn Part>>) -> Self {
        Self {
            args,
            parts,
            in_force: Mutex::new(in_force),
        }
    }

    /// Reads and applies it. May block: reads files.
    ///
    /// # Errors
    /// What is wrong, with its place; then everything stays as it is.
    pub fn reload(&self) -> Result<Reloaded, String> {
        let mut in_force = self.in_force.lock();
        reloading();
        let new = Config::load(&self.args).map_err(|error| error.to_string())?;
        let prepared: Vec<Prepared> = self
            .parts
            .iter()
            .map(|part| part.prepare(&new))
            .collect::<Result<_, _>>()?;
        let live: Vec<_> = self.parts.iter().flat_map(|part| part.keys()).collect();
        let (changed, restart): (Vec<_>, Vec<_>) = in_force
            .differences(&new)
            .into_iter()
            .partition(|key| live.contains(&key));
        in_force.adopt(&new, &changed);
        let mut outcome = Reloaded {
            changed: changed.into_iter().map(str::to_owned).collect(),
            restart: restart.into_iter().map(str::to_owned).collect(),
            file: self
                .args
                .config
                .as_ref()
                .map(|file| file.display().to_string()),
            ..Reloaded::default()
        };
        for part in prepared {
            if let Some(commit) = part.commit {
                commit(&mut outcome);
            }
        }
        Ok(outcome)
    }
}
