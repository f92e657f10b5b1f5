//! When a device runs, and how long it is kept.

use serde::{Deserialize, Serialize};

use super::super::definition::Word;
use super::super::error::EngineError;
use super::super::values::word;
use super::boot::BootId;

/// Whether a device is composed when the daemon starts in another boot of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Only by a command.
    #[default]
    Manual,
    /// By the daemon, too.
    Auto,
}

impl Word for Start {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("manual", Self::Manual)];
}

/// The life cycle of one device, as recorded. The default is what devices were before it was recorded:
/// persistent, and started with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Forgotten when it stops, and with the boot of the host that it was made in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// Whether the daemon starts it.
    pub start: Start,
    /// When, among those that it starts: lower first.
    #[serde(skip_serializing_if = "is_zero")]
    pub order: i32,
    /// The boot that it was started or stopped in last; none: neither has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// It was started then; else stopped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
}

const fn is_zero(order: &i32) -> bool {
    *order == 0
}

impl Default for Life {
    fn default() -> Self {
        Self {
            transient: false,
            start: Start::Auto,
            order: 0,
            boot: None,
            running: false,
        }
    }
}

impl Life {
    /// Of a device that is made by `create` in the boot `now`.
    pub const fn transient(now: BootId) -> Self {
        Self {
            transient: true,
            start: Start::Manual,
            order: 0,
            boot: Some(now),
            running: true,
        }
    }

    /// Of a definition that has not been started.
    pub const fn persistent(start: Start, order: i32) -> Self {
        Self {
            transient: false,
            start,
            order,
            boot: None,
            running: false,
        }
    }

    /// The same, started in the boot `now`.
    pub const fn started(self, now: BootId) -> Self {
        Self {
            boot: Some(now),
            running: true,
            ..self
        }
    }

    /// The same, stopped in the boot `now`.
    pub const fn stopped(self, now: BootId) -> Self {
        Self {
            boot: Some(now),
            running: false,
            ..self
        }
    }

    /// Whether the daemon composes it when it starts in the boot `now`: in the same boot what ran, else what
    /// starts by itself.
    pub fn comes_back(&self, now: BootId) -> bool {
        match self.boot {
            Some(boot) if boot.is(now) => self.running,
            _ => !self.transient && self.start == Start::Auto,
        }
    }

    /// Whether its boot is over, and it with it.
    pub fn is_over(&self, now: BootId) -> bool {
        self.transient && !self.boot.is_some_and(|boot| boot.is(now))
    }
}

/// What a request says about the life cycle, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifeRequest {
    /// A word of [`Start`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Place among those that the daemon starts, lower first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// `create`: keep it as `define` does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub persistent: bool,
}

/// The same, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifeDraft {
    /// Whether the daemon starts it, if that was said.
    pub start: Option<Start>,
    /// Its place, if that was said.
    pub order: Option<i32>,
    /// Keep it.
    pub persistent: bool,
}

impl LifeRequest {
    /// Checks each by itself.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`].
    pub fn check(&self) -> Result<LifeDraft, EngineError> {
        let start = self.start.as_deref().map(|text| word("start", Some(text)));
        Ok(LifeDraft {
            start: start.transpose()?,
            order: self.order.map(check_order).transpose()?,
            persistent: self.persistent,
        })
    }
}

impl LifeDraft {
    /// The life of a new device that `create` makes.
    ///
    /// # Errors
    /// It says when a transient device is to be started.
    pub(in crate::engine) fn of_created(self, now: BootId) -> Result<Life, EngineError> {
        if self.persistent {
            // As created devices were before there were definitions: they come back.
            let start = self.start.unwrap_or(Start::Auto);
            return Ok(Life::persistent(start, self.order.unwrap_or(0)).started(now));
        }
        let why = "a device that is made by 'create' ends with this boot of the host and is not started by the \
                   daemon; say persistent, too (--persistent), or define it";
        match (self.start, self.order) {
            (None, None) => Ok(Life::transient(now)),
            (Some(start), _) => Err(EngineError::invalid("start", start.word(), why)),
            (None, Some(order)) => Err(EngineError::invalid("order", order, why)),
        }
    }

    /// The life of a new definition.
    pub(in crate::engine) fn of_defined(self) -> Life {
        Life::persistent(self.start.unwrap_or_default(), self.order.unwrap_or(0))
    }

    /// The life of a definition in place of one that had `life`: what is not said is as in a new one; whether it ran stays.
    pub(in crate::engine) fn instead_of(self, life: Life) -> Life {
        let Life { start, order, .. } = self.of_defined();
        Life {
            start,
            order,
            ..life
        }
    }

    /// What is said to `set`, upon what is.
    ///
    /// # Errors
    /// A transient device is not started by the daemon.
    pub(in crate::engine) fn set_upon(self, name: &str, life: Life) -> Result<Life, EngineError> {
        let why = format!(
            "it is transient: it ends with this boot of the host, and is not started by the daemon; define it first \
             ('cvfctl define {name}' keeps what runs)"
        );
        match (life.transient, self.start, self.order) {
            (true, Some(start), _) => Err(EngineError::invalid("start", start.word(), why)),
            (true, None, Some(order)) => Err(EngineError::invalid("order", order, why)),
            _ => Ok(self.upon(life)),
        }
    }

    /// What is said, upon what is.
    pub(in crate::engine) fn upon(self, life: Life) -> Life {
        Life {
            start: self.start.unwrap_or(life.start),
            order: self.order.unwrap_or(life.order),
            ..life
        }
    }
}

/// Farthest from the middle that a place in the order can be.
pub const MAX_ORDER: i32 = 1_000_000;

fn check_order(order: i64) -> Result<i32, EngineError> {
    let fits = i32::try_from(order).ok();
    fits.filter(|order| (-MAX_ORDER..=MAX_ORDER).contains(order))
        .ok_or_else(|| {
            let why = format!("it is from -{MAX_ORDER} to {MAX_ORDER}, lower first");
            EngineError::invalid("order", order, why)
        })
}

/// A place in the order, as `set` takes it.
///
/// # Errors
/// [`EngineError::InvalidArgument`].
pub(in crate::engine) fn order(text: &str) -> Result<i32, EngineError> {
    let why = format!("it is a number from -{MAX_ORDER} to {MAX_ORDER}, lower first");
    let order = text.parse();
    check_order(order.map_err(|_| EngineError::invalid("order", text, why))?)
}

#[cfg(test)]
mod tests;
