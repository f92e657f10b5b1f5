//! In which form the log is written.

use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's, where standard error is the journal; else text.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// The journal's own protocol, with fields.
    Journal,
}

impl LogFormat {
    const WORDS: [(&'static str, Self); 4] = [
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("json", Self::Json),
        ("journal", Self::Journal),
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Journal => "journal",
        }
    }

    /// What `auto` means for this process.
    pub fn resolved(self) -> Self {
        let journal = || std::env::var("JOURNAL_STREAM").ok();
        match self {
            Self::Auto if journal().is_some_and(|stream| is_stderr(&stream)) => Self::Journal,
            Self::Auto => Self::Text,
            chosen => chosen,
        }
    }
}

/// Whether `stream`, as `JOURNAL_STREAM` names it (systemd.exec(5)), is this process's standard error.
pub(super) fn is_stderr(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else {
        return false;
    };
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    device.parse() == Ok(meta.dev()) && inode.parse() == Ok(meta.ino())
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::WORDS.into_iter().find(|&(word, _)| word == text);
        found
            .map(|(_, format)| format)
            .ok_or_else(|| "write auto, text, json or journal".to_owned())
    }
}
