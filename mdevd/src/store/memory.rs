//! A store that forgets, for tests.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{Record, Store, StoreError, decode, encode};
use crate::engine::Definition;

/// Records in memory, encoded as on disk; can be told to fail.
#[derive(Debug)]
pub struct MemoryStore {
    id: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, Vec<u8>>,
    broken: bool,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            id: Uuid::new_v4(),
            state: Mutex::default(),
        }
    }
}

impl MemoryStore {
    /// From now on every write fails, or works again.
    pub fn break_writes(&self, broken: bool) {
        self.state.lock().broken = broken;
    }

    /// Puts bytes under a name, whatever they are.
    pub fn put_raw(&self, name: &str, bytes: &[u8]) {
        self.state
            .lock()
            .records
            .insert(name.to_owned(), bytes.to_vec());
    }

    fn write(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if state.broken {
            let why = "no space left on device".to_owned();
            return Err(StoreError::Io {
                what: "writing to",
                why,
            });
        }
        change(&mut state.records);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn id(&self) -> Uuid {
        self.id
    }

    fn load(&self) -> Result<Vec<Record>, StoreError> {
        let state = self.state.lock();
        let record = |(name, bytes): (&String, &Vec<u8>)| Record {
            name: name.clone(),
            definition: decode(bytes),
        };
        Ok(state.records.iter().map(record).collect())
    }

    fn put(&self, definition: &Definition) -> Result<(), StoreError> {
        self.write(|records| {
            records.insert(definition.name.clone(), encode(definition));
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.write(|records| {
            records.remove(name);
        })
    }
}
