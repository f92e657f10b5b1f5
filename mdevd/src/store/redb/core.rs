//! Changes, one transaction for all who wait at the same time, and what becomes of refused ones.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use uuid::Uuid;

use super::super::StoreError;
use super::database::{self, Open, Pair};
use super::medium::Medium;

/// A store on some medium.
///
/// redb wants to be opened anew after a failed write. That is done at once, or by the next change, and
/// what was refused is taken back in it: a disk that was full costs the changes that it refused, and
/// nothing else.
#[derive(Debug)]
pub(super) struct Core<M: Medium> {
    medium: M,
    id: Uuid,
    /// Changes that nobody has taken up. Whoever has `state` takes them all. As many as there are
    /// threads at most, for each waits for its own.
    waiting: Mutex<Vec<Arc<Change>>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Change {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    outcome: OnceLock<Result<(), Failure>>,
}

#[derive(Clone, Debug)]
struct Failure {
    what: &'static str,
    why: String,
}

#[derive(Debug, Default)]
struct State {
    /// `None` since a failure, or since a start at which the file could not be written.
    open: Option<Open>,
    /// What such a start found.
    found: Option<Vec<Pair>>,
    /// What failed changes found under their keys. The file may or may not have those changes.
    undo: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<M: Medium> Core<M> {
    /// Examines and opens what is there. If it can only be read it is served so, with a warning.
    ///
    /// # Errors
    /// It cannot be read, or is damaged; then nothing was written to it.
    pub(super) fn open(medium: M) -> Result<Self, StoreError> {
        let path = medium.path().to_owned();
        let refuse = |why: String| StoreError::Open {
            path: path.clone(),
            why,
        };
        let bytes = medium.bytes().map_err(|error| refuse(error.to_string()))?;
        let contents = database::examine(&bytes).map_err(|why| StoreError::Damaged {
            path: path.clone(),
            why,
        })?;
        drop(bytes);
        let mut state = State::default();
        if let Err(error) = state.ready(&medium) {
            if !error.by_system {
                return Err(refuse(error.failure.why));
            }
            tracing::warn!(
                "devices cannot be created, changed or destroyed: {} the store failed: {}",
                error.failure.what,
                error.failure.why
            );
            state.found = Some(contents.devices);
        }
        Ok(Self {
            medium,
            id: contents.id,
            waiting: Mutex::default(),
            state: Mutex::new(state),
        })
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Everything there is.
    pub(super) fn all(&self) -> Result<Vec<Pair>, StoreError> {
        let state = &mut *self.state.lock();
        match (state.ready(&self.medium), &state.found) {
            (Err(_), Some(found)) => Ok(found.clone()),
            (Err(refused), None) => Err(refused.failure.into()),
            (Ok(()), _) => {
                let read = state.opened().and_then(Open::all);
                read.map_err(|error| said(&self.medium, "reading", &error).failure.into())
            }
        }
    }

    /// Puts a value under a key, or takes the key out.
    pub(super) fn change(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let mine = Arc::new(Change {
            key: key.to_owned(),
            value,
            outcome: OnceLock::new(),
        });
        self.waiting.lock().push(mine.clone());
        let mut state = self.state.lock();
        if mine.outcome.get().is_none() {
            let all = std::mem::take(&mut *self.waiting.lock());
            let outcome = state.commit(&self.medium, &all);
            for change in &all {
                let _ = change.outcome.set(outcome.clone());
            }
        }
        drop(state);
        let outcome = mine.outcome.get().cloned().unwrap_or_else(|| {
            Err(Failure {
                what: "writing to",
                why: "it was given up".to_owned(),
            })
        });
        outcome.map_err(StoreError::from)
    }
}

impl<M: Medium> Drop for Core<M> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.undo.is_empty()
            && let Err(refused) = state.ready(&self.medium)
        {
            let why = refused.failure.why;
            tracing::warn!("a refused change may be found at the next start: {why}");
        }
    }
}

impl State {
    fn commit(&mut self, medium: &impl Medium, changes: &[Arc<Change>]) -> Result<(), Failure> {
        self.ready(medium).map_err(|refused| refused.failure)?;
        let mut before = BTreeMap::new();
        let open = self.opened();
        let applied = open.and_then(|open| {
            for change in changes {
                if !before.contains_key(&change.key) {
                    before.insert(change.key.clone(), open.value(&change.key)?);
                }
            }
            let changes = changes
                .iter()
                .map(|change| (change.key.as_slice(), change.value.as_deref()));
            open.apply(changes)
        });
        applied.map_err(|error| {
            self.undo = before;
            self.open = None;
            // At once, if that can be: until it is done, a restart may find the change.
            let _ = self.ready(medium);
            said(medium, "writing to", &error).failure
        })
    }

    /// Opens the database if it is not, and puts right what failed before.
    fn ready(&mut self, medium: &impl Medium) -> Result<(), Refused> {
        if self.open.is_some() {
            return Ok(());
        }
        let attempt = || {
            let backend = medium.backend().map_err(redb::Error::Io)?;
            let open = database::open(backend)?;
            if !self.undo.is_empty() {
                let undo = self.undo.iter();
                open.apply(undo.map(|(key, value)| (key.as_slice(), value.as_deref())))?;
            }
            Ok(open)
        };
        let open = attempt().map_err(|error| said(medium, "opening", &error))?;
        self.undo.clear();
        self.found = None;
        self.open = Some(open);
        Ok(())
    }

    fn opened(&self) -> Result<&Open, redb::Error> {
        self.open.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

struct Refused {
    failure: Failure,
    by_system: bool,
}

/// What failed on what, why, and what to do.
fn said(medium: &impl Medium, what: &'static str, error: &redb::Error) -> Refused {
    use std::io::ErrorKind;
    let system = database::refused_by_system(error);
    let advice = match system.map(std::io::Error::kind) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "; make room in its file system, then repeat the command"
        }
        Some(ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            "; make it writable for this user again, then repeat the command"
        }
        _ => "",
    };
    let path = medium.path().display();
    Refused {
        failure: Failure {
            what,
            why: format!("{path}: {}{advice}", database::explain(error)),
        },
        by_system: system.is_some(),
    }
}

impl From<Failure> for StoreError {
    fn from(Failure { what, why }: Failure) -> Self {
        Self::Io { what, why }
    }
}
