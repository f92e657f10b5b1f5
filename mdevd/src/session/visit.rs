//! Who is and was connected to a device's socket.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::{Client, Events, Happening};

/// The visits of one device, which are told as they begin and end; clones show the same.
#[derive(Clone, Debug)]
pub struct Visits {
    device: Arc<str>,
    events: Events,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    client: Option<Client>,
    served: u64,
    refused: u64,
    last: Option<String>,
}

impl Visits {
    /// Nobody has visited `device` yet.
    pub fn new(device: &str, events: Events) -> Self {
        Self {
            device: device.into(),
            events,
            state: Arc::default(),
        }
    }

    /// Who is connected.
    pub fn client(&self) -> Option<Client> {
        self.state.lock().client
    }

    /// Clients served so far, the present one included.
    pub fn served(&self) -> u64 {
        self.state.lock().served
    }

    /// Connections closed because somebody was there.
    pub fn refused(&self) -> u64 {
        self.state.lock().refused
    }

    /// How the last client left, if not by closing its connection.
    pub fn last(&self) -> Option<String> {
        self.state.lock().last.clone()
    }

    pub(super) fn arrived(&self, client: Client) {
        let mut state = self.state.lock();
        state.client = Some(client);
        state.served += 1;
        drop(state);
        let device = self.device.to_string();
        self.events.publish(Happening::Connected { device, client });
    }

    pub(super) fn left(&self, why: Option<String>) {
        let mut state = self.state.lock();
        state.client = None;
        state.last.clone_from(&why);
        drop(state);
        self.events.publish(Happening::Disconnected {
            device: self.device.to_string(),
            reason: why,
        });
    }

    pub(super) fn turned_away(&self) {
        self.state.lock().refused += 1;
    }
}
