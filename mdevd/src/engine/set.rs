//! Attributes that change while a device runs.

use serde::{Deserialize, Serialize};

use super::definition::Word;
use super::error::EngineError;
use crate::nearest;

/// A request to change attributes of a device, as it came; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SetRequest {
    /// A word of [`Link`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// The link that the guest's driver sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// There is one.
    #[default]
    Up,
    /// The cable is out.
    Down,
}

impl Word for Link {
    const WORDS: &'static [(&'static str, Self)] = &[("up", Self::Up), ("down", Self::Down)];
}

/// A checked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The link's new state.
    pub link: Option<Link>,
}

/// What `set` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Device.
    pub name: String,
    /// False: it was so already.
    pub changed: bool,
}

impl SetRequest {
    /// Every attribute by its name on the bus.
    pub const KEYS: [&'static str; 1] = ["link"];

    /// Checks every attribute.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`]: a value that cannot be, or nothing to change.
    pub fn check(self) -> Result<Changes, EngineError> {
        let Some(text) = self.link else {
            let why = format!(
                "nothing is to be changed; give one of {}",
                Self::KEYS.join(", ")
            );
            return Err(EngineError::invalid("attributes", "", why));
        };
        let link = Link::from_word(&text).ok_or_else(|| {
            let words = Link::WORDS.iter().map(|&(word, _)| word);
            let hint = nearest::hint(&text, words);
            EngineError::invalid("link", &text, format!("it is up or down{hint}"))
        })?;
        Ok(Changes { link: Some(link) })
    }
}
