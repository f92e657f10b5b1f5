//! Child processes that cannot outlive the lab, and short host commands.

use crate::{cleanup, limits, sys};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Where a child lives and what it inherits.
#[derive(Default)]
pub struct Surroundings {
    /// Network namespace to enter; this process's own if absent.
    pub netns: Option<RawFd>,
    /// Descriptors to inherit under the same numbers.
    pub keep: Vec<RawFd>,
}

type Job = Box<dyn FnOnce() + Send>;

/// The thread that spawns all children. A child dies with the *thread* that spawned it, so this
/// one lives as long as the program.
fn spawner() -> &'static Mutex<Sender<Job>> {
    static SPAWNER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (send, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || jobs.iter().for_each(|job| job()));
        Mutex::new(send)
    })
}

/// Spawns `command` so that it dies with this process.
pub fn spawn(mut command: Command, around: Surroundings) -> std::io::Result<Child> {
    sys::prepare_child(&mut command, around.netns, around.keep);
    let (send, result) = mpsc::channel();
    let job: Job = Box::new(move || drop(send.send(command.spawn())));
    let queued = spawner()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send(job);
    let lost = |_| std::io::Error::other("the spawning thread died");
    queued.map_err(|_| std::io::Error::other("the spawning thread died"))?;
    result.recv().map_err(lost)?
}

enum State {
    Running(Child),
    Ended(ExitStatus),
}

/// A long-running child: killed and waited for on drop, and on Ctrl-C.
pub struct Process {
    /// What the child is, for messages.
    pub name: String,
    pid: u32,
    state: Arc<Mutex<State>>,
    _guard: cleanup::Guard,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts `command`, its output going to the file `log`.
    pub fn start(
        name: &str,
        mut command: Command,
        around: Surroundings,
        log: &Path,
    ) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output);
        Self::start_bare(name, command, around)
    }

    /// Starts `command` with its streams as the caller set them.
    pub fn start_bare(name: &str, mut command: Command, around: Surroundings) -> Result<Self> {
        if name != "interactive" {
            command.stdin(Stdio::null());
        }
        let shown = format!("{:?}", command.get_program());
        let child = spawn(command, around).with_context(|| format!("start {name} ({shown})"))?;
        let pid = child.id();
        let state = Arc::new(Mutex::new(State::Running(child)));
        let for_guard = Arc::clone(&state);
        let guard = cleanup::on_drop(move || end(&for_guard));
        Ok(Process {
            name: name.to_owned(),
            pid,
            state,
            _guard: guard,
        })
    }

    /// The child's process id; it is not reused before the child was waited for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How the child ended, if it has.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Ended(status) => Ok(Some(*status)),
            State::Running(child) => {
                let status = child.try_wait()?;
                if let Some(status) = status {
                    *state = State::Ended(status);
                }
                Ok(status)
            }
        }
    }

    /// Sends `signal`, unless the child has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.ended()?.is_none() {
            kill(Pid::from_raw(self.pid as i32), signal)
                .with_context(|| format!("signal {} ({})", self.name, self.pid))?;
        }
        Ok(())
    }

    /// Waits for the child's own end.
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        wait_for(&format!("{} to end", self.name), limit, || self.ended())
    }

    /// Kills the child and waits for it.
    pub fn kill(&self) {
        end(&self.state);
    }
}

fn end(state: &Mutex<State>) {
    let mut state = lock(state);
    if let State::Running(child) = &mut *state {
        // The whole group: cargo leaves its compilers running otherwise.
        let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        if let Ok(status) = child.wait() {
            *state = State::Ended(status);
        }
    }
}

/// Runs a long command whose output the person sees, to its end; killed on Ctrl-C.
pub fn run_visible(name: &str, command: Command) -> Result<ExitStatus> {
    let process = Process::start_bare(name, command, Surroundings::default())?;
    let (mut pause, longest) = limits::POLL;
    loop {
        if let Some(status) = process.ended()? {
            return Ok(status);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// Asks `look` again and again, with growing pauses, until it gives something or time is over.
///
/// For conditions of other processes for which the kernel has no event.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = limits::POLL;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("waited {:.0} s for {what}, in vain", limit.as_secs_f64());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(longest);
    }
}

/// What a short command left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command to its end and returns its output, whatever its exit code; kills it when `limit`
/// is over.
pub fn output(mut command: Command, around: Surroundings, limit: Duration) -> Result<Output> {
    let shown = show(&command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = spawn(command, around).with_context(|| format!("start {shown}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let ended = wait_for(&shown, limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let join = |t: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&t.join().unwrap_or_default()).into_owned()
    };
    Ok(Output {
        status: ended?,
        stdout: join(stdout),
        stderr: join(stderr),
    })
}

/// Runs a command that must succeed; its standard output.
pub fn check(command: Command, around: Surroundings) -> Result<String> {
    let shown = show(&command);
    let out = output(command, around, limits::HOST_COMMAND)?;
    if !out.status.success() {
        bail!("{shown}: {}\n{}", out.status, out.stderr.trim());
    }
    Ok(out.stdout)
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

/// A command as a person would type it.
#[must_use]
pub fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// The last lines of a log file, indented; empty if there is none.
#[must_use]
pub fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&text))
}

/// The last lines of what was said, indented; empty if nothing was.
#[must_use]
pub fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(limits::LOG_TAIL);
    lines[from..]
        .iter()
        .map(|line| format!("    | {}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests;
