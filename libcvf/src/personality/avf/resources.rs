//! Version, resources, and how many queues there are.

use super::super::Host;
use super::capabilities::{self, OF_VERSION_1_0, bits};
use super::message::{Outcome, VSI};
use super::refusal::{Refusal, granted};
use super::state::State;
use super::wire::resources::{self, Resources, Version};
use super::wire::rss;
use crate::control::ControlRequest;

impl State {
    /// Never refused, whatever the driver speaks; `VIRTCHNL_OP_VERSION` may come at any time, because drivers
    /// use it to see whether somebody is there.
    pub(super) fn set_version(&mut self, bytes: &[u8]) -> Result<Outcome, Refusal> {
        self.version = Version::parse(bytes).ok_or_else(Refusal::length)?;
        if self.granted == 0 {
            // After resets drivers go on without it, so this one starts.
            self.told = 0;
        }
        Ok(Outcome::Answer(Version::OURS.encode()))
    }

    pub(super) fn resources(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let asked = if self.version.has_capabilities() {
            resources::wanted(bytes)
        } else {
            bytes.is_empty().then_some(OF_VERSION_1_0)
        };
        let asked = asked.ok_or_else(Refusal::length)?;
        let first = self.granted == 0;
        self.granted = capabilities::grant(asked, capabilities::offered(self.config.features));
        if first {
            self.begin(host);
        }
        let has_rss = self.has(bits::OFFLOAD_RSS_PF);
        let size = |of: usize| if has_rss { of as u32 } else { 0 };
        let resources = Resources {
            pairs: self.pairs,
            vectors: self.lines.len() as u16,
            max_mtu: self.config.longest_frame(),
            capabilities: self.granted,
            rss_key_size: size(rss::KEY),
            rss_lut_size: size(rss::TABLE),
            vsi: VSI,
            mac: self.mac,
        };
        Ok(Outcome::Answer(resources.encode()))
    }

    /// What a driver finds that has just been granted its capabilities.
    fn begin(&mut self, host: &mut dyn Host) {
        // It is told of what it may use: one pair, where policy does not let it have more.
        let shown = self.config.shown();
        let pairs = self.requested.map_or(shown, |pairs| pairs.min(shown));
        let all = pairs > 1 && host.settle(ControlRequest::SetQueuePairs(pairs)).is_done();
        self.usable = if all { pairs } else { 1 };
        self.pairs = self.usable.max(self.told);
        self.told = self.pairs;
        self.pairs_in_use = self.usable;
        self.unfilter(host);
        // As PFs do: without version 2, which has messages for it, tags are taken out from the start.
        self.set_strip(self.has(bits::OFFLOAD_VLAN));
    }

    /// `VIRTCHNL_OP_REQUEST_QUEUES`. Where it is granted the answer is a reset.
    pub(super) fn request_queues(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let have = || resources::encode_pairs(self.pairs);
        let wrong = || Refusal::length().with(have());
        let pairs = resources::requested_pairs(bytes).ok_or_else(wrong)?;
        if pairs == 0 {
            return Err(Refusal::param("no queue pair was asked for").with(have()));
        }
        let most = self.config.shown();
        if pairs > most {
            // No error: the driver asked how many there are.
            return Ok(Outcome::Answer(resources::encode_pairs(most)));
        }
        granted(host.control(ControlRequest::SetQueuePairs(pairs)))
            .map_err(|refusal| refusal.with(have()))?;
        self.requested = Some(pairs);
        self.told = 0;
        self.reset_by_device(host);
        Ok(Outcome::Silence)
    }
}
