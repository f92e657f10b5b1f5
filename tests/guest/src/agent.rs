//! The agent: reads requests from the virtio-serial port, runs programs, writes replies.
//!
//! Owns the port and the table of running programs. Never gives up: a bad line is answered by
//! silence on the channel and a note on the console, the end of the channel by opening it anew.

use lab_guest::limits::{MAX_LINE, MAX_OUTPUT, MAX_RUNNING, PIPE_GRACE};
use lab_guest::wire::{Outcome, PORT_NAME, Reply, Request};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Running programs by request id; the value is the process group.
type Running = Arc<Mutex<HashMap<u64, i32>>>;
type Port = Arc<Mutex<File>>;

/// Serves until the channel breaks for good.
pub fn serve() -> io::Result<()> {
    let path = port_path()?;
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(&path)?;
    let input = file.try_clone()?;
    let port = Arc::new(Mutex::new(file));
    // The line break ends whatever a previous life of this machine left half-written.
    lock(&port).write_all(b"\n")?;
    reply(
        &port,
        &Reply::Hello {
            kernel: kernel_release(),
            uptime_ms: uptime_ms(),
        },
    );

    let running = Running::default();
    let mut lines = BufReader::with_capacity(64 << 10, input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let got = lines
            .by_ref()
            .take(MAX_LINE as u64)
            .read_until(b'\n', &mut line)?;
        if got == 0 {
            // No host on the other side: wait for it instead of spinning.
            crate::sys::wait_for_host(lines.get_ref())?;
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(request) => handle(&port, &running, request),
            Err(error) if line.trim_ascii().is_empty() => drop(error),
            Err(error) => note(&format!("request not understood: {error}")),
        }
    }
}

fn handle(port: &Port, running: &Running, request: Request) {
    match request {
        Request::Signal { id, signal } => {
            if let Some(group) = lock(running).get(&id) {
                crate::sys::signal_group(*group, signal);
            }
        }
        Request::Run {
            id,
            argv,
            stdin,
            timeout_ms,
        } => {
            if lock(running).len() >= MAX_RUNNING {
                return reply(
                    port,
                    &not_started(id, "too many programs are running".into()),
                );
            }
            let (port, table) = (Arc::clone(port), Arc::clone(running));
            match start(&argv) {
                Err(error) => reply(&port, &not_started(id, format!("{argv:?}: {error}"))),
                Ok(child) => {
                    lock(running).insert(id, child.id() as i32);
                    let limit = Duration::from_millis(timeout_ms);
                    thread::spawn(move || {
                        let answer = attend(id, child, stdin, limit);
                        lock(&table).remove(&id);
                        reply(&port, &answer);
                    });
                }
            }
        }
    }
}

fn start(argv: &[String]) -> io::Result<Child> {
    let [program, args @ ..] = argv else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "empty command"));
    };
    Command::new(program)
        .args(args)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

fn attend(id: u64, mut child: Child, stdin: Option<String>, limit: Duration) -> Reply {
    let deadline = Instant::now() + limit;
    let group = child.id() as i32;
    let input = child.stdin.take();
    thread::spawn(move || {
        if let (Some(mut pipe), Some(text)) = (input, stdin) {
            let _ = pipe.write_all(text.as_bytes());
        }
    });
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let _ = ended.send(child.wait());
    });
    let outcome = match end.recv_timeout(limit) {
        Ok(Ok(status)) => outcome_of(status),
        Ok(Err(_)) => Outcome::NotStarted,
        Err(_) => {
            crate::sys::signal_group(group, libc::SIGKILL);
            Outcome::TimedOut
        }
    };
    let patience = PIPE_GRACE.max(
        deadline
            .saturating_duration_since(Instant::now())
            .min(PIPE_GRACE),
    );
    let take = |pipe: Receiver<Vec<u8>>| {
        let bytes = pipe.recv_timeout(patience).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Reply::Done {
        id,
        outcome,
        stdout: take(stdout),
        stderr: take(stderr),
    }
}

/// Reads a pipe to its end in a thread of its own, keeping at most [`MAX_OUTPUT`] bytes.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (full, result) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(MAX_OUTPUT as u64).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = full.send(kept);
    });
    result
}

fn outcome_of(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exit(code),
        (None, Some(signal)) => Outcome::Signal(signal),
        (None, None) => Outcome::NotStarted,
    }
}

fn not_started(id: u64, why: String) -> Reply {
    Reply::Done {
        id,
        outcome: Outcome::NotStarted,
        stdout: String::new(),
        stderr: why,
    }
}

fn reply(port: &Port, reply: &Reply) {
    let Ok(mut line) = serde_json::to_vec(reply) else {
        return;
    };
    line.push(b'\n');
    if let Err(error) = lock(port).write_all(&line) {
        note(&format!("reply not sent: {error}"));
    }
}

/// Finds the device node of the port that carries our name.
fn port_path() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT_NAME {
            return Ok(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("no virtio port named {PORT_NAME}"),
    ))
}

fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn uptime_ms() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text
        .split(' ')
        .next()
        .and_then(|s| s.parse::<f64>().ok())
        .unwrap_or(0.0);
    (seconds * 1000.0) as u64
}

fn note(text: &str) {
    let _ = writeln!(io::stderr(), "guest-agent: {text}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
