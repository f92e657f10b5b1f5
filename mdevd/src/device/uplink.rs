//! Devices whose link is that of their PF's uplink.
//!
//! The PF tells of its carrier; one task a PF goes through its devices then. Nothing is polled.

use std::sync::{Arc, Weak};

use libcvf::pf::PhysicalFunction;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::served::ServedCvf;

/// The uplink of one PF, and the devices of that PF. Clones are the same.
#[derive(Clone)]
pub(super) struct Followed(Arc<Devices>);

struct Devices {
    function: Arc<dyn PhysicalFunction>,
    devices: Mutex<Vec<Weak<ServedCvf>>>,
}

impl Followed {
    /// Follows the PF's carrier from now on; the task ends with the PF.
    pub(super) fn start(function: Arc<dyn PhysicalFunction>, runtime: &Handle) -> Self {
        let (news, mut changes) = watch::channel(());
        function.watch_carrier(Box::new(move |_| {
            news.send_replace(());
        }));
        let uplink = Self(Arc::new(Devices {
            function,
            devices: Mutex::default(),
        }));
        let followed = Arc::downgrade(&uplink.0);
        runtime.spawn(async move {
            while changes.changed().await.is_ok() {
                let Some(followed) = followed.upgrade() else {
                    return;
                };
                // Every device may be waited for while it changes.
                let _ = tokio::task::spawn_blocking(move || followed.tell()).await;
            }
        });
        uplink
    }

    /// It has a carrier, or there is no uplink.
    pub(super) fn is_up(&self) -> bool {
        self.0.function.has_carrier()
    }

    /// Another device of its PF.
    pub(super) fn add(&self, device: &Arc<ServedCvf>) {
        let mut devices = self.0.devices.lock();
        devices.retain(|device| device.strong_count() > 0);
        devices.push(Arc::downgrade(device));
        drop(devices);
        // What happened since it was composed was told to the others only.
        device.follow();
    }
}

impl Devices {
    fn tell(&self) {
        let devices = self.devices.lock().clone();
        for device in devices.iter().filter_map(Weak::upgrade) {
            device.follow();
        }
    }
}
