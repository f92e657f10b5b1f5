//! What a process holds: for tests that nothing is left behind.

use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Counts of what the daemon holds at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Open descriptors.
    pub descriptors: usize,
    /// Memory mappings of files, memfds and devices (not the allocator's own).
    pub mappings: usize,
    /// Threads.
    pub threads: usize,
    /// Entries below the runtime directory.
    pub files: usize,
}

impl Footprint {
    /// Counts what process `pid` holds.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn of(pid: u32, runtime_dir: &Path) -> Result<Self> {
        let proc = |what: &str| format!("/proc/{pid}/{what}");
        let maps = fs::read_to_string(proc("maps")).context("the daemon's mappings")?;
        Ok(Footprint {
            descriptors: fs::read_dir(proc("fd"))?.count(),
            mappings: maps.lines().filter(|l| is_foreign(l)).count(),
            threads: fs::read_dir(proc("task"))?.count(),
            files: below(runtime_dir)?.len(),
        })
    }

    /// Fails if anything has grown since `before`.
    ///
    /// # Errors
    /// With both counts.
    pub fn no_more_than(&self, before: &Self) -> Result<()> {
        let grown = self.descriptors > before.descriptors
            || self.mappings > before.mappings
            || self.threads > before.threads
            || self.files > before.files;
        if grown {
            bail!("something was left behind: before {before:?}, after {self:?}");
        }
        Ok(())
    }
}

/// A mapping that belongs to a file, memfd or device, and is not a library or the program.
fn is_foreign(line: &str) -> bool {
    let path = line.split_whitespace().nth(5).unwrap_or_default();
    path.starts_with('/') && !path.contains(".so") && !path.ends_with("/mdevd")
}

/// Every entry below a directory.
fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            found.extend(below(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

/// Every socket below a directory; none if there is no such directory.
pub fn sockets(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let is_socket = |path: &PathBuf| {
        path.symlink_metadata()
            .is_ok_and(|m| m.file_type().is_socket())
    };
    Ok(below(dir)?.into_iter().filter(is_socket).collect())
}

#[cfg(test)]
mod tests {
    use super::is_foreign;

    #[test]
    fn memory_of_clients_counts_and_libraries_do_not() {
        assert!(is_foreign("7f-80 rw-s 0 00:01 12 /memfd:m (deleted)"));
        assert!(!is_foreign(
            "7f-80 r-xp 0 00:01 12 /usr/lib/x86_64-linux-gnu/libc.so.6"
        ));
        assert!(!is_foreign("7f-80 r-xp 0 00:01 12 /t/release/mdevd"));
        assert!(!is_foreign("7f-80 rw-p 0 00:00 0 [heap]"));
        assert!(!is_foreign("7f-80 rw-p 0 00:00 0"));
    }
}
