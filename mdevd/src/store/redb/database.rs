//! What is in the database, and how it gets there. The only place that speaks redb.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, StorageError,
    TableDefinition, WriteTransaction,
};
use uuid::Uuid;

/// Bytes of memory that redb may use for caching: definitions are small and read once.
const CACHE: usize = 1 << 20;
/// Name to record. Bytes, not text: text that is none makes redb panic.
const DEVICES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("devices");
const META: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");
/// Key of the store's id.
const ID: &[u8] = b"id";

/// Key and value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// An open database. All that it does to its file ends with an answer, never with a panic.
#[derive(Debug)]
pub(super) struct Open(Option<Database>);

impl Drop for Open {
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

/// Everything in a database, and what it is called.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) id: Uuid,
    pub(super) devices: Vec<Pair>,
}

/// Makes a database in an empty place, with an id.
pub(super) fn make(backend: Box<dyn StorageBackend>) -> Result<(), String> {
    let open = open(backend).map_err(|error| explain(&error))?;
    let id = Uuid::new_v4();
    guarded(|| {
        let database = open.get()?;
        let write = begin(database)?;
        write
            .open_table(META)?
            .insert(ID, id.as_bytes().as_slice())?;
        // Made now, so that it can be read.
        write.open_table(DEVICES)?;
        Ok(write.commit()?)
    })
    .map_err(|error| explain(&error))
}

/// Reads everything in a copy of a database and checks it on the way: each page has a checksum.
///
/// # Errors
/// What is damaged, in redb's words.
pub(super) fn examine(bytes: &[u8]) -> Result<Contents, String> {
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    let memory = InMemoryBackend::new();
    StorageBackend::set_len(&memory, bytes.len() as u64).map_err(|error| error.to_string())?;
    StorageBackend::write(&memory, 0, bytes).map_err(|error| error.to_string())?;
    let mut open = open(Box::new(memory)).map_err(|error| explain(&error))?;
    guarded(|| {
        let database = open.0.as_mut().ok_or(StorageError::DatabaseClosed)?;
        if !database.check_integrity()? {
            return Err(StorageError::Corrupted("a checksum is wrong".to_owned()).into());
        }
        let read = database.begin_read()?;
        let id = read
            .open_table(META)?
            .get(ID)?
            .map(|id| Uuid::from_slice(id.value()));
        let Some(Ok(id)) = id else {
            return Err(StorageError::Corrupted("it has no id".to_owned()).into());
        };
        let devices = all(database)?;
        Ok(Contents { id, devices })
    })
    .map_err(|error| explain(&error))
}

/// Opens a database, and repairs what a crash left.
pub(super) fn open(backend: Box<dyn StorageBackend>) -> Result<Open, redb::Error> {
    guarded(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        Ok(Open(Some(builder.create_with_backend(Boxed(backend))?)))
    })
}

impl Open {
    fn get(&self) -> Result<&Database, redb::Error> {
        self.0.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    /// Everything there is.
    pub(super) fn all(&self) -> Result<Vec<Pair>, redb::Error> {
        guarded(|| all(self.get()?))
    }

    /// What is under a key.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        guarded(|| {
            let table = self.get()?.begin_read()?.open_table(DEVICES)?;
            let value = table.get(key)?;
            Ok(value.map(|value| value.value().to_owned()))
        })
    }

    /// Puts values under keys, or takes keys out: all of it on stable storage when this returns.
    pub(super) fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), redb::Error> {
        guarded(|| {
            let write = begin(self.get()?)?;
            {
                let mut table = write.open_table(DEVICES)?;
                for (key, value) in changes {
                    match value {
                        Some(value) => drop(table.insert(key, value)?),
                        None => drop(table.remove(key)?),
                    }
                }
            }
            Ok(write.commit()?)
        })
    }
}

/// In two phases: the new state is on stable storage before anything points to it. So whatever the file
/// points to is whole, and what is not whole is damage and no interrupted write.
fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    Ok(write)
}

fn all(database: &Database) -> Result<Vec<Pair>, redb::Error> {
    let table = database.begin_read()?.open_table(DEVICES)?;
    table
        .iter()?
        .map(|pair| {
            let (key, value) = pair?;
            Ok((key.value().to_owned(), value.value().to_owned()))
        })
        .collect()
}

/// A file that no longer is what redb wrote may make it panic.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("reading it failed".to_owned())))
}

/// redb's error in an operator's words.
pub(super) fn explain(error: &redb::Error) -> String {
    match error {
        redb::Error::Io(error) => error.to_string(),
        redb::Error::Corrupted(why) => why.clone(),
        redb::Error::DatabaseAlreadyOpen => "another process has it open".to_owned(),
        other => other.to_string(),
    }
}

/// Whether it is the system that refused, rather than the file that is wrong.
pub(super) fn refused_by_system(error: &redb::Error) -> Option<&io::Error> {
    match error {
        redb::Error::Io(error) => Some(error),
        _ => None,
    }
}

/// A backend of any sort.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
