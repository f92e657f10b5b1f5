//! What must be undone even when the person presses Ctrl-C: one register for the whole program.
//!
//! Every undoing runs exactly once: either when its [`Guard`] is dropped, or when a stop signal
//! arrives. Children need no entry to die (they die with us); they have one to be waited for.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Undo = Box<dyn FnOnce() + Send>;

struct Register {
    next: u64,
    undo: BTreeMap<u64, Undo>,
}

static REGISTER: Mutex<Register> = Mutex::new(Register {
    next: 0,
    undo: BTreeMap::new(),
});

fn register() -> MutexGuard<'static, Register> {
    REGISTER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs its undoing when dropped.
#[must_use = "dropping the guard runs the undoing at once"]
pub struct Guard(u64);

/// Registers `undo` to run when the guard is dropped or the program is asked to stop.
pub fn on_drop(undo: impl FnOnce() + Send + 'static) -> Guard {
    let mut register = register();
    let id = register.next;
    register.next += 1;
    register.undo.insert(id, Box::new(undo));
    Guard(id)
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Taken out first: the lock must not be held while the undoing runs.
        let undo = register().undo.remove(&self.0);
        if let Some(undo) = undo {
            undo();
        }
    }
}

/// Set by the first stop signal.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// The end of the program: undoes what is left and gives `code` to the caller, unless a stop signal
/// has come, which then ends the program itself.
#[must_use]
pub fn finish(code: ExitCode) -> ExitCode {
    while STOPPING.load(Ordering::Acquire) {
        std::thread::park();
    }
    run_all();
    code
}

/// Undoes everything that is still registered, latest first.
pub fn run_all() {
    loop {
        let latest = register().undo.pop_last();
        match latest {
            Some((_, undo)) => undo(),
            None => return,
        }
    }
}

/// From here on SIGINT, SIGTERM and SIGHUP undo everything and end the program with 128 + signal.
///
/// To be called before any thread is started, so that no thread takes the signal the default way.
pub fn install() -> std::io::Result<()> {
    let set = crate::sys::block_stop_signals()?;
    std::thread::spawn(move || {
        if let Ok(signal) = set.wait() {
            STOPPING.store(true, Ordering::Release);
            crate::ui::say("stopping, cleaning up");
            run_all();
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests;
