//! A device as `show` tells it.

use std::fmt::Write;

use super::super::terminal::Terminal;
use super::{Lines, notes, qemu_option, starts, tone};
use crate::engine::{DeviceView, Health, Memory, RateLimits, Steering, VlanProtocol, Word};

/// Answer to `show`, one paragraph a device.
pub(in crate::cli) fn devices(terminal: Terminal, views: &[DeviceView]) -> String {
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
            "queue-pairs",
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
            ("rss-key", &view.rss_key),
            ("rss-table", &view.rss_table),
            ("features", &view.features_withheld),
        ] {
            if let Some(value) = value {
                lines.line(label, value);
            }
        }
        if let Some(group) = &view.group {
            let share = view
                .tx_share
                .map(|mbit| format!(" ({mbit} Mbit/s guaranteed)"));
            let lacks = if view.share_in_force {
                ""
            } else {
                ", NOT in force: see the notes"
            };
            lines.line(
                "group",
                format!("{group}{}{lacks}", share.unwrap_or_default()),
            );
        }
        if view.health.is_none() {
            lines.line("link", &view.link);
        }
        lines.line("profile", &d.profile);
        lines.line("start", starts(d));
        permissions(&mut lines, view);
        lines.line("doorbells", &view.doorbells);
        lines.line("interrupts", &view.interrupts);
        lines.line("ring-format", &view.ring_format);
        if view.health.is_none() && !view.data_path.is_empty() {
            lines.line("data-path", &view.data_path);
        }
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
        data_path(&mut lines, &view.data_path, health);
        lines.line("qemu", qemu_option(&view.qemu));
    }
    notes(&mut lines.out, &view.notes);
    lines.out
}

/// What its guest may do and its frames may claim: the attribute, what is in force, and where that is from if from
/// somewhere else.
fn permissions(lines: &mut Lines, view: &DeviceView) {
    let groups: [(&str, &str, &[&str]); 4] = [
        ("spoof-check", "spoof_check", &["mac", "vlan", "arp", "nd"]),
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

/// Who works its rings and why, and what follows where hardware does.
fn data_path(lines: &mut Lines, defined: &str, health: &Health) {
    // An older daemon does not tell.
    if !health.data_path.is_empty() {
        let auto = if defined == "auto" { "auto: " } else { "" };
        lines.line(
            "data-path",
            format!("{} ({auto}{})", health.data_path, health.data_path_reason),
        );
    }
    if !health.unenforced.is_empty() {
        lines.line("unenforced", health.unenforced.join(", "));
    }
    if let Some(faults) = &health.dma_faults {
        lines.line(
            "dma faults",
            match (&faults.unavailable, &faults.last) {
                (Some(why), _) => format!("not known: {why}"),
                (None, Some(last)) => format!("{} so far, last: {last}", faults.count),
                (None, None) => faults.count.to_string(),
            },
        );
    }
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
    if let Some(hardware) = &health.hardware {
        lines.line(
            "hardware",
            format!(
                "{}, {} bytes of guest memory within its reach; payload copied: {} bytes out, {} in",
                hardware.mode,
                hardware.reached_bytes,
                hardware.tx_copied_bytes,
                hardware.rx_copied_bytes
            ),
        );
        if let Some(why) = &hardware.why {
            lines.line("", why);
        }
    }
    if health.captures > 0 {
        lines.line("captures", health.captures.to_string());
    }
}

#[cfg(test)]
mod tests;
