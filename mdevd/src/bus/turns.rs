//! Commands wait for their turn without a thread, so that readers and other devices have theirs.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::engine::{Engine, EngineError};
use crate::limits::{CHANGE_DEADLINE, COMMANDS_AT_ONCE};

/// Of all faces of all engines: threads are the process's.
pub(super) static TURNS: LazyLock<Turns> = LazyLock::new(|| Turns {
    all: Arc::new(Semaphore::new(COMMANDS_AT_ONCE)),
    devices: Mutex::default(),
});

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Queue {
    /// To be the only command on a device.
    Device,
    /// To be the first of the jobs on it.
    Jobs,
}

/// An engine's address, and a device of it.
type Key = (usize, Queue, String);

/// Who may run a command that may wait for scripts.
pub(super) struct Turns {
    all: Arc<Semaphore>,
    devices: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

/// The right to a thread, and to be the only command on a device. Held until the command ends, whether somebody waits
/// for it or not.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    _device: Option<DeviceTurn>,
}

/// The latter alone.
pub(super) struct DeviceTurn {
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place among those who wait for a device or have it. Dropped behind everything that holds the device's lock.
struct Place(Key);

impl Drop for Place {
    fn drop(&mut self) {
        let mut devices = TURNS.devices.lock();
        // The list's own: nobody waits, and nobody begins to.
        if devices
            .get(&self.0)
            .is_some_and(|its| Arc::strong_count(its) == 1)
        {
            devices.remove(&self.0);
        }
    }
}

impl Turns {
    /// Waits for a turn; at `device` no longer than for any command on it.
    ///
    /// # Errors
    /// [`EngineError::Changing`].
    pub(super) async fn take(
        &self,
        engine: &Arc<dyn Engine>,
        attempted: &'static str,
        device: Option<&str>,
    ) -> Result<Turn, EngineError> {
        let turn = timeout(CHANGE_DEADLINE, self.device(engine, device)).await;
        let device_turn = turn.map_err(|_| EngineError::Changing {
            attempted,
            name: device.unwrap_or_default().to_owned(),
            doing: "at work on",
        })?;
        Ok(Turn {
            // It is never closed.
            _permit: self.all.clone().acquire_owned().await.ok(),
            _device: device_turn,
        })
    }

    /// Waits for those who came before to `device`, if there is one.
    pub(super) async fn device(
        &self,
        engine: &Arc<dyn Engine>,
        device: Option<&str>,
    ) -> Option<DeviceTurn> {
        self.first_at(Queue::Device, engine, device).await
    }

    /// Waits for the jobs that came before to `device`, if there is one; others pass.
    pub(super) async fn line(
        &self,
        engine: &Arc<dyn Engine>,
        device: Option<&str>,
    ) -> Option<DeviceTurn> {
        self.first_at(Queue::Jobs, engine, device).await
    }

    async fn first_at(
        &self,
        queue: Queue,
        engine: &Arc<dyn Engine>,
        device: Option<&str>,
    ) -> Option<DeviceTurn> {
        let engine = Arc::as_ptr(engine).cast::<()>().addr();
        let key = (engine, queue, device?.to_owned());
        let place = Place(key.clone());
        let its = self.devices.lock().entry(key).or_default().clone();
        Some(DeviceTurn {
            _guard: its.lock_owned().await,
            _place: place,
        })
    }
}

#[cfg(test)]
mod tests;
