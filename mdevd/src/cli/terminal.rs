//! What standard output is.

use std::io::{IsTerminal, stdout};

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Columns, if it is a terminal.
    pub(super) width: Option<usize>,
    /// Colour is welcome.
    pub(super) colour: bool,
}

impl Terminal {
    /// Looks at standard output. `colour`: `auto`, `always`, `never`.
    pub(super) fn detect(colour: &str) -> Self {
        if !stdout().is_terminal() {
            return Self {
                width: None,
                colour: colour == "always",
            };
        }
        let asked_not = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let size = rustix::termios::tcgetwinsize(stdout());
        let width = size
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|&width| width > 0);
        Self {
            width,
            colour: match colour {
                "always" => true,
                "never" => false,
                _ => !asked_not && !dumb,
            },
        }
    }

    /// `text` in the colour of `tone`.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        match (self.colour, tone) {
            (true, Tone::Good) => format!("\x1b[32m{text}\x1b[0m"),
            (true, Tone::Bad) => format!("\x1b[31m{text}\x1b[0m"),
            (true, Tone::Warn) => format!("\x1b[33m{text}\x1b[0m"),
            (true, Tone::Busy) => format!("\x1b[36m{text}\x1b[0m"),
            (true, Tone::Head) => format!("\x1b[1m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// What a text means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Head,
    Good,
    Busy,
    Warn,
    Bad,
}
