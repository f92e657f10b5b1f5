//! The rules: which concern a request, in which order, and what each says about it.

mod addresses;
mod built_in;
mod queues;
mod receive;
mod vlans;

use std::borrow::Cow;

use libcvf::control::{ControlRequest, DeviceFacts};

use crate::profile::Profile;

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing against it, because.
    Allows(Cow<'static, str>),
    /// What is against it: half a sentence that a denial goes on from.
    Refuses(String),
}

impl Finding {
    pub(crate) fn allows(why: impl Into<Cow<'static, str>>) -> Option<Self> {
        Some(Self::Allows(why.into()))
    }

    pub(crate) fn refuses(why: impl Into<String>) -> Option<Self> {
        Some(Self::Refuses(why.into()))
    }
}

/// A rule that holds for every device.
pub(crate) struct BuiltIn {
    pub(crate) name: &'static str,
    /// `None`: it has nothing to say about this request.
    pub(crate) look: fn(&DeviceFacts, &ControlRequest) -> Option<Finding>,
}

/// A rule that a key of a profile sets.
pub(crate) struct OfProfile {
    pub(crate) name: &'static str,
    pub(crate) key: &'static str,
    /// What to set the key to, so that it allows more.
    pub(crate) cure: &'static str,
    /// `None`: it has nothing to say about this request.
    pub(crate) look: fn(&Profile, &DeviceFacts, &ControlRequest) -> Option<Finding>,
}

/// The rules about a request.
pub(crate) struct Rules {
    pub(crate) built_in: &'static [BuiltIn],
    pub(crate) of_profile: &'static [OfProfile],
}

/// The rules that concern a request, in their order. What only narrows what a guest receives has none.
pub(crate) const fn about(request: &ControlRequest) -> Rules {
    let (built_in, of_profile): (&[BuiltIn], &[OfProfile]) = match request {
        ControlRequest::SetMac(_) => (built_in::MAC, addresses::OWN),
        ControlRequest::SetMacFilter { .. } => (built_in::FILTER, addresses::FILTER),
        ControlRequest::Promiscuous(_) => (&[], receive::PROMISCUOUS),
        ControlRequest::AllUnicast(_) => (&[], receive::ALL_UNICAST),
        ControlRequest::AllMulticast(_) => (&[], receive::ALL_MULTICAST),
        ControlRequest::NoMulticast(_)
        | ControlRequest::NoUnicast(_)
        | ControlRequest::NoBroadcast(_) => (&[], &[]),
        ControlRequest::AddVlan(_) => (built_in::JOIN, vlans::JOIN),
        ControlRequest::DelVlan(_) => (built_in::LEAVE, &[]),
        ControlRequest::FilterVlans(_) => (&[], vlans::FILTER),
        ControlRequest::SetQueuePairs(_) => (built_in::PAIRS, queues::PAIRS),
        ControlRequest::SetRss(_) => (built_in::RSS, queues::RSS),
        ControlRequest::SetHash(_) => (&[], queues::HASH),
        ControlRequest::SetCoalescing(..) => (built_in::COALESCING, queues::COALESCING),
        ControlRequest::SetReceiveOffloads(_) => (&[], queues::OFFLOADS),
    };
    Rules {
        built_in,
        of_profile,
    }
}

#[cfg(test)]
mod tests;
