use std::path::Path;
use std::sync::Arc;

use tempfile::{TempDir, tempdir};

use super::sim::SimBackend;
use super::*;
use crate::limits::{MAX_EVENTS_KEPT, MAX_PAGE};
use crate::profiles::Profiles;
use crate::store::{MemoryStore, Store};

mod alter;
mod changing;
mod data_path;
mod due;
mod events;
mod exchange;
mod identity;
mod kept;
mod lifecycle;
mod persistence;
mod policy;
mod refusals;
mod requests;

struct House {
    dir: TempDir,
    backend: Arc<SimBackend>,
    store: Arc<MemoryStore>,
    catalog: Catalog,
}

const QEMU: Client = Client {
    pid: 4711,
    uid: 107,
    gid: 107,
};

fn catalog(backend: &Arc<SimBackend>, store: &Arc<MemoryStore>) -> Catalog {
    catalog_with(backend, store, Profiles::shipped("lab"))
}

fn catalog_with(
    backend: &Arc<SimBackend>,
    store: &Arc<MemoryStore>,
    profiles: Profiles,
) -> Catalog {
    Catalog::new(
        backend.clone(),
        store.clone(),
        Arc::new(profiles),
        SocketAccess::default(),
    )
}

fn house_with(pairs: u64) -> House {
    let dir = tempdir().expect("a directory");
    let backend = Arc::new(SimBackend::new(
        dir.path(),
        &[("soft0", pairs), ("soft1", 4)],
    ));
    let store = Arc::new(MemoryStore::default());
    let catalog = catalog(&backend, &store);
    House {
        dir,
        backend,
        store,
        catalog,
    }
}

fn house() -> House {
    house_with(64)
}

fn named(name: &str) -> CreateRequest {
    CreateRequest::named(name)
}

fn free_pairs(engine: &dyn Engine) -> u64 {
    engine.pf("soft0").expect("a PF").resources[0].free
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("a directory").count()
}
