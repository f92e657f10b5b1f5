//! Answers as text for people.

mod device;

use std::fmt::Write;

pub(super) use device::devices;

use super::table::{Cell, KEEP, number, printable, ranked, table, text, toned};
use super::terminal::{Terminal, Tone};
use crate::engine::{
    Change, Changed, Created, DeviceSummary, DirectionStats, GroupView, MostView, Outcome, PfView,
    State, Stats,
};
use crate::text::{counted, shell_word};

/// Lines of "label  value".
struct Lines {
    out: String,
}

impl Lines {
    fn new(title: &str) -> Self {
        Self {
            out: format!("{}\n", printable(title)),
        }
    }

    fn line(&mut self, label: &str, value: impl AsRef<str>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "  {label:<14}{}", printable(value.as_ref()));
    }
}

fn notes(out: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(out, "note: {}", printable(note));
    }
}

fn qemu_option(device: &str) -> String {
    format!("-device {}", shell_word(device))
}

/// Answer to `create`.
pub(super) fn created(made: &Created) -> String {
    let what = match made.result {
        Outcome::Created => "created",
        Outcome::WouldCreate => "would be created",
        Outcome::Already => "already there",
        Outcome::Started => "started",
        Outcome::WouldStart => "would be started",
        Outcome::Defined => "defined",
        Outcome::WouldDefine => "would be defined",
        Outcome::Replaced => "defined otherwise now",
        Outcome::WouldReplace => "would be defined otherwise",
    };
    let mut lines = Lines::new(&format!("{} {what}", made.name));
    lines.line("uuid", &made.uuid);
    lines.line("mac", &made.mac);
    lines.line("pf", &made.pf);
    lines.line("profile", &made.profile);
    for (key, value) in &made.attributes {
        lines.line(&key.replace('_', "-"), value);
    }
    if !made.socket.is_empty() {
        lines.line("socket", &made.socket);
        lines.line("qemu", qemu_option(&made.qemu));
    }
    for change in &made.changes {
        let Change {
            attribute,
            from,
            to,
        } = change;
        lines.line(attribute, format!("{to} (was {from})"));
    }
    notes(&mut lines.out, &made.notes);
    lines.out
}

/// Answer to `set`.
pub(super) fn changed(set: &Changed) -> String {
    let what = match (set.changed, set.dry_run) {
        (false, _) => "is so already",
        (true, false) => "changed",
        (true, true) => "would be changed",
    };
    let mut lines = Lines::new(&format!("{} {what}", set.name));
    for Change {
        attribute,
        from,
        to,
    } in &set.changes
    {
        lines.line(attribute, format!("{to} (was {from})"));
    }
    notes(&mut lines.out, &set.notes);
    lines.out
}

fn tone(state: State) -> Tone {
    match state {
        State::Ready => Tone::Plain,
        State::Connected => Tone::Good,
        State::Changing => Tone::Busy,
        State::Failed => Tone::Bad,
        State::Defined => Tone::Plain,
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// When a device starts by itself, in a word or two.
fn starts(device: &DeviceSummary) -> String {
    match (device.uuid.is_empty(), device.persistent, device.order) {
        (true, ..) => String::new(),
        (_, false, _) => "transient".to_owned(),
        (_, true, 0) => device.start.clone(),
        (_, true, order) => format!("{} {order}", device.start),
    }
}

/// VLANs that a list has room for.
const MAX_VLANS_TOLD: usize = 20;

/// The access VLAN, or those of the trunk.
fn vlans(device: &DeviceSummary) -> String {
    match (device.vlan, &device.trunk) {
        (Some(vlan), _) => vlan.to_string(),
        (None, Some(trunk)) if trunk.len() > MAX_VLANS_TOLD => {
            let cut = trunk
                .char_indices()
                .take_while(|(at, _)| *at < MAX_VLANS_TOLD);
            let cut = cut
                .filter(|(_, c)| *c == ',')
                .last()
                .map_or(0, |(at, _)| at);
            format!("trunk {},...", &trunk[..cut])
        }
        (None, Some(trunk)) => format!("trunk {trunk}"),
        (None, None) => "-".to_owned(),
    }
}

/// Answer to `list`.
pub(super) fn list(terminal: Terminal, devices: &[DeviceSummary]) -> String {
    if devices.is_empty() {
        return "no devices; make one with: cvfctl create NAME\n".to_owned();
    }
    let rows: Vec<Vec<Cell>> = devices
        .iter()
        .map(|d| {
            vec![
                text(&d.name),
                toned(tone(d.state), d.state.word()),
                text(&d.pf),
                text(&d.personality),
                number(d.queue_pairs),
                text(&d.mac),
                text(vlans(d)),
                text(or_dash(&d.link)),
                text(or_dash(&starts(d))),
                text(d.reason.as_deref().unwrap_or(&d.driver)),
            ]
        })
        .collect();
    let heading = [
        "NAME",
        "STATE",
        "PF",
        "PERSONALITY",
        "PAIRS",
        "MAC",
        "VLAN",
        "LINK",
        "START",
        "DRIVER",
    ];
    let keep = [KEEP, KEEP, 4, 8, 6, 5, 3, 2, 7, 1];
    ranked(terminal, &heading, &keep, &rows)
}

fn dropped(direction: &DirectionStats) -> u64 {
    direction.drops.values().sum()
}

/// Answer to `stats` without a name.
pub(super) fn all_stats(terminal: Terminal, all: &[Stats]) -> String {
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|stats| {
            let (rx, tx) = (&stats.total.rx, &stats.total.tx);
            let numbers = [
                rx.frames,
                rx.bytes,
                dropped(rx),
                tx.frames,
                tx.bytes,
                dropped(tx),
            ];
            std::iter::once(text(&stats.name))
                .chain(numbers.map(number))
                .collect()
        })
        .collect();
    let heading = [
        "NAME",
        "RX FRAMES",
        "RX BYTES",
        "RX DROPS",
        "TX FRAMES",
        "TX BYTES",
        "TX DROPS",
    ];
    table(terminal, &heading, &rows)
}

/// What passed each way, and what was dropped and why.
fn directions(lines: &mut Lines, both: [(&str, &DirectionStats); 2]) {
    for (label, d) in both {
        lines.line(
            label,
            format!(
                "{}, {}, {} large, {} multicast, {} broadcast",
                counted(d.frames, "frame"),
                counted(d.bytes, "byte"),
                d.large_frames,
                d.multicast,
                d.broadcast
            ),
        );
        for (reason, count) in &d.drops {
            lines.line("", format!("{count} dropped: {reason}"));
        }
    }
}

/// What counters of frames mean where hardware works the rings.
const UNCOUNTED: &str =
    "not counted: hardware works its rings (data path 'direct'), and no frame passes the daemon";

/// Answer to `stats` with a name.
pub(super) fn stats(terminal: Terminal, stats: &Stats) -> String {
    let total = &stats.total;
    let mut lines = Lines::new(&stats.name);
    directions(&mut lines, [("rx", &total.rx), ("tx", &total.tx)]);
    lines.line("doorbells", total.doorbells.to_string());
    lines.line("interrupts", total.interrupts.to_string());
    lines.line("messages", stats.messages.to_string());
    if stats.uncounted {
        lines.line("frames", UNCOUNTED);
    }
    if !stats.pairs.is_empty() {
        let rows: Vec<Vec<Cell>> = stats
            .pairs
            .iter()
            .map(|pair| {
                let c = &pair.counters;
                let (rx, tx) = (&c.rx, &c.tx);
                let numbers = [
                    pair.pair.into(),
                    rx.frames,
                    rx.bytes,
                    dropped(rx),
                    tx.frames,
                    tx.bytes,
                    dropped(tx),
                    c.doorbells,
                    c.interrupts,
                ];
                numbers.into_iter().map(number).collect()
            })
            .collect();
        let heading = [
            "PAIR",
            "RX FRAMES",
            "RX BYTES",
            "RX DROPS",
            "TX FRAMES",
            "TX BYTES",
            "TX DROPS",
            "DOORBELLS",
            "INTERRUPTS",
        ];
        lines.out += &table(terminal, &heading, &rows);
    }
    lines.out
}

fn uplink(pf: &PfView) -> String {
    let up = match (&pf.lost, pf.uplink.up) {
        (Some(_), _) => "lost",
        (None, true) => "up",
        (None, false) => "down",
    };
    match (&pf.uplink.name, &pf.uplink.bridge) {
        (Some(name), Some(bridge)) => format!("{} {name} in bridge {bridge}, {up}", pf.uplink.kind),
        (Some(name), None) => format!("{} {name}, {up}", pf.uplink.kind),
        _ => "none".to_owned(),
    }
}

/// Answer to `pf list`.
pub(super) fn pfs(terminal: Terminal, pfs: &[PfView]) -> String {
    let rows: Vec<Vec<Cell>> = pfs
        .iter()
        .map(|pf| {
            let pairs = pf
                .resources
                .iter()
                .find(|resource| resource.kind == "queue-pairs");
            let pairs = match (&pf.exclusive, pairs) {
                (Some(owner), _) => format!("none: all {owner}'s"),
                (None, pairs) => {
                    pairs.map_or_else(String::new, |r| format!("{} of {}", r.free, r.total))
                }
            };
            vec![
                text(&pf.name),
                text(&pf.kind),
                number(pf.devices),
                number(pf.workers),
                text(pairs),
                text(uplink(pf)),
            ]
        })
        .collect();
    table(
        terminal,
        &[
            "NAME",
            "KIND",
            "DEVICES",
            "WORKERS",
            "FREE QUEUE PAIRS",
            "UPLINK",
        ],
        &rows,
    )
}

/// How many workers, and how busy each is.
fn workers(pf: &PfView) -> String {
    let busy = |load: &u64| format!("{}.{} %", load / 10, load % 10);
    let busy: Vec<String> = pf.worker_loads.iter().map(busy).collect();
    match busy.is_empty() {
        true => pf.workers.to_string(),
        false => format!("{}, busy {}", pf.workers, busy.join(", ")),
    }
}

/// What one device gets at most, where the PF's hardware says so.
fn each(pf: &PfView) -> Option<String> {
    // "queue-pairs" of one is "1 queue pair".
    let most = |most: &MostView| {
        let kind = most.kind.replace('-', " ");
        counted(most.count, kind.strip_suffix('s').unwrap_or(&kind))
    };
    let mtu = pf.most_mtu.map(|mtu| format!("MTU {mtu}"));
    let all: Vec<String> = pf.most_each.iter().map(most).chain(mtu).collect();
    (!all.is_empty()).then(|| format!("at most {}", all.join(", ")))
}

/// Answer to `pf show`.
pub(super) fn pf(terminal: Terminal, pf: &PfView) -> String {
    let mut lines = Lines::new(&pf.name);
    lines.line("kind", &pf.kind);
    lines.line("devices", pf.devices.to_string());
    lines.line("workers", workers(pf));
    lines.line("uplink", uplink(pf));
    if let Some(why) = &pf.lost {
        lines.line("lost", why);
    }
    if pf.uplink.name.is_some() {
        directions(
            &mut lines,
            [("uplink rx", &pf.uplink.rx), ("uplink tx", &pf.uplink.tx)],
        );
    }
    if let Some(owner) = &pf.exclusive {
        lines.line(
            "exclusive",
            format!(
                "{owner} has it as a whole (data path 'direct'): there is no other device on it"
            ),
        );
    }
    if let Some(each) = each(pf) {
        lines.line("each device", each);
    }
    for group in &pf.groups {
        let GroupView {
            name,
            tx_mbit,
            guaranteed_mbit,
            devices,
        } = group;
        lines.line(
            "group",
            format!(
                "{name}: {tx_mbit} Mbit/s, {guaranteed_mbit} guaranteed, {}",
                counted(*devices, "device")
            ),
        );
    }
    let rows: Vec<Vec<Cell>> = pf
        .resources
        .iter()
        .map(|resource| {
            let used = resource.total.saturating_sub(resource.free);
            let tone = match resource.free {
                0 => Tone::Bad,
                _ => Tone::Plain,
            };
            vec![
                text(&resource.kind),
                number(resource.total),
                number(used),
                number(resource.free).toned(tone),
            ]
        })
        .collect();
    lines.out += &table(terminal, &["RESOURCE", "TOTAL", "USED", "FREE"], &rows);
    lines.out
}
