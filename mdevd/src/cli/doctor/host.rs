//! Files of a host, below a root.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// Most bytes that are read of one file.
const MAX_FILE: u64 = 64 << 10;

/// A host's files.
#[derive(Clone, Debug)]
pub(super) struct Host {
    root: PathBuf,
}

impl Host {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where an absolute path of the host is for us.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without the space around it; `None`: there is no such file, or it is not for us.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let mut text = String::new();
        let file = File::open(self.at(path)).ok()?;
        file.take(MAX_FILE).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned())
    }

    /// A file's number.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// Names in a directory, in order; none if it is not there.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(path)).into_iter().flatten();
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Whether a device may be opened to read and write.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn open(&self, path: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        options.read(true).write(true).custom_flags(flags.bits());
        options.open(self.at(path)).map(drop)
    }
}

/// Whether this process may write in `dir`, or, where it is missing, make it.
///
/// # Errors
/// Where it failed, and why.
pub(super) fn writable(dir: &Path) -> Result<(), (PathBuf, io::Error)> {
    let nearest = dir.ancestors().find(|dir| dir.exists());
    let nearest = nearest.unwrap_or(Path::new("/"));
    let refuse = |error: io::Error| (nearest.to_owned(), error);
    if !nearest.is_dir() {
        return Err(refuse(io::ErrorKind::NotADirectory.into()));
    }
    // Also tells of a file system that is mounted read-only.
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(nearest, access).map_err(|error| refuse(error.into()))
}
