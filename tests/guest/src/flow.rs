//! Planned flows: the work of both ends around the messages themselves. A witness looks at the interface
//! and the kernel's counters are read before and after.

mod datagrams;
mod stream;

use crate::sys::xdp::Pass;
use crate::witness::Witness;
use lab_guest::kernel::{self, Counters};
use lab_guest::pattern;
use lab_guest::plan::{self, Message};
use lab_guest::wire::{FlowArgs, FlowReport};
use std::fs;
use std::io::{self, ErrorKind};
use std::process::Command;
use std::time::{Duration, Instant};

/// How often a sender knocks at a receiver that is not there yet.
const KNOCK: Duration = Duration::from_millis(20);

/// Runs one end of a flow.
pub fn run(args: &FlowArgs, sends: bool) -> io::Result<FlowReport> {
    let _pass = match args.xdp {
        Some(ring) => {
            let pass = Pass::attach(&args.interface)?;
            // No change would be no new ring.
            resize(&args.interface, if ring == 64 { 128 } else { 64 })?;
            resize(&args.interface, ring)?;
            Some(pass)
        }
        None => None,
    };
    let before = counters(&args.interface);
    let witness = Witness::begin(&args.interface, args.longest)?;
    let mut report = FlowReport::default();
    let messages: Vec<Message> = plan::messages(&args.parts).collect();
    let start = Instant::now();
    let result = match (args.udp, sends) {
        (true, true) => datagrams::send(args, &messages, &mut report),
        (true, false) => datagrams::receive(args, &messages, &mut report),
        (false, true) => stream::send(args, &messages, &mut report),
        (false, false) => stream::receive(args, &messages, &mut report),
    };
    if let Err(error) = result {
        // Told beside what was seen, which says more.
        report.wrong = error.to_string();
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.seen = witness.end()?;
    report.risen = kernel::risen(&before, &counters(&args.interface));
    Ok(report)
}

/// Gives an interface new receive rings.
fn resize(interface: &str, entries: u16) -> io::Result<()> {
    let entries = entries.to_string();
    let mut ethtool = Command::new("ethtool");
    let done = ethtool.args(["-G", interface, "rx", &entries]).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!(
        "a ring of {entries} for {interface}: {said}"
    )))
}

/// The kernel's counters of its protocols and of `interface`.
fn counters(interface: &str) -> Counters {
    let mut all = Counters::new();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    kernel::snmp(&read("/proc/net/snmp"), &mut all);
    kernel::snmp6(&read("/proc/net/snmp6"), &mut all);
    for name in kernel::INTERFACE_FAULTS {
        let text = read(&format!("/sys/class/net/{interface}/statistics/{name}"));
        if let Ok(value) = text.trim().parse() {
            all.insert((*name).to_owned(), value);
        }
    }
    all
}

/// Something about a message that is not as it was planned.
fn wrong(message: Message, what: &str) -> io::Error {
    let Message { number, size, .. } = message;
    io::Error::other(format!("message {number} of {size} bytes: {what}"))
}

/// Says what is wrong with `data`, which should be what is at `at` in `message`.
fn difference(message: Message, at: usize, data: &[u8]) -> Option<String> {
    let seed = message.seed();
    let bad = pattern::mismatches(seed, at as u64, data);
    if bad == 0 {
        return None;
    }
    let first = (0..data.len())
        .find(|i| pattern::mismatches(seed, (at + i) as u64, &data[*i..=*i]) != 0)
        .unwrap_or(0);
    Some(format!("{bad} bytes differ, first at {}", at + first))
}

/// True for what only says that nothing came in time.
fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
