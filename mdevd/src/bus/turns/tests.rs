use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::super::Manager;
use super::super::convert::Dict;
use super::*;
use crate::callouts::{CalloutConfig, Callouts};
use crate::engine::sim::SimBackend;
use crate::engine::{Catalog, SocketAccess};
use crate::limits::{BLOCKING_THREADS, MAX_CALLOUTS_AT_ONCE};
use crate::profiles::Profiles;
use crate::store::MemoryStore;

/// An engine with a script that hangs for devices whose names begin with "hang", as long as there is a file `hang`.
fn engine(dir: &Path) -> Arc<dyn Engine> {
    let scripts = dir.join("callouts.d");
    fs::create_dir(&scripts).expect("made");
    fs::create_dir(dir.join("run")).expect("made");
    let (script, shown) = (scripts.join("10-hang"), dir.display());
    let text = format!(
        "#!/bin/sh\ncase ${{14}} in hang*) ;; *) exit 0 ;; esac\n: > {shown}/asked-${{14}}\n\
         while [ -e {shown}/hang ]; do sleep 0.05; done\n"
    );
    fs::write(&script, text).expect("written");
    fs::write(dir.join("hang"), "").expect("written");
    for path in [&script, &scripts] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("set");
    }
    let config = CalloutConfig {
        dir: Some(scripts),
        deadline: Duration::from_secs(60),
    };
    let runtime = tokio::runtime::Handle::current();
    let callouts = Callouts::start(config, &dir.join("mdevd.sock"), runtime).expect("started");
    let backend = SimBackend::new(&dir.join("run"), &[("soft0", 64)]);
    let catalog = Catalog::new(
        Arc::new(backend),
        Arc::new(MemoryStore::default()),
        Arc::new(Profiles::shipped("lab")),
        SocketAccess::default(),
    );
    Arc::new(catalog.with_hooks(Arc::new(callouts)))
}

#[test]
fn readers_and_other_devices_are_served_while_scripts_hang() {
    const HANGING: usize = MAX_CALLOUTS_AT_ONCE - 1;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    runtime.block_on(async {
        let engine = engine(dir.path());
        let manager = Arc::new(Manager::new(engine.clone()));
        let names: Vec<_> = (0..HANGING).map(|n| format!("hang{n}")).collect();
        let mut hanging = Vec::new();
        for name in &names {
            let (manager, name) = (manager.clone(), name.clone());
            let create = async move {
                manager
                    .command("Create", name, Dict::new(), 0)
                    .await
                    .map(drop)
            };
            hanging.push(tokio::spawn(create));
        }
        for name in &names {
            while !dir.path().join(format!("asked-{name}")).exists() {
                tokio::task::yield_now().await;
            }
        }
        // More commands than there are threads, on devices at which another one is at work.
        for name in names.iter().cycle().take(4 * BLOCKING_THREADS) {
            let (manager, name) = (manager.clone(), name.clone());
            let start = async move {
                manager
                    .command("Start", name, Dict::new(), 0)
                    .await
                    .map(drop)
            };
            hanging.push(tokio::spawn(start));
        }
        for _ in 0..hanging.len() {
            tokio::task::yield_now().await;
        }
        let (listed, _) = manager
            .list(String::new(), 100, Dict::new())
            .await
            .expect("listed");
        assert_eq!(listed.len(), HANGING);
        let other = manager
            .command("Create", "other".to_owned(), Dict::new(), 0)
            .await;
        other.expect("made meanwhile");
        for command in &mut hanging {
            if command.is_finished() {
                panic!("not all of them still wait: {:?}", command.await);
            }
        }
        fs::remove_file(dir.path().join("hang")).expect("let go");
        for command in hanging {
            command.await.expect("ended").expect("done");
        }
        let ours = Arc::as_ptr(&engine).cast::<()>().addr();
        let left = TURNS.devices.lock();
        assert!(left.keys().all(|(engine, ..)| *engine != ours), "forgotten");
    });
}
