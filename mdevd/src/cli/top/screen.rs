//! The terminal while it is ours: no echo, no lines, its other screen. Given back however the program ends, short
//! of SIGKILL.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Once;

use parking_lot::Mutex;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The other screen, no cursor.
const TAKE: &str = "\x1b[?1049h\x1b[?25l";
/// Plain text, the cursor, the first screen.
const GIVE_BACK: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";
/// Terminals that know these show what stands between them at once.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const FALLBACK: (usize, usize) = (80, 24);

/// What has to be given back; one terminal is all that a process has.
static TAKEN: Mutex<Option<(File, Termios)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal that is ours until dropped.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: File,
}

impl Screen {
    /// Takes `terminal`.
    ///
    /// # Errors
    /// It is none, or has hung up.
    pub(super) fn take(terminal: OwnedFd) -> io::Result<Self> {
        let mut screen = Self {
            terminal: File::from(terminal),
        };
        // Before the message of a panic, so that it is read on the first screen.
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        screen.take_again()?;
        Ok(screen)
    }

    /// Takes it again after it was given back, or after something else changed it.
    ///
    /// # Errors
    /// It has hung up.
    pub(super) fn take_again(&mut self) -> io::Result<()> {
        let was = match TAKEN.lock().take() {
            Some((_, was)) => was,
            None => tcgetattr(&self.terminal)?,
        };
        let mut raw = was.clone();
        raw.make_raw();
        *TAKEN.lock() = Some((self.terminal.try_clone()?, was));
        tcsetattr(&self.terminal, OptionalActions::Now, &raw)?;
        self.terminal.write_all(TAKE.as_bytes())
    }

    /// Gives it back for a while.
    pub(super) fn give_back(&mut self) {
        give_back();
    }

    /// Columns and lines.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(self.terminal.as_fd()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (usize::from(size.ws_col), usize::from(size.ws_row))
            }
            _ => FALLBACK,
        }
    }

    /// Shows these lines and nothing else.
    ///
    /// # Errors
    /// The terminal has hung up.
    pub(super) fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut out = format!("{BEGIN}\x1b[H");
        for (n, line) in lines.iter().enumerate() {
            if n > 0 {
                out += "\r\n";
            }
            // To the end of the line first: at the last column it would take away the last letter.
            out += "\x1b[K";
            out += line;
        }
        if lines.len() < self.size().1 {
            out += "\r\n\x1b[J";
        }
        out += END;
        self.terminal.write_all(out.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, if it is ours. Nothing can be done where that fails.
fn give_back() {
    if let Some((mut terminal, was)) = TAKEN.lock().take() {
        let _ = terminal.write_all(GIVE_BACK.as_bytes());
        let _ = tcsetattr(&terminal, OptionalActions::Now, &was);
    }
}

#[cfg(test)]
mod tests;
