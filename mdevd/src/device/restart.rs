//! Has devices start anew that were stopped for what their drivers did: a thread of its own, for each waits for workers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock, Weak};

use libcvf::cvf::Cvf;
use uuid::Uuid;

/// One device's restart. The flag is down when it is over, or will never be.
struct Job {
    device: Weak<Cvf>,
    under_way: Arc<AtomicBool>,
}

impl Job {
    fn run(self) {
        let Some(cvf) = self.device.upgrade() else {
            return;
        };
        if cvf.restart() {
            let (device, uuid) = (cvf.spec().name.as_str(), Uuid::from_bytes(cvf.spec().uuid));
            tracing::info!(target: "audit", device, %uuid, "the device was reset for what its driver did");
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.under_way.store(false, Ordering::Release);
    }
}

/// The thread, which begins with the first job and ends with this. One device after the other, each of them waiting once
/// at most.
#[derive(Default)]
pub(super) struct Restarter(OnceLock<Sender<Job>>);

impl Restarter {
    /// Has a device start anew, unless that is under way.
    pub(super) fn restart(&self, device: &Arc<Cvf>, under_way: &Arc<AtomicBool>) {
        if under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let job = Job {
            device: Arc::downgrade(device),
            under_way: Arc::clone(under_way),
        };
        let sender = self.0.get_or_init(|| {
            let (sender, jobs) = channel::<Job>();
            let thread = std::thread::Builder::new().name("restart".into());
            if let Err(error) = thread.spawn(move || jobs.into_iter().for_each(Job::run)) {
                tracing::warn!(%error, "no thread to reset devices: they stay stopped");
            }
            sender
        });
        // Without a thread the job is dropped.
        let _ = sender.send(job);
    }
}
