//! Resets: by the driver (`VIRTCHNL_OP_RESET_VF`), by the device, and of the whole PCI function.

use super::super::{Given, Host};
use super::ops::EVENT;
use super::refusal::VirtchnlStatus;
use super::settings::AvfConfig;
use super::state::State;
use super::wire::event;
use super::wire::resources::Version;
use crate::control::MacAddr;
use crate::ring::MailboxSide;

/// `VFGEN_RSTAT`: `VIRTCHNL_VFR_*`. A reset is over when whoever asked for it gets to look; the register still
/// goes through what a PF goes through, a step for each look, because drivers tell a reset by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ResetState {
    /// `VIRTCHNL_VFR_INPROGRESS`.
    InProgress = 0,
    /// `VIRTCHNL_VFR_COMPLETED`.
    Completed = 1,
    /// `VIRTCHNL_VFR_VFACTIVE`.
    #[default]
    Active = 2,
}

impl ResetState {
    pub const fn next(self) -> Self {
        match self {
            Self::InProgress => Self::Completed,
            Self::Completed | Self::Active => Self::Active,
        }
    }
}

impl State {
    /// The function without its configuration space. Its mailbox is gone, which is how drivers see it.
    pub(super) fn reset_vf(&mut self, host: &mut dyn Host) {
        self.quiesce(host);
        self.renew();
        self.reset = ResetState::InProgress;
    }

    /// As PFs do it, for the operator's sake or because the driver asked for another number of queues: the driver is
    /// told, and finds its mailbox gone when it looks.
    pub(super) fn reset_by_device(&mut self, host: &mut dyn Host) {
        self.tell(
            host,
            EVENT,
            VirtchnlStatus::Success,
            event::reset_impending(),
        );
        // Where its driver is at work on the last interrupt, this one waits for it to be done, through the reset: the next
        // thing that it does is to enable the vector.
        let kept = host.keeps_interrupt(0);
        self.reset_vf(host);
        self.causes.message();
        if kept {
            host.vector_trigger(0);
        }
    }

    /// The whole function, for whoever drives it next.
    pub(super) fn reset_function(&mut self, host: &mut dyn Host) {
        self.quiesce(host);
        self.renew();
        self.version = Version::OURS;
        self.requested = None;
        self.told = 0;
        self.mac = self.config.mac;
    }

    /// Nothing of the driver's is in use any more.
    fn quiesce(&mut self, host: &mut dyn Host) {
        host.stop();
        for (queue, found) in (0..).zip(&self.queues) {
            if found.route.is_some() {
                host.queue_vector(queue, None);
            }
        }
        self.silence(host);
        for which in [MailboxSide::Send, MailboxSide::Receive] {
            if self.admin(which).place().is_some() {
                host.mailbox(which, None);
            }
        }
    }

    /// The state of a reset device, with what the operator gave last.
    fn renew(&mut self) {
        self.adopt();
        let (link_up, version, mac) = (self.link_up, self.version, self.mac);
        let (requested, told) = (self.requested, self.told);
        *self = Self {
            link_up,
            version,
            mac,
            requested,
            told,
            ..Self::new(self.config.clone(), self.shared.clone())
        };
    }

    /// Takes up what the operator gave.
    fn adopt(&mut self) {
        let Given {
            mac,
            mtu,
            pairs,
            features,
        } = self.next;
        if mac != self.config.mac {
            self.mac = mac;
        }
        self.config = AvfConfig {
            mac,
            mtu,
            shown_pairs: Some(pairs),
            features,
            ..self.config.clone()
        };
    }

    /// A driver that was told of its resources is only told of others after a reset.
    pub(super) fn give(&mut self, host: &mut dyn Host, given: Given) -> bool {
        if self.next == given {
            return false;
        }
        self.next = given;
        if !self.reset_unasked(host) {
            self.adopt();
            self.filters.own = self.config.mac;
        }
        true
    }

    /// A driver that was told of anything has to ask for it anew, though it did not ask for a reset. True if there is one.
    fn reset_unasked(&mut self, host: &mut dyn Host) -> bool {
        let driven = self.granted != 0;
        if driven {
            host.resets_itself();
            self.reset_by_device(host);
        }
        driven
    }

    /// As PFs reset functions whose drivers do what they must not, where they are told to.
    pub(super) fn restart(&mut self, host: &mut dyn Host) -> bool {
        self.reset_unasked(host)
    }

    /// What its driver was allowed was taken back, and its address is this one now: it has to ask anew.
    pub(super) fn ask_anew(&mut self, host: &mut dyn Host, mac: MacAddr) {
        self.mac = mac;
        self.reset_unasked(host);
    }
}
