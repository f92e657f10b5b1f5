//! What follows from misbehaviour: a table look-up.

use super::sections::Reactions;
use super::words::{FrameReaction, RequestReaction, RingReaction};

/// Kinds of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A ring or descriptor that cannot be.
    MalformedRing,
    /// A frame that is none, or whose offloads cannot be.
    MalformedFrame,
    /// A frame that a spoof check drops.
    SpoofedFrame,
    /// A request that is refused.
    DeniedRequest,
    /// A request or reset above its rate.
    ExcessRequest,
}

/// What is to be done about an offence, beside dropping or refusing what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// Count it.
    Count,
    /// And write an audit event.
    Audit,
    /// And have its driver start anew, if its kind of device can and it was not too often.
    ResetDevice,
    /// And stop the device until its driver resets it.
    StopDevice,
    /// And close the client's connection.
    Disconnect,
}

impl Reactions {
    /// What follows from an offence, the `nth` of its kind within a minute, counted from 1.
    pub fn to(&self, offence: Offence, nth: u32) -> Reaction {
        let many = nth > self.tolerated_per_minute;
        match offence {
            Offence::MalformedRing => match self.malformed_ring {
                RingReaction::StopDevice => Reaction::StopDevice,
                RingReaction::ResetDevice => Reaction::ResetDevice,
                RingReaction::Disconnect => Reaction::Disconnect,
            },
            Offence::MalformedFrame => to_frame(self.malformed_frame, many),
            Offence::SpoofedFrame => to_frame(self.spoofed_frame, many),
            Offence::DeniedRequest => to_request(self.denied_request, many),
            Offence::ExcessRequest => to_request(self.excess_request, many),
        }
    }
}

fn to_frame(reaction: FrameReaction, many: bool) -> Reaction {
    match (reaction, many) {
        (FrameReaction::Count, _) => Reaction::Count,
        (FrameReaction::StopDevice, true) => Reaction::StopDevice,
        (FrameReaction::Disconnect, true) => Reaction::Disconnect,
        _ => Reaction::Audit,
    }
}

fn to_request(reaction: RequestReaction, many: bool) -> Reaction {
    match (reaction, many) {
        (RequestReaction::StopDevice, true) => Reaction::StopDevice,
        (RequestReaction::Disconnect, true) => Reaction::Disconnect,
        _ => Reaction::Audit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_at_the_number_tolerated() {
        let reactions = Reactions {
            malformed_ring: RingReaction::Disconnect,
            malformed_frame: FrameReaction::Count,
            spoofed_frame: FrameReaction::Disconnect,
            denied_request: RequestReaction::StopDevice,
            excess_request: RequestReaction::Audit,
            tolerated_per_minute: 3,
        };
        let table = [
            (
                Offence::MalformedRing,
                Reaction::Disconnect,
                Reaction::Disconnect,
            ),
            (Offence::MalformedFrame, Reaction::Count, Reaction::Count),
            (Offence::SpoofedFrame, Reaction::Audit, Reaction::Disconnect),
            (
                Offence::DeniedRequest,
                Reaction::Audit,
                Reaction::StopDevice,
            ),
            (Offence::ExcessRequest, Reaction::Audit, Reaction::Audit),
        ];
        for (offence, within, beyond) in table {
            assert_eq!(reactions.to(offence, 1), within, "{offence:?}");
            assert_eq!(reactions.to(offence, 3), within, "{offence:?}");
            assert_eq!(reactions.to(offence, 4), beyond, "{offence:?}");
        }
        let resets = Reactions {
            malformed_ring: RingReaction::ResetDevice,
            ..reactions
        };
        let to = |nth| resets.to(Offence::MalformedRing, nth);
        assert_eq!(
            [3, 4].map(to),
            [Reaction::ResetDevice; 2],
            "how often is its reader's business"
        );
    }
}
