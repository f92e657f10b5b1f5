//! Messages of the driver: each is parsed, judged, carried out and answered.

use super::super::{Host, QueueRole};
use super::capabilities::{allows, bits};
use super::ops::{EVENT, Op};
use super::refusal::{Refusal, VirtchnlStatus};
use super::state::State;
use super::wire::queues::{self, QueueSelect};
use super::wire::statistics::{self, Direction};
use super::wire::{event, vlan_v2};
use crate::limits::MAX_MAILBOX_MESSAGE;
use crate::ring::{MailboxMessage, MailboxReply, ReceiveFormat};

/// The function's only VSI.
pub(super) const VSI: u16 = 1;

/// What follows from a message that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This answer.
    Answer(Vec<u8>),
    /// Done, then the state of the link: the driver has come far enough to use it.
    DoneAndLink,
    /// Nothing more to say.
    Silence,
}

impl Outcome {
    /// Done, and nothing more to say about it.
    pub const fn done() -> Self {
        Self::Answer(Vec::new())
    }
}

/// The function has one VSI, and every message about a VSI names it.
pub(super) fn check_vsi(vsi: u16) -> Result<(), Refusal> {
    if vsi == VSI {
        Ok(())
    } else {
        Err(Refusal::param(format!(
            "VSI {vsi} is not the function's, which is {VSI}"
        )))
    }
}

fn empty(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::length())
    }
}

impl State {
    pub(super) fn message(&mut self, host: &mut dyn Host, message: &MailboxMessage) {
        let opcode = message.opcode;
        // Resets are counted as such.
        if Op::decode(opcode) != Some(Op::ResetVf) && host.heard().is_err() {
            // Drivers give up a function that calls what they say about it wrong, and ask this one again.
            self.tell(host, opcode, VirtchnlStatus::ErrAdminQueueError, Vec::new());
            return;
        }
        match self.judge(host, opcode, &message.bytes) {
            Ok(op) => match self.carry_out(host, op, &message.bytes) {
                Ok(Outcome::Answer(bytes)) => {
                    self.tell(host, opcode, VirtchnlStatus::Success, bytes);
                }
                Ok(Outcome::DoneAndLink) => {
                    self.tell(host, opcode, VirtchnlStatus::Success, Vec::new());
                    self.tell_link(host);
                }
                Ok(Outcome::Silence) => {}
                Err(refusal) => self.refuse(host, opcode, refusal),
            },
            Err(refusal) => self.refuse(host, opcode, refusal),
        }
    }

    fn refuse(&mut self, host: &mut dyn Host, opcode: u32, refusal: Refusal) {
        if let Some(why) = refusal.why {
            host.refused(format!("virtchnl operation {opcode}: {why}"));
        }
        self.tell(host, opcode, refusal.status, refusal.bytes);
    }

    /// Sends a message to the driver, who finds its cause in `VFINT_ICR01`.
    pub(super) fn tell(
        &mut self,
        host: &mut dyn Host,
        opcode: u32,
        status: VirtchnlStatus,
        bytes: Vec<u8>,
    ) {
        self.causes.message();
        host.post(MailboxReply {
            opcode,
            status: status as i32,
            bytes,
        });
    }

    /// Says how the link is.
    ///
    /// A driver that hears of a link sends, and one that comes back from a reset believes it has queues before they are configured, so
    /// that what it sent would wait for the next doorbell of its queue, or for ever. PFs have that gap: they tell of the link
    /// with the resources. Here a link is told to who has queues.
    pub(super) fn tell_link(&mut self, host: &mut dyn Host) {
        let speed = self.config.speed_mbps.filter(|_| self.link_up);
        let event = event::link_change(
            self.link_up,
            speed.unwrap_or(0),
            self.has(bits::CAP_ADV_LINK_SPEED),
        );
        self.tell(host, EVENT, VirtchnlStatus::Success, event);
    }

    /// The driver of a running function is told.
    pub(super) fn set_link(&mut self, host: &mut dyn Host, up: bool) -> bool {
        let changed = self.link_up != up;
        if changed {
            self.link_up = up;
            let wants = if up {
                self.has_queues()
            } else {
                self.granted != 0
            };
            if wants {
                self.tell_link(host);
            }
        }
        changed
    }

    /// As PFs do: first whether it may be asked at all, then whether it is well-formed.
    fn judge(&self, host: &dyn Host, opcode: u32, bytes: &[u8]) -> Result<Op, Refusal> {
        let unsupported = |why| Refusal::new(VirtchnlStatus::ErrNotSupported, why);
        let op = Op::decode(opcode).ok_or_else(|| unsupported("there is no such operation"))?;
        if !allows(self.granted, op) {
            return Err(unsupported(
                "the capability that it belongs to was not granted",
            ));
        }
        if bytes.len() > MAX_MAILBOX_MESSAGE {
            return Err(Refusal::length());
        }
        if host.needs_reset() && !op.ends() {
            return Err(Refusal::new(
                VirtchnlStatus::ErrAdminQueueError,
                "the device is stopped until its driver resets it",
            ));
        }
        Ok(op)
    }

    fn carry_out(&mut self, host: &mut dyn Host, op: Op, bytes: &[u8]) -> Result<Outcome, Refusal> {
        match op {
            Op::Version => self.set_version(bytes),
            Op::ResetVf => {
                empty(bytes)?;
                self.reset_vf(host);
                Ok(Outcome::Silence)
            }
            Op::GetVfResources => self.resources(host, bytes),
            Op::RequestQueues => self.request_queues(host, bytes),
            Op::ConfigVsiQueues => self.config_queues(host, bytes),
            Op::ConfigIrqMap => self.config_irq_map(host, bytes),
            Op::EnableQueues => self.enable_queues(host, bytes),
            Op::DisableQueues => self.disable_queues(host, bytes),
            Op::AddEthAddr => self.add_addresses(host, bytes),
            Op::DelEthAddr => self.delete_addresses(host, bytes),
            Op::ConfigPromiscuousMode => self.config_promiscuous(host, bytes),
            Op::GetStats => self.statistics(host, bytes),
            Op::AddVlan => self.add_vlans(host, bytes),
            Op::DelVlan => self.delete_vlans(host, bytes),
            Op::AddVlanV2 => self.add_vlans_v2(host, bytes),
            Op::DelVlanV2 => self.delete_vlans_v2(host, bytes),
            Op::EnableVlanStripping | Op::DisableVlanStripping => {
                empty(bytes)?;
                self.strip_tags(op == Op::EnableVlanStripping)
            }
            Op::GetOffloadVlanV2Caps => {
                empty(bytes)?;
                let capabilities = vlan_v2::capabilities(self.config.vlan_filters);
                Ok(Outcome::Answer(capabilities))
            }
            Op::EnableVlanStrippingV2 | Op::DisableVlanStrippingV2 => {
                offered_setting(bytes)?;
                self.strip_tags(op == Op::EnableVlanStrippingV2)
            }
            Op::EnableVlanInsertionV2 | Op::DisableVlanInsertionV2 => {
                // A tag is inserted where a descriptor asks for it, and nowhere else.
                offered_setting(bytes)?;
                Ok(Outcome::done())
            }
            Op::GetSupportedRxdids => {
                empty(bytes)?;
                Ok(Outcome::Answer(queues::encode_formats(ReceiveFormat::ALL)))
            }
            Op::ConfigRssKey => self.config_rss_key(host, bytes),
            Op::ConfigRssLut => self.config_rss_table(host, bytes),
            Op::ConfigRssHfunc => self.config_rss_function(bytes),
            Op::GetRssHenaCaps => {
                empty(bytes)?;
                Ok(Outcome::Answer(super::rss::capabilities()))
            }
            Op::SetRssHena => self.set_rss_hena(host, bytes),
        }
    }

    /// Of all queues, whichever the message names.
    fn statistics(&self, host: &dyn Host, bytes: &[u8]) -> Result<Outcome, Refusal> {
        let select = QueueSelect::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(select.vsi)?;
        let (mut receive, mut transmit) = (Direction::default(), Direction::default());
        for pair in 0..self.config.queue_pairs {
            receive.add(&host.queue_report(QueueRole::Receive(pair)));
            transmit.add(&host.queue_report(QueueRole::Transmit(pair)));
        }
        Ok(Outcome::Answer(statistics::encode(&receive, &transmit)))
    }
}

/// `struct virtchnl_vlan_setting`: what is not offered is not supported.
fn offered_setting(bytes: &[u8]) -> Result<(), Refusal> {
    let setting = vlan_v2::Setting::parse(bytes).ok_or_else(Refusal::length)?;
    check_vsi(setting.vsi)?;
    if setting.is_offered() {
        Ok(())
    } else {
        Err(Refusal::new(
            VirtchnlStatus::ErrNotSupported,
            format!(
                "tags of EtherTypes {:#x} (outer), {:#x} (inner) are not offloaded",
                setting.outer, setting.inner
            ),
        ))
    }
}
