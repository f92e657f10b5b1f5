//! The store against everything that a disk, or whoever switches it off, may do to it.

mod damage;
mod faults;
mod images;
mod recorder;
mod script;
mod torn;

use std::path::Path;
use std::sync::Arc;

use super::core::Core;
use super::*;
use recorder::Recorder;

/// A store in memory, new.
fn recorded() -> (Recorder, Core<Recorder>) {
    let recorder = Recorder::made();
    let core = Core::open(recorder.clone()).expect("a store");
    (recorder, core)
}

#[test]
fn those_who_wait_together_share_a_transaction_and_each_is_told() {
    let (recorder, core) = recorded();
    let core = Arc::new(core);
    let before = recorder.syncs();
    let threads: Vec<_> = (0..16)
        .map(|thread| {
            let core = core.clone();
            std::thread::spawn(move || {
                for n in 0..20 {
                    let key = format!("{thread}-{n}");
                    core.change(key.as_bytes(), Some(vec![thread; 300]))
                        .expect("put");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    assert_eq!(core.all().expect("readable").len(), 320);
    // Two for each transaction; never more of those than changes.
    let syncs = recorder.syncs() - before;
    assert!(syncs <= 2 * 320, "{syncs}");
    // What a killed process would have left.
    let left = Core::open(recorder.copy()).expect("a store");
    assert_eq!(left.all().expect("readable").len(), 320);
}

#[test]
fn files_are_the_daemons_alone_and_nothing_unfinished_stays() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    // As a crash in the middle of the first start leaves it.
    std::fs::write(dir.path().join("definitions.redb.new"), [7; 5000]).expect("write");
    drop(RedbStore::open(dir.path()).expect("a store"));
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let mode = entry.metadata().expect("metadata").permissions().mode();
            (entry.file_name().into_string().expect("text"), mode & 0o777)
        })
        .collect();
    names.sort();
    let expected = [("definitions.redb", 0o600), ("state.lock", 0o600)];
    assert_eq!(names, expected.map(|(name, mode)| (name.to_owned(), mode)));
}

#[test]
fn an_older_store_is_not_overlooked() {
    let dir = tempfile::tempdir().expect("a directory");
    let older = dir.path().join("definitions");
    std::fs::create_dir(&older).expect("mkdir");
    std::fs::write(older.join("db"), "sled's").expect("write");
    let error = RedbStore::open(dir.path())
        .expect_err("refused")
        .to_string();
    assert!(error.contains("written by an older mdevd"), "{error}");
    assert!(error.contains(&older.display().to_string()), "{error}");
    assert!(
        !dir.path().join("definitions.redb").exists(),
        "nothing was made"
    );
    std::fs::rename(&older, dir.path().join("aside")).expect("rename");
    RedbStore::open(dir.path()).expect("a store");
}

/// The file of a store directory.
fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("definitions.redb")
}
