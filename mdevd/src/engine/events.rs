//! What happens to devices, told to whoever listens.
//!
//! One stream for the whole daemon, in one order. Telling never waits: who listens too slowly is told how
//! many events it missed, and nobody else notices.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::view::Client;
use crate::limits::MAX_EVENTS_KEPT;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    /// A device was made.
    Created {
        /// The device.
        device: String,
        /// Its UUID.
        uuid: String,
        /// Its MAC address.
        mac: String,
        /// Its PF.
        pf: String,
    },
    /// A definition was stored, or a device that runs is kept from now on.
    Defined {
        /// The device.
        device: String,
        /// Its UUID.
        uuid: String,
        /// Its MAC address.
        mac: String,
        /// Its PF.
        pf: String,
    },
    /// A definition was forgotten.
    Undefined {
        /// The device.
        device: String,
        /// It goes on as a transient one; else there is none any more.
        running: bool,
    },
    /// A defined device is composed and listens.
    Started {
        /// The device.
        device: String,
    },
    /// A device was retired; its definition is kept.
    Stopped {
        /// The device.
        device: String,
    },
    /// A device is gone for good.
    Destroyed {
        /// The device.
        device: String,
    },
    /// Attributes of a device have changed.
    Changed {
        /// The device.
        device: String,
        /// Which, by their names on the bus.
        attributes: Vec<String>,
    },
    /// A client, a VM as a rule, has connected to a device.
    Connected {
        /// The device.
        device: String,
        /// Who.
        client: Client,
    },
    /// The client of a device has left. A device that is destroyed beside its client tells that only.
    Disconnected {
        /// The device.
        device: String,
        /// What was unusual about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The guest's driver has begun or ended to use a device, or the device was stopped under it.
    Driver {
        /// The device.
        device: String,
        /// What the driver does now.
        driver: String,
    },
    /// Somebody begins to look at a device's frames.
    CaptureBegun {
        /// The device.
        device: String,
        /// Who, as "uid 0 at the control socket".
        by: String,
    },
    /// Somebody looks at them no more.
    CaptureEnded {
        /// The device.
        device: String,
        /// Who.
        by: String,
        /// Frames that were written.
        frames: u64,
        /// Frames that were not, because they were not taken in time.
        lost: u64,
        /// Why it ended.
        reason: String,
    },
    /// A policy has refused something to a guest, or a guest's frames or rings were what they must not be.
    Denied {
        /// The device.
        device: String,
        /// What was asked for.
        request: String,
        /// The rule that refused.
        rule: String,
        /// The refusal, as a sentence.
        message: String,
        /// Denials of this device since the last such event; what else is said is about the last of them.
        count: u64,
        /// What followed, a word of the profile's reactions: the hardest of them.
        reaction: String,
    },
}

impl Happening {
    /// Attributes of `device` have changed.
    pub fn changed(device: &str, attributes: &[&str]) -> Self {
        Self::Changed {
            device: device.to_owned(),
            attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// `definition` was stored.
    pub(super) fn defined(definition: &super::Definition) -> Self {
        Self::Defined {
            device: definition.name.clone(),
            uuid: definition.uuid.to_string(),
            mac: definition.mac.to_string(),
            pf: definition.pf.clone(),
        }
    }

    /// It left nothing behind: whatever has its name now is another device.
    pub const fn ended(&self) -> bool {
        matches!(
            self,
            Self::Destroyed { .. } | Self::Undefined { running: false, .. }
        )
    }

    /// The device that it happened to.
    pub fn device(&self) -> &str {
        match self {
            Self::Created { device, .. }
            | Self::Defined { device, .. }
            | Self::Undefined { device, .. }
            | Self::Started { device }
            | Self::Stopped { device }
            | Self::Destroyed { device }
            | Self::Changed { device, .. }
            | Self::Connected { device, .. }
            | Self::Disconnected { device, .. }
            | Self::Driver { device, .. }
            | Self::CaptureBegun { device, .. }
            | Self::CaptureEnded { device, .. }
            | Self::Denied { device, .. } => device,
        }
    }
}

/// What happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the order of events since the daemon's start, counted from 1 without gaps.
    pub sequence: u64,
    /// Wall-clock time in microseconds since 1970 (UTC).
    pub time_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// The daemon's stream of events; clones are the same stream. Callable from any thread; nothing blocks.
#[derive(Clone, Debug)]
pub struct Events(Arc<Stream>);

#[derive(Debug)]
struct Stream {
    /// Held while an event gets its number and its place, so that both orders are one.
    last: Mutex<u64>,
    listeners: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self(Arc::new(Stream {
            last: Mutex::new(0),
            listeners: broadcast::Sender::new(MAX_EVENTS_KEPT),
        }))
    }
}

impl Events {
    /// Tells everybody who listens.
    pub fn publish(&self, what: Happening) {
        let mut last = self.0.last.lock();
        *last += 1;
        let event = Event {
            sequence: *last,
            time_us: now_us(),
            what,
        };
        // Nobody listening is no failure.
        let _ = self.0.listeners.send(Arc::new(event));
    }

    /// Number of the last event; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        *self.0.last.lock()
    }

    /// Listens from now on; the number is that of the last event before.
    pub fn listen(&self) -> (Listener, u64) {
        let last = self.0.last.lock();
        (Listener(self.0.listeners.subscribe()), *last)
    }
}

/// Microseconds since 1970; 0 on a clock that stands before.
pub(super) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// One ear at the stream.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Arc<Event>>);

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The next event.
    Event(Arc<Event>),
    /// So many events were not heard because the listener was too slow; the next ones follow.
    Missed(u64),
}

impl Listener {
    /// Waits for the next event; `None`: there will be none. Nothing is lost where the wait is given up.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(event) => Some(Heard::Event(event)),
            Err(RecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next event, if it has happened.
    pub fn try_next(&mut self) -> Option<Heard> {
        match self.0.try_recv() {
            Ok(event) => Some(Heard::Event(event)),
            Err(TryRecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
