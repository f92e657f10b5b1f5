//! Why a request is allowed or refused, rule by rule.

use std::fmt;

use libcvf::control::{ControlRequest, DeviceFacts, QueuePolicy};
use serde::Serialize;

use crate::gatekeeper::{sentence, whatever};
use crate::given::Given;
use crate::profile::Profile;
use crate::request::describe;
use crate::rule;
use crate::rules::{self, Finding};

/// What a rule says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has nothing against it.
    Allows,
    /// It decides: the request is refused.
    Refuses,
    /// It would refuse, too, but one before it did.
    WouldRefuse,
}

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub rule: &'static str,
    /// The key that sets it, or the attribute of the device that counts instead; none for what holds for every
    /// profile.
    pub key: Option<&'static str>,
    /// What it says.
    pub outcome: Outcome,
    /// Why: half a sentence.
    pub why: String,
}

/// What a request was judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The profile's name.
    pub profile: String,
    /// The request.
    pub request: String,
    /// The address given at create.
    pub assigned_mac: String,
    /// Queue pairs of the slice.
    pub queue_pairs: u16,
    /// Access VLAN.
    pub access_vlan: Option<u16>,
    /// VLANs that it has joined, but for the one that the request is about.
    #[serde(skip)]
    pub joined_vlans: u16,
    /// What the device was given beside its profile, as in `, trust=on`.
    #[serde(skip)]
    pub given: String,
    /// The rules, in the order in which they are asked.
    pub steps: Vec<Step>,
    /// The verdict.
    pub allowed: bool,
    /// The rule that refuses.
    pub rule: Option<&'static str>,
    /// The sentence that a denial carries.
    pub reason: Option<String>,
}

/// Judges a request of a guest as [`ProfileGatekeeper`](crate::ProfileGatekeeper) does, and tells how.
pub fn explain(profile: &Profile, facts: &DeviceFacts, request: &ControlRequest) -> Explanation {
    explain_for(
        profile,
        facts,
        &Given::default(),
        &QueuePolicy::default(),
        request,
    )
}

/// The same for a device that was given something beside its profile, and whose queues the operator set.
pub fn explain_for(
    profile: &Profile,
    facts: &DeviceFacts,
    given: &Given,
    queues: &QueuePolicy,
    request: &ControlRequest,
) -> Explanation {
    let effective = given.over(profile);
    let rules = rules::about(request);
    let mut told = Explanation {
        profile: profile.name.clone(),
        request: describe(request),
        assigned_mac: facts.assigned_mac.to_string(),
        queue_pairs: facts.queue_pairs,
        access_vlan: facts.access_vlan,
        joined_vlans: facts.joined_vlans,
        given: given.to_string(),
        steps: Vec::new(),
        allowed: true,
        rule: None,
        reason: None,
    };
    told.of_operator(facts, queues, request);
    for rule in rules.built_in {
        if let Some(finding) = (rule.look)(facts, request) {
            told.add(rule.name, None, finding, |why| whatever(why, rule.name));
        }
    }
    if let Some(finding) = given.look(request) {
        let name = rule::VLAN_TRUNK;
        told.add(name, None, finding, |why| whatever(why, name));
    }
    for rule in rules.of_profile {
        if let Some(finding) = (rule.look)(&effective, facts, request) {
            let key = given.decider(profile, rule.key).unwrap_or(rule.key);
            told.add(rule.name, Some(key), finding, |why| {
                sentence(why, profile, given, rule)
            });
        }
    }
    told
}

impl Explanation {
    /// What is asked before all rules: the data plane itself refuses it.
    fn of_operator(&mut self, facts: &DeviceFacts, queues: &QueuePolicy, request: &ControlRequest) {
        let rss = matches!(request, ControlRequest::SetRss(_));
        let pairs = rss || matches!(request, ControlRequest::SetQueuePairs(_));
        let hash = rss || matches!(request, ControlRequest::SetHash(_));
        let have = facts.queue_pairs;
        let looks = [
            (
                pairs && queues.allowed(have) < have,
                QueuePolicy::PAIRS_RULE,
                queues.refuses_pairs(have, request),
                "the operator lets it use so many",
            ),
            (
                hash && queues.is_pinned(),
                QueuePolicy::HASH_RULE,
                queues.refuses_hash(request),
                "the operator set nothing that it contradicts",
            ),
        ];
        for (_, rule, denial, allows) in looks.into_iter().filter(|(about, ..)| *about) {
            let finding = match denial {
                Some(denial) => Finding::Refuses(denial.reason),
                None => Finding::Allows(allows.into()),
            };
            self.add(rule, None, finding, str::to_owned);
        }
    }

    fn add(
        &mut self,
        rule: &'static str,
        key: Option<&'static str>,
        finding: Finding,
        sentence: impl Fn(&str) -> String,
    ) {
        let (outcome, why) = match finding {
            Finding::Allows(why) => (Outcome::Allows, why.into_owned()),
            Finding::Refuses(why) if self.allowed => {
                (self.allowed, self.rule) = (false, Some(rule));
                self.reason = Some(sentence(&why));
                (Outcome::Refuses, why)
            }
            Finding::Refuses(why) => (Outcome::WouldRefuse, why),
        };
        let step = Step {
            rule,
            key,
            outcome,
            why,
        };
        self.steps.push(step);
    }
}

impl fmt::Display for Explanation {
    /// The verdict in the first line, then a line per rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (profile, request) = (&self.profile, &self.request);
        match &self.reason {
            None => writeln!(f, "allowed: {request} under profile '{profile}'")?,
            Some(reason) => writeln!(f, "refused: {request}: {reason}")?,
        }
        write!(
            f,
            "device: mac {}, queue-pairs {}",
            self.assigned_mac, self.queue_pairs
        )?;
        match self.access_vlan {
            None => write!(f, ", no access VLAN")?,
            Some(vlan) => write!(f, ", access VLAN {vlan}")?,
        }
        if self.joined_vlans > 0 {
            write!(f, ", VLANs joined {}", self.joined_vlans)?;
        }
        writeln!(f, "{}", self.given)?;
        if self.steps.is_empty() {
            return writeln!(
                f,
                "  no rule is about it: it only narrows what the guest receives"
            );
        }
        for step in &self.steps {
            let outcome = match step.outcome {
                Outcome::Allows => "allows",
                Outcome::Refuses => "REFUSES",
                Outcome::WouldRefuse => "would refuse",
            };
            let operators = [QueuePolicy::PAIRS_RULE, QueuePolicy::HASH_RULE];
            let key = match step.key {
                Some(key) => key,
                None if operators.contains(&step.rule) => "(set of the device)",
                None => "(every profile)",
            };
            let (rule, why) = (step.rule, &step.why);
            writeln!(f, "  {rule:<17} {key:<36} {outcome:<12}  {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
