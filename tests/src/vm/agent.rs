//! The host's end of the guest agent's channel: runs programs inside the guest.

use crate::limits;
use anyhow::{Context, Result, anyhow, bail};
use lab_guest::limits::MAX_LINE;
use lab_guest::wire::{Outcome, Reply, Request};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a program inside the guest left.
#[derive(Clone, Debug)]
pub struct GuestOutput {
    /// How it ended.
    pub outcome: Outcome,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Sender<GuestOutput>>,
    /// How often the agent has greeted: once a boot.
    greetings: u32,
    kernel: String,
    closed: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// The channel. May be used by several threads at once.
#[derive(Clone)]
pub struct Agent {
    output: Arc<Mutex<(UnixStream, u64)>>,
    state: Shared,
}

/// A program that is running in the guest.
pub struct Job {
    agent: Agent,
    id: u64,
    what: String,
    done: Receiver<GuestOutput>,
    limit: Duration,
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Agent {
    /// Takes the host's end of the channel.
    ///
    /// # Errors
    /// If the socket cannot be duplicated.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let state = Shared::default();
        let input = stream.try_clone()?;
        let shared = Arc::clone(&state);
        thread::spawn(move || read_all(input, &shared));
        Ok(Agent {
            output: Arc::new(Mutex::new((stream, 1))),
            state,
        })
    }

    /// How often the agent has greeted so far.
    #[must_use]
    pub fn greetings(&self) -> u32 {
        lock(&self.state).greetings
    }

    /// Kernel release of the guest, empty before the first greeting.
    #[must_use]
    pub fn kernel(&self) -> String {
        lock(&self.state).kernel.clone()
    }

    /// Waits for the agent's greeting number `number` (the first is 1).
    ///
    /// # Errors
    /// If QEMU goes away or the greeting does not come in time.
    pub fn wait_greeting(&self, number: u32, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.state);
        while state.greetings < number {
            if state.closed {
                bail!("QEMU ended before the guest was up");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the guest was not up after {:.0} s", limit.as_secs_f64());
            }
            let woken = self.state.1.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Starts a program and lets it run; it is killed in the guest after `limit`.
    ///
    /// # Errors
    /// If the channel is broken.
    pub fn start(&self, argv: &[&str], limit: Duration) -> Result<Job> {
        let (send, done) = mpsc::channel();
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let id = output.1;
        output.1 += 1;
        lock(&self.state).waiting.insert(id, send);
        let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
        let what = argv.join(" ");
        let timeout_ms = u64::try_from(limit.as_millis())?;
        write(
            &mut output.0,
            &Request::Run {
                id,
                argv,
                stdin: None,
                timeout_ms,
            },
        )?;
        drop(output);
        Ok(Job {
            agent: self.clone(),
            id,
            what,
            done,
            limit,
        })
    }
}

fn write(stream: &mut UnixStream, request: &Request) -> Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream
        .write_all(&line)
        .context("the agent's channel is broken")
}

impl Job {
    /// Waits for the program's end.
    ///
    /// # Errors
    /// If the guest went away or does not answer.
    pub fn wait(self) -> Result<GuestOutput> {
        let patience = self.limit + limits::GUEST_SLACK;
        match self.done.recv_timeout(patience) {
            Ok(output) => Ok(output),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("the guest went away during `{}`", self.what)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!(
                    "the guest gave no answer to `{}` in {:.0} s",
                    self.what,
                    patience.as_secs_f64()
                )
            }
        }
    }

    /// Waits for the program's end, which must be a success; its standard output.
    ///
    /// # Errors
    /// If it fails; its standard error is in the message.
    pub fn check(self) -> Result<String> {
        let what = self.what.clone();
        let output = self.wait()?;
        match output.outcome {
            Outcome::Exit(0) => Ok(output.stdout),
            other => Err(anyhow!(
                "in the guest, `{what}`: {other:?}\n{}{}",
                output.stdout,
                output.stderr.trim_end()
            )),
        }
    }

    /// Asks the program to stop (SIGTERM).
    ///
    /// # Errors
    /// If the channel is broken.
    pub fn stop(&self) -> Result<()> {
        self.signal(libc::SIGTERM)
    }

    /// Ends the program at once (SIGKILL).
    ///
    /// # Errors
    /// If the channel is broken.
    pub fn kill(&self) -> Result<()> {
        self.signal(libc::SIGKILL)
    }

    fn signal(&self, signal: i32) -> Result<()> {
        let mut output = self
            .agent
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        write(
            &mut output.0,
            &Request::Signal {
                id: self.id,
                signal,
            },
        )
    }

    /// True while the program has not reported its end.
    #[must_use]
    pub fn is_running(&self) -> bool {
        lock(&self.agent.state).waiting.contains_key(&self.id)
    }
}

fn read_all(input: UnixStream, shared: &Shared) {
    let mut lines = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)
        {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let Ok(reply) = serde_json::from_slice::<Reply>(&line) else {
            continue;
        };
        let mut state = lock(shared);
        match reply {
            Reply::Hello { kernel, .. } => {
                // A new life of the guest knows nothing of what was running before.
                state.waiting.clear();
                state.greetings += 1;
                state.kernel = kernel;
            }
            Reply::Done {
                id,
                outcome,
                stdout,
                stderr,
            } => {
                if let Some(waiting) = state.waiting.remove(&id) {
                    let _ = waiting.send(GuestOutput {
                        outcome,
                        stdout,
                        stderr,
                    });
                }
            }
        }
        drop(state);
        shared.1.notify_all();
    }
    let mut state = lock(shared);
    state.closed = true;
    state.waiting.clear();
    drop(state);
    shared.1.notify_all();
}

#[cfg(test)]
mod tests;
