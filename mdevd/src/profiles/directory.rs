//! Profiles in a directory: `NAME.toml` each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use policies::{Profile, limits, shipped};

use super::{Known, Source};
use crate::limits::MAX_PROFILES;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By name: a profile, or why its file is none.
    pub(super) profiles: BTreeMap<String, Result<Known, String>>,
    /// What is wrong with the directory itself, or has no name that a profile can have.
    pub(super) faults: Vec<String>,
    /// The directory cannot be read: what is in it is not known.
    pub(super) unread: bool,
}

/// Shipped profiles, then those of the directory in their place or beside them.
pub(super) fn read(dir: Option<&Path>) -> Found {
    let mut found = Found::default();
    for shipped in shipped() {
        let known = Known {
            text: shipped.text.into(),
            source: Source::Shipped,
            fault: None,
            lost: false,
            profile: Arc::new(shipped.profile),
        };
        found.profiles.insert(known.profile.name.clone(), Ok(known));
    }
    let Some(dir) = dir else { return found };
    let files = match std::fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return found,
        Err(error) => {
            let fault = format!("cannot read the profiles in {}: {error}", dir.display());
            found.faults.push(fault);
            found.unread = true;
            return found;
        }
    };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml") && path.is_file());
    paths.sort();
    if paths.len() > MAX_PROFILES {
        let (dir, more) = (dir.display(), paths.len() - MAX_PROFILES);
        found.faults.push(format!(
            "{dir} has {more} profiles more than can be read ({MAX_PROFILES}): the last by name are left out"
        ));
        paths.truncate(MAX_PROFILES);
    }
    for path in paths {
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
            let what = path.display();
            found
                .faults
                .push(format!("{what} has no name that a profile can have"));
            continue;
        };
        found
            .profiles
            .insert(name.to_owned(), read_file(name, &path));
    }
    found
}

/// One file as a profile, or everything that is wrong with it.
fn read_file(name: &str, path: &Path) -> Result<Known, String> {
    let shown = path.display().to_string();
    let unreadable = |why: &dyn std::fmt::Display| format!("cannot read {shown}: {why}");
    let mut bytes = Vec::new();
    let most = limits::MAX_PROFILE as u64;
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable(&"it is no text (UTF-8)"))?;
    let profile = Profile::parse(name, &text).map_err(|error| error.render(&shown))?;
    let profile = Arc::new(profile);
    Ok(Known {
        profile,
        text: text.into(),
        source: Source::File(path.to_owned()),
        fault: None,
        lost: false,
    })
}
