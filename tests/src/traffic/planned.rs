//! Flows whose messages are planned: each end knows what comes next, and looks at whatever arrives meanwhile.

use crate::vm::Vm;
use anyhow::Result;
use lab_guest::kernel::{FAULTS, INTERFACE_FAULTS};
use lab_guest::plan;
use lab_guest::wire::{FlowArgs, FlowReport};
use std::time::Duration;

/// What the two ends of a flow reported.
#[derive(Debug)]
pub struct Told {
    /// The sender.
    pub sender: FlowReport,
    /// The receiver.
    pub receiver: FlowReport,
    /// Messages that were to be sent.
    pub planned: u64,
}

/// Runs a flow from one guest to another.
///
/// # Errors
/// If an end cannot be run. What went wrong with the flow is in the reports.
pub fn run(from: (&Vm, &FlowArgs), to: (&Vm, &FlowArgs), limit: Duration) -> Result<Told> {
    let (receiver, args) = to;
    let there = receiver.start_tool("flow-receive", args, limit)?;
    let (sender, args) = from;
    let here = sender.start_tool("flow-send", args, limit)?;
    Ok(Told {
        sender: sender.report(here)?,
        receiver: receiver.report(there)?,
        planned: plan::messages(&args.parts).count() as u64,
    })
}

impl Told {
    /// What was not as it must be; empty if all was.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (who, end) in [("sender", &self.sender), ("receiver", &self.receiver)] {
            wrong.extend(faults(end).into_iter().map(|what| format!("{who}: {what}")));
            if end.messages != self.planned {
                wrong.push(format!(
                    "{who}: {} of {} messages",
                    end.messages, self.planned
                ));
            }
        }
        wrong
    }
}

/// What an end found wrong by itself.
fn faults(end: &FlowReport) -> Vec<String> {
    let mut wrong = Vec::new();
    if !end.wrong.is_empty() {
        wrong.push(end.wrong.clone());
    }
    if end.seen.faults > 0 {
        wrong.push(format!(
            "{} bad packets, the first: {}",
            end.seen.faults, end.seen.first_fault
        ));
    }
    if end.seen.missed > 0 {
        wrong.push(format!("{} packets were not looked at", end.seen.missed));
    }
    let bad = |name: &&String| {
        FAULTS.contains(&name.as_str()) || INTERFACE_FAULTS.contains(&name.as_str())
    };
    for name in end.risen.keys().filter(bad) {
        wrong.push(format!("{name} went up by {}", end.risen[name]));
    }
    wrong
}
