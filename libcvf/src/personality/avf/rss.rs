//! Receive-side scaling. Key and table are zero until the driver sets them, and nothing is scaled before it has set
//! one of them.

use super::super::Host;
use super::message::{Outcome, check_vsi};
use super::refusal::{Refusal, VirtchnlStatus, granted};
use super::state::State;
use super::wire::rss::{self as wire, KEY, TABLE};
use crate::control::{ControlRequest, HashSettings, RssSettings};
use crate::limits::RSS_KEY_SIZE;

/// What the driver set.
#[derive(Clone, Debug)]
pub(super) struct Rss {
    key: [u8; KEY],
    table: [u8; TABLE],
    hena: u64,
    /// Key or table were set.
    active: bool,
}

impl Default for Rss {
    /// All kinds of packets that can be hashed are.
    fn default() -> Self {
        Self {
            key: [0; KEY],
            table: [0; TABLE],
            hena: wire::hena_capabilities(),
            active: false,
        }
    }
}

impl Rss {
    /// For a driver that uses so many pairs; `None`: the device chooses queues. Where the table names more than those that
    /// are usable, what it gives to others goes to those.
    pub(super) fn settings(&self, pairs: u16, usable: u16) -> Option<RssSettings> {
        let types = wire::hash_types(self.hena)?;
        self.active.then(|| RssSettings {
            hash: HashSettings {
                types,
                key: self.key[..RSS_KEY_SIZE].to_vec(),
            },
            unclassified: 0,
            table: self.table.map(|queue| u16::from(queue) % usable).to_vec(),
            pairs,
        })
    }
}

/// `VIRTCHNL_OP_GET_RSS_HENA_CAPS`.
pub(super) fn capabilities() -> Vec<u8> {
    wire::encode_hena(wire::hena_capabilities())
}

impl State {
    pub(super) fn config_rss_key(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let (vsi, key) = wire::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(vsi)?;
        let active = true;
        let next = Rss {
            key,
            active,
            ..self.rss.clone()
        };
        self.take_rss(host, next)
    }

    pub(super) fn config_rss_table(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let (vsi, table) = wire::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(vsi)?;
        if let Some(queue) = table.iter().find(|queue| u16::from(**queue) >= self.pairs) {
            let have = self.pairs;
            return Err(Refusal::param(format!(
                "queue {queue} of the table is not there, the function has {have}"
            )));
        }
        let active = true;
        let next = Rss {
            table,
            active,
            ..self.rss.clone()
        };
        self.take_rss(host, next)
    }

    pub(super) fn set_rss_hena(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let hena = wire::parse_hena(bytes).ok_or_else(Refusal::length)?;
        if wire::hash_types(hena).is_none() {
            return Err(Refusal::param(format!(
                "of packets {hena:#x} some cannot be hashed"
            )));
        }
        let next = Rss {
            hena,
            ..self.rss.clone()
        };
        self.take_rss(host, next)
    }

    /// Toeplitz is the only function, and the one that is used.
    pub(super) fn config_rss_function(&self, bytes: &[u8]) -> Result<Outcome, Refusal> {
        let (vsi, algorithm) = wire::parse_hfunc(bytes).ok_or_else(Refusal::length)?;
        check_vsi(vsi)?;
        match algorithm {
            0 => Ok(Outcome::done()),
            _ => Err(Refusal::new(
                VirtchnlStatus::ErrNotSupported,
                format!("hash function {algorithm} is not there"),
            )),
        }
    }

    fn take_rss(&mut self, host: &mut dyn Host, next: Rss) -> Result<Outcome, Refusal> {
        if let Some(settings) = next.settings(self.pairs_in_use, self.usable) {
            granted(host.control(ControlRequest::SetRss(settings)))?;
        }
        self.rss = next;
        Ok(Outcome::done())
    }
}
