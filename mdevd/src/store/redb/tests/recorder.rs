//! A medium in memory that remembers what was done to it, and can be told to refuse.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use super::super::database;
use super::super::medium::Medium;

/// Something that redb did to the file.
#[derive(Clone, Debug)]
pub enum Op {
    Write { at: usize, data: Vec<u8> },
    Len(usize),
    Sync,
}

/// Does it, as a file would.
pub fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { at, data } => write(bytes, *at, data),
        Op::Len(len) => bytes.resize(*len, 0),
        Op::Sync => {}
    }
}

/// Writes where the file may not reach yet.
pub fn write(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

#[derive(Debug, Default)]
struct Tape {
    base: Vec<u8>,
    now: Vec<u8>,
    ops: Vec<Op>,
    /// Changes that are still done; `None`: all.
    left: Option<u64>,
    error: Option<io::ErrorKind>,
}

/// Shared: the backends that it gives are itself.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<Tape>>);

impl Recorder {
    /// With these bytes.
    pub fn of(now: Vec<u8>) -> Self {
        let tape = Tape {
            base: now.clone(),
            now,
            ..Tape::default()
        };
        Self(Arc::new(Mutex::new(tape)))
    }

    /// With an empty store.
    pub fn made() -> Self {
        let recorder = Self::of(Vec::new());
        database::make(Box::new(recorder.clone())).expect("a database");
        recorder.copy()
    }

    /// The bytes before all that was done.
    pub fn base(&self) -> Vec<u8> {
        self.0.lock().base.clone()
    }

    /// Another one with the same bytes.
    pub fn copy(&self) -> Self {
        Self::of(self.0.lock().now.clone())
    }

    /// How much was done.
    pub fn len(&self) -> usize {
        self.0.lock().ops.len()
    }

    pub fn syncs(&self) -> usize {
        let tape = self.0.lock();
        tape.ops.iter().filter(|op| matches!(op, Op::Sync)).count()
    }

    /// All that was done.
    pub fn ops(&self) -> Vec<Op> {
        self.0.lock().ops.clone()
    }

    /// After `left` more changes every one fails so.
    pub fn fail_after(&self, left: u64, error: io::ErrorKind) {
        let mut tape = self.0.lock();
        (tape.left, tape.error) = (Some(left), Some(error));
    }

    /// Works again. True: it had refused something.
    pub fn heal(&self) -> bool {
        let mut tape = self.0.lock();
        tape.error = None;
        tape.left.take() == Some(0)
    }

    fn record(&self, op: Op) -> io::Result<()> {
        let tape = &mut *self.0.lock();
        match (&mut tape.left, tape.error) {
            (Some(0), Some(error)) => return Err(error.into()),
            (Some(left), _) => *left -= 1,
            (None, _) => {}
        }
        apply(&mut tape.now, &op);
        tape.ops.push(op);
        Ok(())
    }
}

impl Medium for Recorder {
    fn bytes(&self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().now.clone())
    }

    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn path(&self) -> &Path {
        Path::new("the recorded file")
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let tape = self.0.lock();
        let start = usize::try_from(offset).expect("fits");
        let bytes = tape.now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Op::Len(usize::try_from(len).expect("fits")))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.record(Op::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).expect("fits");
        self.record(Op::Write {
            at,
            data: data.to_vec(),
        })
    }
}
