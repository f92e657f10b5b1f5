//! Proves to the service manager, again and again, that the daemon is alive.
//!
//! A thread of its own asks from outside: the runtime has to run a task, and the engine to let somebody
//! at its names. If either does not within the time, nothing is said, and the manager acts as its unit
//! says. Devices' workers are not asked: they have deadlines of their own, and a guest must not be able to
//! have the daemon restarted.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::notify::alive;

/// How often the manager wants to hear: half of `WATCHDOG_USEC`, if that is meant for this process.
pub fn interval() -> Option<Duration> {
    let env = |name| std::env::var(name).ok();
    asked(
        env("WATCHDOG_USEC"),
        env("WATCHDOG_PID"),
        std::process::id(),
    )
}

pub(super) fn asked(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let usec: u64 = usec?.parse().ok().filter(|&usec| usec > 0)?;
    meant.then(|| Duration::from_micros(usec) / 2)
}

/// The thread that proves it; ends when dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Proves it every `interval`. `pulse` gets at the engine's names within the time it is given, and says how
    /// the daemon fares; `None`: it did not get at them.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        interval: Duration,
        runtime: Handle,
        pulse: impl Fn(Duration) -> Option<String> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let beat = move || {
            let mut silent_since = None;
            while stopped.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
                match prove(interval / 2, &runtime, &pulse) {
                    Ok(status) => {
                        silent_since = None;
                        alive(&status);
                    }
                    Err(what) => {
                        let since = *silent_since.get_or_insert_with(Instant::now);
                        let seconds = since.elapsed().as_secs();
                        tracing::error!(
                            seconds,
                            "the watchdog is not told that all is well: {what}"
                        );
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("watchdog".into()).spawn(beat)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a service manager may be told, or who did not answer within twice `patience`.
pub(super) fn prove(
    patience: Duration,
    runtime: &Handle,
    pulse: &impl Fn(Duration) -> Option<String>,
) -> Result<String, &'static str> {
    let (done, ran) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = done.send(());
    });
    ran.recv_timeout(patience)
        .map_err(|_| "the runtime did not run a task in time")?;
    pulse(patience).ok_or("the engine's names were locked all the time")
}
