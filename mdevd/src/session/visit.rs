//! Who is and was connected to a device's socket.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::Client;

/// The visits of one device; clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Visits(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    client: Option<Client>,
    served: u64,
    refused: u64,
    last: Option<String>,
}

impl Visits {
    /// Who is connected.
    pub fn client(&self) -> Option<Client> {
        self.0.lock().client
    }

    /// Clients served so far, the present one included.
    pub fn served(&self) -> u64 {
        self.0.lock().served
    }

    /// Connections closed because somebody was there.
    pub fn refused(&self) -> u64 {
        self.0.lock().refused
    }

    /// How the last client left, if not by closing its connection.
    pub fn last(&self) -> Option<String> {
        self.0.lock().last.clone()
    }

    pub(super) fn arrived(&self, client: Client) {
        let mut state = self.0.lock();
        state.client = Some(client);
        state.served += 1;
    }

    pub(super) fn left(&self, why: Option<String>) {
        let mut state = self.0.lock();
        state.client = None;
        state.last = why;
    }

    pub(super) fn turned_away(&self) {
        self.0.lock().refused += 1;
    }
}
