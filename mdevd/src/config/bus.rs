//! Whether to join the system's message bus.

/// What to do about the system bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemBus {
    /// Join it where and when there is one.
    #[default]
    Auto,
    /// Do not start without it.
    On,
    /// Leave it alone.
    Off,
}

impl SystemBus {
    /// Every choice by its word.
    const WORDS: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];

    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for SystemBus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::WORDS.into_iter().find(|&(word, _)| word == text);
        found
            .map(|(_, choice)| choice)
            .ok_or_else(|| "write auto, on or off".to_owned())
    }
}
