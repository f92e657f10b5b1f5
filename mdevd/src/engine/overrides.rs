//! What an operator lets one device's guest do, whatever its profile says.

use policies::Given;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::error::EngineError;
use crate::nearest;

/// Decisions about one device; what is absent is its profile's to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// See [`Given::spoof_check`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
    /// See [`Given::trust`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<bool>,
    /// See [`Given::promiscuous`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promiscuous: Option<bool>,
    /// See [`Given::multicast`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multicast: Option<bool>,
}

/// The word that leaves a decision to the profile.
const PROFILE: &str = "profile";

impl Overrides {
    /// Every decision by its name on the bus, with the words for yes and no.
    pub const KEYS: [(&'static str, [&'static str; 2]); 4] = [
        ("spoof_check", ["on", "off"]),
        ("trust", ["on", "off"]),
        ("promiscuous", ["allow", "deny"]),
        ("multicast", ["allow", "deny"]),
    ];

    /// Nothing is decided.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Every decision, in the order of [`Overrides::KEYS`].
    pub const fn all(&self) -> [Option<bool>; 4] {
        [
            self.spoof_check,
            self.trust,
            self.promiscuous,
            self.multicast,
        ]
    }

    /// Sets the decision of that name.
    pub fn set(&mut self, key: &str, to: Option<bool>) {
        match key {
            "spoof_check" => self.spoof_check = to,
            "trust" => self.trust = to,
            "promiscuous" => self.promiscuous = to,
            "multicast" => self.multicast = to,
            _ => {}
        }
    }

    /// The same with what was asked for.
    #[must_use]
    pub(super) fn with(mut self, asked: &[Asked]) -> Self {
        for &(key, to) in asked {
            self.set(key, to);
        }
        self
    }

    /// The word of the decision of that name; `None`: there is no such.
    pub fn word(&self, key: &str) -> Option<&'static str> {
        let at = Self::KEYS.iter().position(|(known, _)| *known == key)?;
        let [yes, no] = Self::KEYS[at].1;
        Some(match self.all()[at] {
            Some(true) => yes,
            Some(false) => no,
            None => PROFILE,
        })
    }

    /// Reads what was asked for, in the order of [`Overrides::KEYS`].
    ///
    /// # Errors
    /// A word that is none.
    pub(super) fn asked(texts: [&Option<String>; 4]) -> Result<Vec<Asked>, EngineError> {
        let all = Self::KEYS.into_iter().zip(texts);
        let given = all.filter_map(|(key, text)| Some((key, text.as_deref()?)));
        given
            .map(|((key, [yes, no]), text)| match text {
                text if text == yes => Ok((key, Some(true))),
                text if text == no => Ok((key, Some(false))),
                PROFILE => Ok((key, None)),
                text => {
                    let words = [yes, no, PROFILE];
                    let hint = nearest::hint(text, words);
                    let why = format!("it is one of {}{hint}", words.join(", "));
                    Err(EngineError::invalid(key, text, why))
                }
            })
            .collect()
    }
}

/// A decision by its name on the bus; `None`: its profile's again.
pub type Asked = (&'static str, Option<bool>);

impl Definition {
    /// What it was given beside its profile.
    pub fn given(&self) -> Given {
        let Overrides {
            spoof_check,
            trust,
            promiscuous,
            multicast,
        } = self.overrides;
        Given {
            spoof_check,
            trust,
            promiscuous,
            multicast,
            trunk: self.trunk.as_ref().map(|trunk| trunk.ranges().to_vec()),
        }
    }
}
