//! `cvfctl capture`: what a device sends and receives, as pcapng or as lines for people.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::builder::PossibleValuesParser;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::args::number;
use super::frame;
use super::{Answer, Failure, REFUSED};
use crate::bus::{ManagerClient, Options};
use crate::pcapng::{self, Block, Blocks, Statistics};
use crate::text::counted;

/// Pieces that wait to be written; while more would, the daemon is not listened to.
const MAX_PIECES: usize = 16;
/// Bytes that are read in one go.
const READ: usize = 64 << 10;

/// What to look at, for how long, and where it goes.
#[derive(Clone, Debug, clap::Args)]
pub struct Capture {
    /// Device
    pub name: String,
    /// Write pcapng into this file; - is standard output [default: pcapng to standard output, lines where
    /// that is a terminal]
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Print a line for each frame, wherever it goes
    #[arg(long, conflicts_with = "write")]
    pub text: bool,
    /// End after so many frames
    #[arg(long, value_name = "N", value_parser = frames)]
    pub count: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Take so many bytes of each frame, at most 65535 [default: 256]
    #[arg(long, value_name = "BYTES", value_parser = number(1, u16::MAX))]
    pub snaplen: Option<u64>,
    /// in: what its guest receives; out: what it sends
    #[arg(long, value_name = "WAY", default_value = "both",
          value_parser = PossibleValuesParser::new(["in", "out", "both"]))]
    pub direction: String,
    /// Only frames that are dropped
    #[arg(long)]
    pub drops: bool,
}

impl Capture {
    fn options(&self) -> Options {
        let mut options = Options::new();
        options.insert("direction", self.direction.clone().into());
        for (key, value) in [("count", self.count), ("snaplen", self.snaplen)] {
            if let Some(value) = value {
                options.insert(key, value.into());
            }
        }
        if let Some(seconds) = self.seconds {
            options.insert("seconds", seconds.into());
        }
        if self.drops {
            options.insert("drops", true.into());
        }
        options
    }

    /// The file that it goes to, if it is one.
    fn file(&self) -> Option<&Path> {
        self.write.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// Reads a number of frames; its range is the daemon's to hold.
fn frames(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "write a whole number, 1 or more")
}

/// The same of seconds.
fn seconds(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .map_err(|_| "write a number of seconds, as in 10 or 0.5")
}

/// What is made of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As they come.
    Pcapng,
    Lines,
    Json,
}

/// Shows frames until interrupted, or as long as `options` say.
pub(super) async fn run(
    client: &ManagerClient,
    options: &Capture,
    (terminal, json): (bool, bool),
) -> Result<Answer, Failure> {
    let form = match (&options.write, json) {
        (Some(path), true) if path == Path::new("-") => {
            return Err(Failure::usage(
                "standard output takes pcapng or JSON, not both: leave out --json, or write into a file",
            ));
        }
        (Some(_), _) => Form::Pcapng,
        (None, true) => Form::Json,
        (None, false) if options.text || terminal => Form::Lines,
        (None, false) => Form::Pcapng,
    };
    // Before anything is asked for, so that what cannot be written is not captured.
    let output: Box<dyn Write + Send> = match options.file() {
        Some(path) => Box::new(create(path)?),
        None => Box::new(io::stdout()),
    };
    let mut stop = Stop::new().map_err(|error| failed(&error))?;
    let reader = client.capture(&options.name, options.options()).await?;
    let (pieces, written) = writer(output);
    let mut copying = Copying::new(form);
    tokio::select! {
        biased;
        () = stop.asked() => copying.interrupted(),
        copied = copying.all(reader, &pieces) => copied?,
    }
    let last = copying.last();
    let rest = async move {
        // A reader that has gone away wants nothing more.
        let _ = pieces.send(last).await;
        drop(pieces);
        written.await
    };
    let written = tokio::select! {
        // Once more: whoever should read it does not.
        () = stop.asked() => return Ok(Answer::nothing()),
        written = rest => written,
    };
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&"the writer failed")),
    }
    Ok(copying.answer(options, form))
}

/// Whoever wants this to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn failed(error: &impl ToString) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message: format!("cannot write the capture: {}", error.to_string()),
    }
}

/// For its owner alone: it has what others say to each other.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path).and_then(|file| {
        // One that was there may be open to others. What is no file, as a terminal, is left alone.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    });
    file.map_err(|error| Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message: format!("cannot write {}: {error}", path.display()),
    })
}

/// A thread that writes, so that a reader who does not read cannot keep this program from ending; nobody has to wait
/// for it.
fn writer(
    mut output: Box<dyn Write + Send>,
) -> (mpsc::Sender<Vec<u8>>, oneshot::Receiver<io::Result<()>>) {
    let (pieces, mut waiting) = mpsc::channel::<Vec<u8>>(MAX_PIECES);
    let (done, written) = oneshot::channel();
    std::thread::spawn(move || {
        let mut write = || {
            while let Some(piece) = waiting.blocking_recv() {
                output.write_all(&piece)?;
                output.flush()?;
            }
            Ok(())
        };
        let wrote = write();
        // Nobody may be waiting.
        let _ = done.send(wrote);
    });
    (pieces, written)
}

/// A capture on its way through.
struct Copying {
    form: Form,
    blocks: Blocks,
    frames: u64,
    lost: u64,
    start: u64,
    /// What the daemon says at the end.
    told: Option<Statistics>,
    interrupted: bool,
}

impl Copying {
    fn new(form: Form) -> Self {
        Self {
            form,
            blocks: Blocks::default(),
            frames: 0,
            lost: 0,
            start: now(),
            told: None,
            interrupted: false,
        }
    }

    /// Passes everything on until its end, or until nobody wants it any more.
    async fn all(
        &mut self,
        reader: OwnedFd,
        pieces: &mpsc::Sender<Vec<u8>>,
    ) -> Result<(), Failure> {
        let mut reader = pipe::Receiver::from_owned_fd(reader).map_err(|error| failed(&error))?;
        let mut bytes = vec![0; READ];
        loop {
            let read = tokio::select! {
                biased;
                // Nobody reads what is written.
                () = pieces.closed() => return Ok(()),
                read = reader.read(&mut bytes) => read,
            };
            match read {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let piece = self.pass(&bytes[..count])?;
                    if !piece.is_empty() && pieces.send(piece).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(failed(&error)),
            }
        }
    }

    /// Whole blocks of what has come, in the form that is wanted.
    fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        self.blocks.feed(bytes);
        let mut out = Vec::with_capacity(bytes.len());
        while let Some((whole, block)) = self.blocks.take().map_err(|error| failed(&error))? {
            match &block {
                Block::Packet(packet) => {
                    self.frames += 1;
                    self.lost += packet.lost;
                    match self.form {
                        Form::Pcapng => {}
                        Form::Lines => out.extend(frame::line(packet).into_bytes()),
                        Form::Json => out.extend(format!("{}\n", frame::json(packet)).into_bytes()),
                    }
                }
                Block::Statistics(told) => {
                    self.lost = told.lost;
                    self.told = Some(*told);
                }
                Block::Other => {}
            }
            if self.form == Form::Pcapng {
                out.extend_from_slice(whole);
            }
        }
        Ok(out)
    }

    const fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// What the daemon would have said at the end.
    fn last(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.form == Form::Pcapng && self.told.is_none() && self.interrupted {
            let statistics = Statistics {
                start: self.start,
                end: now(),
                seen: self.frames + self.lost,
                lost: self.lost,
            };
            pcapng::statistics(&mut out, &statistics);
        }
        out
    }

    /// Says what came of it: as JSON, or on standard error, for standard output is the capture's.
    fn answer(&self, options: &Capture, form: Form) -> Answer {
        let (name, frames, lost) = (&options.name, self.frames, self.lost);
        let file = options.file().map(|path| path.display().to_string());
        let mut said = format!("{} of {name} captured", counted(frames, "frame"));
        if lost > 0 {
            said.push_str(&format!(
                "; {lost} more are lost, because they were not taken in time: take less of each (--snaplen), \
                 fewer (--direction, --drops), or write into a file"
            ));
        }
        if self.told.is_none() && !self.interrupted {
            said.push_str("; the daemon has ended it");
        }
        let _ = writeln!(io::stderr(), "cvfctl: {said}");
        let mut json =
            json!({ "result": "captured", "name": name, "frames": frames, "lost": lost });
        if let Some(file) = file {
            json["file"] = json!(file);
        }
        if form == Form::Pcapng && options.file().is_none() {
            return Answer::nothing();
        }
        Answer {
            json,
            text: String::new(),
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
