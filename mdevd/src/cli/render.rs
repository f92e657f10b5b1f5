//! Answers as text for people.

use std::fmt::Write;

use super::table::{Cell, KEEP, number, printable, ranked, table, text, toned};
use super::terminal::{Terminal, Tone};
use crate::engine::{
    Change, Changed, Created, DeviceSummary, DeviceView, DirectionStats, GroupView, Health, Memory,
    Outcome, PfView, RateLimits, State, Stats, Steering, VlanProtocol, Word,
};
use crate::text::shell_word;

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
        lines.line(&key.replace('_', " "), value);
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

/// Answer to `show`, one paragraph a device.
pub(super) fn devices(terminal: Terminal, views: &[DeviceView]) -> String {
    let each: Vec<_> = views.iter().map(|view| device(terminal, view)).collect();
    each.join("\n")
}

/// The access VLAN, and what is particular about its tags.
fn vlan(view: &DeviceView) -> String {
    let Some(vlan) = view.summary.vlan else {
        return "none".to_owned();
    };
    let protocol = view.vlan_protocol.as_deref();
    let protocol = protocol.filter(|word| *word != VlanProtocol::default().word());
    let particular: Vec<_> = protocol
        .map(str::to_owned)
        .into_iter()
        .chain(view.vlan_qos.map(|qos| format!("qos {qos}")))
        .collect();
    match particular.join(", ") {
        nothing if nothing.is_empty() => vlan.to_string(),
        particular => format!("{vlan} ({particular})"),
    }
}

fn device(terminal: Terminal, view: &DeviceView) -> String {
    let d = &view.summary;
    let mut lines = Lines::new(&d.name);
    let state = terminal.paint(tone(d.state), d.state.word());
    let _ = writeln!(lines.out, "  {:<14}{state}", "state");
    if let Some(reason) = &d.reason {
        lines.line("reason", reason);
    }
    if !d.uuid.is_empty() {
        lines.line("uuid", &d.uuid);
        lines.line("pf", &d.pf);
        lines.line("personality", &d.personality);
        let limit = view
            .queue_pairs_limit
            .map(|limit| format!(" ({limit} may be used)"));
        lines.line(
            "queue pairs",
            format!("{}{}", d.queue_pairs, limit.unwrap_or_default()),
        );
        lines.line("mac", &d.mac);
        lines.line("mtu", d.mtu.to_string());
        lines.line("vlan", vlan(view));
        if let Some(trunk) = &d.trunk {
            lines.line("trunk", trunk);
        }
        for (label, rate) in rates(&view.rates) {
            lines.line(&label, rate.to_string());
        }
        for (label, value) in [
            ("rss key", &view.rss_key),
            ("rss table", &view.rss_table),
            ("withheld", &view.features_withheld),
        ] {
            if let Some(value) = value {
                lines.line(label, value);
            }
        }
        if let Some(group) = &view.group {
            let share = view
                .tx_share
                .map(|mbit| format!(" ({mbit} Mbit/s guaranteed)"));
            lines.line("group", format!("{group}{}", share.unwrap_or_default()));
        }
        if view.health.is_none() {
            lines.line("link", &view.link);
        }
        lines.line("profile", &d.profile);
        lines.line("start", starts(d));
        permissions(&mut lines, view);
        lines.line("doorbells", &view.doorbells);
        lines.line("interrupts", &view.interrupts);
        lines.line("ring format", &view.ring_format);
        // One that could not be composed has none.
        if !d.socket.is_empty() {
            let owner = view.socket_owner.as_deref().unwrap_or("the daemon's");
            let group = view.socket_group.as_deref().unwrap_or("the daemon's");
            lines.line(
                "socket",
                format!(
                    "{} (user {owner}, group {group}, {})",
                    d.socket, view.socket_mode
                ),
            );
        }
    }
    if let Some(health) = &view.health {
        health_lines(&mut lines, (&d.mac, &view.link), health);
        lines.line("qemu", qemu_option(&view.qemu));
    }
    notes(&mut lines.out, &view.notes);
    lines.out
}

/// What its guest may do and its frames may claim: the attribute, what is in force, and where that is from if from
/// somewhere else.
fn permissions(lines: &mut Lines, view: &DeviceView) {
    let groups: [(&str, &str, &[&str]); 4] = [
        ("spoof check", "spoof_check", &["mac", "vlan", "arp", "nd"]),
        (
            "trust",
            "trust",
            &["mac-change", "unicast-filter", "max-unicast"],
        ),
        (
            "promiscuous",
            "promiscuous",
            &["promiscuous", "all-unicast"],
        ),
        (
            "multicast",
            "multicast",
            &["all-multicast", "max-multicast"],
        ),
    ];
    for (label, attribute, keys) in groups {
        let word = view.overrides.word(attribute).unwrap_or_default();
        let own = format!("{}={word}", attribute.replace('_', "-"));
        let values = view.in_force.iter().filter_map(|one| {
            let key = one
                .key
                .split('.')
                .next_back()
                .filter(|key| keys.contains(key))?;
            let elsewhere = one.from != own && (word != "profile" || one.from != "profile");
            let from = if elsewhere {
                format!(" ({})", one.from)
            } else {
                String::new()
            };
            Some(format!("{key} {}{from}", one.value))
        });
        let values: Vec<_> = values.collect();
        if !values.is_empty() {
            lines.line(label, format!("{word}: {}", values.join(", ")));
        }
    }
}

/// Rates that a device was given, by the names that `cvfctl set` takes.
fn rates(rates: &RateLimits) -> Vec<(String, u32)> {
    let given = |(key, _): (&str, u32)| Some((key.replace('_', "-"), rates.get(key)?));
    RateLimits::KEYS.into_iter().filter_map(given).collect()
}

/// Who chooses the receive queue, in one line: `rss, 128 entries over 0-3, others to 0; hash IPv4 TCPv4`.
fn steering(steering: &Steering) -> String {
    let mut text = if steering.rss {
        let mut queues = steering.table.clone();
        queues.sort_unstable();
        queues.dedup();
        let (entries, others) = (steering.table.len(), steering.unclassified);
        format!(
            "rss, {entries} entries over {}, others to {others}",
            runs(&queues)
        ) + &match (steering.table_by.as_str(), steering.key_by.as_str()) {
            ("host", "host") => "; table and key by the host".to_owned(),
            ("host", _) => "; table by the host".to_owned(),
            (_, "host") => "; key by the host".to_owned(),
            _ => String::new(),
        }
    } else {
        "chosen by the device".to_owned()
    };
    if !steering.hash_types.is_empty() {
        text.push_str("; hash ");
        text.push_str(&steering.hash_types.join(" "));
    }
    text
}

/// Numbers in order, neighbours as a run: `0-3,6`.
fn runs(numbers: &[u16]) -> String {
    let neighbours = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let texts = neighbours.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    texts.collect::<Vec<_>>().join(",")
}

fn health_lines(lines: &mut Lines, (defined_mac, link): (&str, &str), health: &Health) {
    let client = health
        .client
        .map_or_else(|| "none".to_owned(), |client| client.to_string());
    lines.line("client", client);
    let (served, refused) = (health.clients_served, health.clients_refused);
    if served + refused > 0 {
        lines.line(
            "clients",
            format!("{served} served, {refused} turned away while one was there"),
        );
    }
    if let Some(why) = &health.last_disconnect {
        lines.line("last client", why);
    }
    lines.line("driver", &health.driver);
    let shown = if health.link_up { "up" } else { "down" };
    lines.line(
        "link",
        match link {
            "auto" => format!("{shown} (auto: as the uplink of its PF)"),
            _ => shown.to_owned(),
        },
    );
    lines.line("active pairs", health.active_pairs.to_string());
    lines.line("receive queue", steering(&health.steering));
    if health.mac != defined_mac && !health.mac.is_empty() {
        lines.line("mac now", format!("{} (set by the guest)", health.mac));
    }
    if !health.features.is_empty() {
        lines.line("features", health.features.join(" "));
    }
    if !health.features_pending.is_empty() {
        let pending = health.features_pending.join(" ");
        lines.line(
            "pending",
            format!("without {pending} when its driver starts anew"),
        );
    }
    let memory = match health.memory {
        Memory::Unknown => "no ring placed yet",
        Memory::Shared => "shared",
        Memory::WithoutFd => "without file descriptors",
        Memory::NotShared => "NOT SHARED",
    };
    let (maps, mib) = (health.maps, health.mapped_bytes >> 20);
    lines.line("memory", format!("{memory} ({maps} maps, {mib} MiB)"));
    if let Some(advice) = &health.memory_advice {
        lines.line("", advice);
    }
    if let Some(refusal) = &health.last_refusal {
        lines.line(
            "refused",
            format!("{} so far, last: {}", refusal.count, refusal.what),
        );
    }
    lines.line(
        "worker",
        if health.worker_polls {
            "polls (one core busy)"
        } else {
            "sleeps when idle"
        },
    );
    if health.captures > 0 {
        lines.line("captures", health.captures.to_string());
    }
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
                "{} frames, {} bytes, {} large, {} multicast, {} broadcast",
                d.frames, d.bytes, d.large_frames, d.multicast, d.broadcast
            ),
        );
        for (reason, count) in &d.drops {
            lines.line("", format!("{count} dropped: {reason}"));
        }
    }
}

/// Answer to `stats` with a name.
pub(super) fn stats(terminal: Terminal, stats: &Stats) -> String {
    let total = &stats.total;
    let mut lines = Lines::new(&stats.name);
    directions(&mut lines, [("rx", &total.rx), ("tx", &total.tx)]);
    lines.line("doorbells", total.doorbells.to_string());
    lines.line("interrupts", total.interrupts.to_string());
    lines.line("messages", stats.messages.to_string());
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
    let up = if pf.uplink.up { "up" } else { "down" };
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
            let pairs = pairs.map_or_else(String::new, |r| format!("{} of {}", r.free, r.total));
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

/// Answer to `pf show`.
pub(super) fn pf(terminal: Terminal, pf: &PfView) -> String {
    let mut lines = Lines::new(&pf.name);
    lines.line("kind", &pf.kind);
    lines.line("devices", pf.devices.to_string());
    lines.line("workers", workers(pf));
    lines.line("uplink", uplink(pf));
    if pf.uplink.name.is_some() {
        directions(
            &mut lines,
            [("uplink rx", &pf.uplink.rx), ("uplink tx", &pf.uplink.tx)],
        );
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
            format!("{name}: {tx_mbit} Mbit/s, {guaranteed_mbit} guaranteed, {devices} devices"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steering_is_told_in_a_line() {
        let mut shown = Steering::default();
        assert_eq!(steering(&shown), "chosen by the device");
        shown.hash_types = vec!["IPv4".to_owned(), "TCPv4".to_owned()];
        assert_eq!(steering(&shown), "chosen by the device; hash IPv4 TCPv4");
        shown.rss = true;
        shown.table = vec![3, 1, 0, 1, 6, 2, 3, 0];
        assert_eq!(
            steering(&shown),
            "rss, 8 entries over 0-3,6, others to 0; hash IPv4 TCPv4"
        );
    }

    #[test]
    fn runs_join_neighbours() {
        assert_eq!(runs(&[]), "");
        assert_eq!(runs(&[5]), "5");
        assert_eq!(runs(&[0, 1, 2, 4, 65_535]), "0-2,4,65535");
    }
}
