//! Which files of the directory are run.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::limits::MAX_CALLOUTS;

/// The scripts of `dir` in the order of their names: executable files whose names do not begin with a dot. None where
/// there is no such directory.
///
/// # Errors
/// A sentence: the directory, or one of them, could have been put there by somebody who must not run programs as this
/// daemon; or there are too many. Nothing is skipped, for what is skipped does not refuse.
pub(super) fn scripts(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = dir.display();
    let about = match std::fs::symlink_metadata(dir) {
        Ok(about) if about.is_symlink() => {
            return Err(format!(
                "the callout directory {shown} is a symbolic link, and is not followed; name the directory itself"
            ));
        }
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("the callout directory {shown}: {error}")),
    };
    let unreadable = |error| format!("cannot read the callout directory {shown}: {error}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let of_file = entry.metadata().map_err(unreadable)?;
        if of_file.is_symlink() {
            return Err(format!(
                "{} is a symbolic link, and is not followed; put the file itself there, or take it away",
                path.display()
            ));
        }
        if !of_file.is_file() || of_file.mode() & 0o111 == 0 {
            continue;
        }
        trusted(&path, &of_file)?;
        found.push(path);
        if found.len() > MAX_CALLOUTS {
            return Err(format!(
                "there are more than {MAX_CALLOUTS} callouts in {shown}, and that is the limit"
            ));
        }
    }
    if !found.is_empty() {
        trusted(dir, &about)?;
    }
    found.sort();
    Ok(found)
}

/// Only root, or who runs this daemon, can have put it there.
fn trusted(path: &Path, about: &Metadata) -> Result<(), String> {
    let shown = path.display();
    if about.uid() != 0 && about.uid() != Uid::effective().as_raw() {
        return Err(format!(
            "{shown} belongs to user {}, who could have the daemon run anything; give it to root (chown root {shown})",
            about.uid()
        ));
    }
    if about.mode() & 0o022 != 0 {
        return Err(format!(
            "{shown} can be written by others than its owner (mode {:04o}); take that away (chmod go-w {shown})",
            about.mode() & 0o7777
        ));
    }
    Ok(())
}
