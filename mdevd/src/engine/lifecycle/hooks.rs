//! Others who have a say in what happens to devices, or want to hear of it.

use super::super::catalog::Catalog;
use super::super::definition::Definition;
use super::super::error::{EngineError, ErrorKind};
use super::super::jobs::{self, CutShort};

/// What a command does to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Stores a definition, or another one in its place.
    Define,
    /// Forgets a definition.
    Undefine,
    /// Composes a defined device.
    Start,
    /// Retires a device and keeps its definition.
    Stop,
    /// Makes a device.
    Create,
    /// Takes a device away for good.
    Destroy,
    /// Changes attributes.
    Set,
}

impl Action {
    /// The action's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Define => "define",
            Self::Undefine => "undefine",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Create => "create",
            Self::Destroy => "destroy",
            Self::Set => "change",
        }
    }
}

/// A command, as it concerns one device.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// What it does.
    pub action: Action,
    /// To what; where it changes something, as it will be.
    pub definition: &'a Definition,
}

/// Asked before a command does anything, and told afterwards. Called from any thread, for several devices at
/// once, never with the names locked: only commands on the same device wait. Who takes long says so
/// ([`jobs::waits`], [`jobs::tells`]).
pub trait Hooks: Send + Sync + 'static {
    /// Asks.
    ///
    /// # Errors
    /// A sentence: the command is refused.
    fn before(&self, moment: Moment<'_>) -> Result<(), String>;

    /// Tells what came of it.
    fn after(&self, moment: Moment<'_>, done: bool);
}

impl Catalog {
    /// Asks the hooks, if there are any.
    pub(in crate::engine) fn before(
        &self,
        action: Action,
        definition: &Definition,
    ) -> Result<(), EngineError> {
        let Some(hooks) = &self.hooks else {
            return Ok(());
        };
        let asked = hooks.before(Moment { action, definition });
        asked.map_err(|why| EngineError::Refused {
            attempted: action.word(),
            name: definition.name.clone(),
            kind: jobs::cut_short().map_or(ErrorKind::Denied, CutShort::kind),
            why,
        })
    }

    /// Tells the hooks, if there are any.
    pub(in crate::engine) fn after(&self, action: Action, definition: &Definition, done: bool) {
        if let Some(hooks) = &self.hooks {
            hooks.after(Moment { action, definition }, done);
        }
    }
}
