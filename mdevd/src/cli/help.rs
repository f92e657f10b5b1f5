//! The command line with what its help says beside the options: examples, exit codes.

use clap::CommandFactory;

use super::args::Args;
use super::exit;

/// Examples by command, as a shell takes them. Every command has some: a test sees to it.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "cvfctl create web1 --queue-pairs 4",
            "cvfctl show web1 --qemu",
            "cvfctl list --json | jq -r '.[].name'",
        ],
    ),
    (
        "create",
        &[
            "cvfctl create web1 --queue-pairs 4 --vlan 5",
            "cvfctl create db1 --mac 52:54:00:12:34:56 --mtu 9000 --socket-group kvm",
            "cvfctl create web2 --persistent",
        ],
    ),
    (
        "define",
        &[
            "cvfctl define web1 --queue-pairs 4 --start auto --order 10",
            "cvfctl define web1 --queue-pairs 8 --replace",
        ],
    ),
    ("undefine", &["cvfctl undefine web1"]),
    ("start", &["cvfctl start web1", "cvfctl start web1 web2"]),
    (
        "stop",
        &["cvfctl stop web1", "cvfctl stop web1 web2 --force"],
    ),
    (
        "destroy",
        &["cvfctl destroy web1", "cvfctl destroy web1 --force"],
    ),
    (
        "set",
        &[
            "cvfctl set web1 link=down",
            "cvfctl set web1 vlan=7 tx-mbit=500 --dry-run",
            "cvfctl set web1 profile=trusted",
            "cvfctl set web1 start=auto order=10",
        ],
    ),
    (
        "edit",
        &[
            "cvfctl edit web1",
            "cvfctl edit web1 --patch '{\"mtu\":9000,\"vlan\":null}'",
        ],
    ),
    (
        "export",
        &["cvfctl export > devices.json", "cvfctl export web1 web2"],
    ),
    (
        "import",
        &[
            "cvfctl import devices.json --dry-run",
            "cvfctl import devices.json --start",
        ],
    ),
    ("types", &["cvfctl types", "cvfctl types --queue-pairs 4"]),
    (
        "jobs",
        &[
            "cvfctl jobs",
            "cvfctl jobs --cancel 7",
            "cvfctl jobs --result 7 --json",
        ],
    ),
    ("announce", &["cvfctl announce web1"]),
    ("takeover", &["cvfctl takeover fw1"]),
    ("list", &["cvfctl list", "cvfctl list --json"]),
    (
        "show",
        &[
            "cvfctl show web1",
            "cvfctl show web1 web2 --qemu --memory 4G",
            "cvfctl show web1 --libvirt-xml",
        ],
    ),
    ("stats", &["cvfctl stats", "cvfctl stats web1 --json"]),
    (
        "monitor",
        &[
            "cvfctl monitor",
            "cvfctl monitor --json --count 10 --timeout 60",
        ],
    ),
    (
        "capture",
        &[
            "cvfctl capture web1",
            "cvfctl capture web1 | tcpdump -n -r -",
            "cvfctl capture web1 --write web1.pcapng --snaplen 65535 --seconds 60",
            "cvfctl capture web1 --drops --direction out",
        ],
    ),
    ("policy", &["cvfctl policy list"]),
    ("policy list", &["cvfctl policy list"]),
    (
        "policy show",
        &["cvfctl policy show tenant > /etc/mdevd/profiles/edge.toml"],
    ),
    (
        "policy check",
        &["cvfctl policy check /etc/mdevd/profiles/*.toml"],
    ),
    (
        "policy explain",
        &[
            "cvfctl policy explain tenant mac=02:00:00:00:00:01",
            "cvfctl policy explain - vlan=200 --device web1",
        ],
    ),
    ("policy reload", &["cvfctl policy reload"]),
    ("pf", &["cvfctl pf list"]),
    ("pf list", &["cvfctl pf list"]),
    ("pf show", &["cvfctl pf show soft0"]),
    (
        "doctor",
        &[
            "cvfctl doctor",
            "cvfctl doctor --qemu /usr/libexec/qemu-kvm --json",
        ],
    ),
    (
        "top",
        &[
            "cvfctl top",
            "cvfctl top --pairs --filter web",
            "cvfctl top --interval 5 --batch 12 --json > rates.json",
        ],
    ),
    (
        "completion",
        &["cvfctl completion bash > /etc/bash_completion.d/cvfctl"],
    ),
    (
        "man",
        &["cvfctl man /usr/share/man/man1", "cvfctl man | man -l -"],
    ),
    ("reload", &["cvfctl reload"]),
    ("shutdown", &["cvfctl shutdown", "cvfctl shutdown --force"]),
    ("version", &["cvfctl version --json"]),
];

/// The whole command line, with examples.
pub fn command() -> clap::Command {
    let command = Args::command().after_help(format!(
        "{}\n\nWith --json, exactly one JSON value goes to standard output (top: one for each look; monitor and capture: one a line): the answer, \
         or {{\"error\": {{\"kind\", \"message\"}}}}.",
        exit::help()
    ));
    with_examples(command, "")
}

fn with_examples(command: clap::Command, path: &str) -> clap::Command {
    let examples = EXAMPLES.iter().find(|(of, _)| *of == path);
    let command = match examples {
        None => command,
        Some((_, lines)) => {
            let shown = format!("Examples:\n  {}", lines.join("\n  "));
            let after = command.get_after_help().map(ToString::to_string);
            let after = after.map_or_else(|| shown.clone(), |after| format!("{shown}\n\n{after}"));
            command.after_help(after)
        }
    };
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    names.into_iter().fold(command, |command, name| {
        let below = format!("{path} {name}");
        command.mut_subcommand(name, |sub| with_examples(sub, below.trim_start()))
    })
}

#[cfg(test)]
mod tests;
