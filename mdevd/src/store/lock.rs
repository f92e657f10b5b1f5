//! One daemon per directory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A directory cannot be had alone.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "another mdevd{} uses the {what} directory {}; stop it, or give this one a directory of its own",
        holder.map_or_else(String::new, |pid| format!(" (process {pid})")), dir.display()
    )]
    Held {
        /// "state" or "runtime".
        what: &'static str,
        /// The directory.
        dir: PathBuf,
        /// The holder's process id, as it wrote it.
        holder: Option<u32>,
    },
    /// The lock file cannot be written.
    #[error("cannot write in the {what} directory {}: {error}; make room in it and make it writable for this user, or give another one", dir.display())]
    Unwritable {
        /// "state" or "runtime".
        what: &'static str,
        /// The directory.
        dir: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
}

/// A held lock; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: Flock<File>,
}

impl DirLock {
    /// Locks `dir` by a file in it and writes our process id there, if there is room: a directory that
    /// can no longer be written is locked all the same, if it was before.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn acquire(dir: &Path, what: &'static str) -> Result<Self, LockError> {
        let unwritable = |error| LockError::Unwritable {
            what,
            dir: dir.to_owned(),
            error,
        };
        let path = dir.join(format!("{what}.lock"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file
            .or_else(|refused| match refused.kind() {
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                    File::open(&path).map_err(|_| refused)
                }
                _ => Err(refused),
            })
            .map_err(unwritable)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let holder = holder(&mut file);
                return Err(LockError::Held {
                    what,
                    dir: dir.to_owned(),
                    holder,
                });
            }
            Err((_, error)) => return Err(unwritable(error.into())),
        };
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // It is for messages only.
        let _ = write(&mut file);
        Ok(Self { _file: file })
    }
}

/// The process id in a lock file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    let pid: u32 = text.trim().parse().ok()?;
    // One that could not write its own leaves its predecessor's there.
    Path::new("/proc")
        .join(pid.to_string())
        .exists()
        .then_some(pid)
}
