//! Each command: calls, and the answer for scripts and for people.

use std::io::IsTerminal;

use serde_json::{Value as Json, json};
use zbus::zvariant::Value;

use super::args::{Args, Command, Create, PfCommand, PolicyCommand, shell};
use super::terminal::Terminal;
use super::{
    Answer, Failure, address, capture, edit, exchange, jobs, lifecycle, monitor, policy, render,
    service,
};
use crate::bus::{CallError, ManagerClient, Options};
use crate::engine::{DeviceView, ErrorKind, OrNone, SetRequest, State, hints};
use crate::limits::CALL_DEADLINE;
use crate::text::shell_word;

/// Devices asked for at once.
pub(super) const PAGE: u32 = 500;

pub(super) async fn run(args: Args) -> Result<Answer, Failure> {
    let terminal = Terminal::detect(&args.color);
    let command = match args.command {
        Command::Completion { shell } => return Ok(completion(&shell)),
        Command::Policy {
            command: PolicyCommand::Check { files },
        } => return policy::check(&files),
        command => command,
    };
    let socket = address::socket(args.address).map_err(Failure::usage)?;
    // `monitor` has a --timeout of its own, which is not about answers.
    let limit = match command {
        Command::Monitor(_) => CALL_DEADLINE,
        _ => args.timeout.unwrap_or(CALL_DEADLINE),
    };
    let connected = ManagerClient::connect_within(&socket, limit).await;
    if let Command::Version = command {
        return version(connected).await;
    }
    let client = connected?;
    match command {
        Command::Create(create) => {
            let name = create.device.name.clone().unwrap_or_default();
            let mut options = options(create.device);
            if create.persistent {
                options.insert("persistent", Value::from(true));
            }
            answer(client.create(&name, options).await?, render::created)
        }
        Command::Define(define) => {
            let name = define.device.name.clone().unwrap_or_default();
            let mut options = options(define.device);
            if define.replace {
                options.insert("replace", Value::from(true));
            }
            answer(client.define(&name, options).await?, render::created)
        }
        Command::Edit {
            name,
            file,
            patch,
            dry_run,
        } => {
            let from = match (file, patch) {
                (Some(file), _) => edit::From::File(file),
                (None, Some(patch)) => edit::From::Patch(patch),
                (None, None) => edit::From::Editor,
            };
            edit::run(&client, &name, from, dry_run).await
        }
        Command::Export { names } => exchange::export(&client, &names).await,
        Command::Types { queue_pairs } => {
            Ok(exchange::types(&client, terminal, queue_pairs).await?)
        }
        Command::Jobs(wanted) => jobs::run(&client, terminal, &wanted).await,
        Command::Undefine { name } => answer(client.undefine(&name).await?, lifecycle::ended),
        Command::Destroy { name, force } => {
            client.destroy(&name, force).await?;
            let json = json!({ "result": "destroyed", "name": name });
            Ok(Answer {
                json,
                text: format!("{name} destroyed\n"),
            })
        }
        Command::Set {
            name,
            dry_run,
            attributes,
        } => {
            let mut settings = settings(&name, attributes)?;
            if dry_run {
                settings.insert("dry_run", Value::from(true));
            }
            let json = client.set(&name, settings).await?;
            answer(json, render::changed)
        }
        Command::Announce { name } => {
            client.announce(&name).await?;
            let json = json!({ "result": "asked", "name": name });
            Ok(Answer {
                json,
                text: format!("the driver of {name} was asked to announce itself\n"),
            })
        }
        Command::Takeover { name } => answer(client.take_over(&name).await?, lifecycle::taken_over),
        Command::List => {
            let devices = devices(&client).await?;
            answer(Json::Array(devices), |devices: &Vec<_>| {
                render::list(terminal, devices)
            })
        }
        Command::Show {
            names,
            qemu,
            libvirt_xml,
            memory,
        } => {
            let mut shown = show(&client, &names).await?;
            if qemu || libvirt_xml {
                let memory = memory.as_deref().unwrap_or("1G");
                return recipe(Json::Array(shown), memory, qemu);
            }
            let views: Vec<DeviceView> = crate::bus::typed(Json::Array(shown.clone()))?;
            let text = render::devices(terminal, &views);
            let json = match shown.as_mut_slice() {
                [one] => one.take(),
                _ => Json::Array(shown),
            };
            Ok(Answer { json, text })
        }
        Command::Stats { name: Some(name) } => answer(client.stats(&name).await?, |stats| {
            render::stats(terminal, stats)
        }),
        Command::Stats { name: None } => {
            let stats = all_stats(&client).await?;
            answer(Json::Array(stats), |all: &Vec<_>| {
                render::all_stats(terminal, all)
            })
        }
        Command::Monitor(options) => monitor::run(&client, &options, args.json).await,
        Command::Capture(options) => {
            let terminal = std::io::stdout().is_terminal();
            capture::run(&client, &options, (terminal, args.json)).await
        }
        Command::Pf {
            command: PfCommand::List,
        } => {
            let pfs = client.pfs().await?;
            answer(Json::Array(pfs), |pfs: &Vec<_>| render::pfs(terminal, pfs))
        }
        Command::Pf {
            command: PfCommand::Show { name },
        } => answer(client.pf(&name).await?, |pf| render::pf(terminal, pf)),
        Command::Reload => answer(client.reload().await?, service::reloaded),
        Command::Shutdown { force } => {
            let json = client.shutdown(force).await?;
            Ok(Answer {
                json,
                text: "mdevd is stopping\n".to_owned(),
            })
        }
        Command::Policy { command } => policy::run(&client, terminal, command).await,
        Command::Completion { .. }
        | Command::Version
        | Command::Start { .. }
        | Command::Import { .. }
        | Command::Stop { .. }
        | Command::Doctor(_)
        | Command::Top(_)
        | Command::Man { .. } => Err(Failure::usage("not a device command")),
    }
}

/// The daemon's answer as it is, and as text.
pub(super) fn answer<T: serde::de::DeserializeOwned>(
    json: Json,
    text: impl FnOnce(&T) -> String,
) -> Result<Answer, Failure> {
    let typed: T = crate::bus::typed(json.clone())?;
    Ok(Answer {
        text: text(&typed),
        json,
    })
}

/// Each attribute once, and none that a device has for as long as it runs.
fn settings(name: &str, attributes: Vec<(&'static str, String)>) -> Result<Options, Failure> {
    let mut settings = Options::new();
    for (key, value) in attributes {
        if !SetRequest::KEYS.contains(&key) {
            let patch = json!({ key: value });
            return Err(Failure::usage(format!(
                "cannot change '{name}': {} changes only while a device is stopped; 'cvfctl define {name}' first if it is \
                 transient, or it is gone when it stops, then 'cvfctl stop {name}', then 'cvfctl edit {name} --patch {}', then \
                 'cvfctl start {name}'",
                key.replace('_', "-"),
                shell_word(&patch.to_string())
            )));
        }
        if settings.insert(key, Value::from(value)).is_some() {
            return Err(Failure::usage(format!("'{key}' is given twice")));
        }
    }
    Ok(settings)
}

fn options(create: Create) -> Options {
    let texts = [
        ("pf", create.pf),
        ("personality", create.personality),
        ("mac", create.mac),
        ("doorbells", create.doorbells),
        ("interrupts", create.interrupts),
        ("ring_format", create.ring_format),
        ("data_path", create.data_path),
        ("socket_owner", create.socket_owner),
        ("socket_group", create.socket_group),
        ("socket_mode", create.socket_mode),
        ("vlan_protocol", create.vlan_protocol),
        ("trunk", create.trunk),
        ("rss_key", create.rss_key),
        ("rss_table", create.rss_table),
        ("features", create.features),
        ("group", create.group),
        ("link", create.link),
        ("profile", create.profile),
        ("start", create.start),
        ("spoof_check", create.spoof_check),
        ("trust", create.trust),
        ("promiscuous", create.promiscuous),
        ("multicast", create.multicast),
    ];
    let numbers = [("queue_pairs", create.queue_pairs), ("mtu", create.mtu)];
    let removable = [
        ("vlan", create.vlan),
        ("vlan_qos", create.vlan_qos),
        ("tx_mbit", create.tx_mbit),
        ("rx_mbit", create.rx_mbit),
        ("tx_frames", create.tx_frames),
        ("rx_frames", create.rx_frames),
        ("tx_share", create.tx_share),
    ];
    let removable = removable.into_iter().filter_map(|(key, value)| {
        let value = match value? {
            OrNone::None => Value::from("none"),
            OrNone::Number(number) => Value::from(number),
        };
        Some((key, value))
    });
    let dry_run = create.dry_run.then(|| ("dry_run", Value::from(true)));
    let texts = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, Value::from(text?))));
    let numbers = numbers
        .into_iter()
        .filter_map(|(key, number)| Some((key, Value::from(number?))));
    let order = create.order.map(|order| ("order", Value::from(order)));
    texts
        .chain(numbers)
        .chain(removable)
        .chain(order)
        .chain(dry_run)
        .collect()
}

async fn devices(client: &ManagerClient) -> Result<Vec<Json>, CallError> {
    let mut devices = Vec::new();
    let mut after = String::new();
    loop {
        let (page, next) = client.list(&after, PAGE).await?;
        devices.extend(page);
        if next.is_empty() {
            return Ok(devices);
        }
        after = next;
    }
}

async fn all_stats(client: &ManagerClient) -> Result<Vec<Json>, CallError> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let (page, next) = client.list_stats(&after, PAGE, true).await?;
        all.extend(page);
        if next.is_empty() {
            return Ok(all);
        }
        after = next;
    }
}

/// Everything about each of these devices.
async fn show(client: &ManagerClient, names: &[String]) -> Result<Vec<Json>, Failure> {
    let mut shown = Vec::new();
    for (n, name) in names.iter().enumerate() {
        if names[..n].contains(name) {
            return Err(Failure::usage(format!(
                "'{name}' is given twice; a VM has each device once"
            )));
        }
        shown.push(client.show(name).await?);
    }
    Ok(shown)
}

/// What one VM with these devices needs.
fn recipe(json: Json, memory: &str, qemu: bool) -> Result<Answer, Failure> {
    let views: Vec<DeviceView> = crate::bus::typed(json)?;
    if let Some(DeviceView { summary, .. }) = views.iter().find(|v| v.summary.socket.is_empty()) {
        let (name, state) = (&summary.name, summary.state.word());
        let why = match summary.state {
            State::Defined => format!("it is not started; 'cvfctl start {name}' starts it"),
            _ => summary.reason.as_deref().unwrap_or(state).to_owned(),
        };
        let message = format!("'{name}' has no socket to connect a VM to: {why}");
        return Err(Failure {
            code: super::REFUSED,
            kind: ErrorKind::NotReady.kebab().to_owned(),
            message,
        });
    }
    let names: Vec<_> = views.iter().map(|view| &view.summary.name).collect();
    let mut json = match names.as_slice() {
        [name] => json!({ "name": name }),
        names => json!({ "names": names }),
    };
    let text = if qemu {
        json["qemu_arguments"] = json!(hints::qemu_arguments(&views, memory));
        let text = hints::qemu_command_line(&views, memory);
        json["qemu_command_line"] = json!(text);
        text
    } else {
        let text = hints::libvirt_xml(&views);
        json["libvirt_xml"] = json!(text);
        text
    };
    Ok(Answer {
        json,
        text: format!("{text}\n"),
    })
}

fn completion(name: &str) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell(name), &mut super::command(), "cvfctl", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    Answer {
        json: json!({ "shell": name, "script": text }),
        text,
    }
}

/// This program's version always; the daemon's if it is there.
async fn version(client: Result<ManagerClient, CallError>) -> Result<Answer, Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let daemon = match client {
        Ok(client) => Some(client.version().await?),
        Err(CallError::Unreachable { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let shown = daemon
        .as_ref()
        .and_then(|d| d.get("version")?.as_str())
        .unwrap_or("not reachable");
    let text = format!("cvfctl {own}\nmdevd {shown}\n");
    Ok(Answer {
        json: json!({ "cvfctl": own, "mdevd": daemon }),
        text,
    })
}
