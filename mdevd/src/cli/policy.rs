//! `cvfctl policy`: profiles.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use policies::{Profile, limits};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use zbus::zvariant::Value;

use super::args::PolicyCommand;
use super::commands::answer;
use super::table::{Cell, number, printable, table, text, toned};
use super::terminal::{Terminal, Tone};
use super::{Answer, Failure, REFUSED};
use crate::bus::{ManagerClient, Options};
use crate::profiles::{ProfileDetail, ProfileSummary, Reloaded};

pub(super) async fn run(
    client: &ManagerClient,
    terminal: Terminal,
    command: PolicyCommand,
) -> Result<Answer, Failure> {
    match command {
        PolicyCommand::List => {
            let profiles = client.profiles().await?;
            answer(Json::Array(profiles), |profiles: &Vec<_>| {
                list(terminal, profiles)
            })
        }
        PolicyCommand::Show { name, whole } => {
            answer(client.profile(&name).await?, |profile: &ProfileDetail| {
                let text = if whole { &profile.whole } else { &profile.text };
                let fault = profile.summary.fault.as_deref();
                let fault = fault.map_or_else(String::new, |fault| {
                    format!(
                        "# NOT WHAT IS IN THE FILE NOW: {}\n",
                        fault.replace('\n', "\n# ")
                    )
                });
                format!("{fault}{text}")
            })
        }
        PolicyCommand::Check { files } => check(&files),
        PolicyCommand::Explain {
            profile,
            request,
            device,
            mac,
            queue_pairs,
            vlan,
        } => {
            let profile = Some(profile).filter(|profile| profile != "-");
            if profile.is_none() && device.is_none() {
                return Err(Failure::usage(
                    "'-' stands for a device's profile: give --device, too",
                ));
            }
            let texts = [("profile", profile), ("device", device), ("mac", mac)];
            let numbers = [("queue_pairs", queue_pairs), ("vlan", vlan)];
            let texts = texts
                .into_iter()
                .filter_map(|(key, text)| Some((key, Value::from(text?))));
            let numbers = numbers
                .into_iter()
                .filter_map(|(key, number)| Some((key, Value::from(number?))));
            let about: Options = texts.chain(numbers).collect();
            let json = client.explain(&request.join(" "), about).await?;
            answer(json, Told::render)
        }
        PolicyCommand::Reload => answer(client.reload_profiles().await?, reloaded),
    }
}

fn list(terminal: Terminal, profiles: &[ProfileSummary]) -> String {
    let row = |profile: &ProfileSummary| -> Vec<Cell> {
        let name = match profile.default {
            true => format!("{} (default)", profile.name),
            false => profile.name.clone(),
        };
        let what = match &profile.fault {
            None => text(&profile.description),
            Some(fault) => toned(Tone::Bad, fault.lines().next().unwrap_or_default()),
        };
        vec![
            text(name),
            number(profile.devices),
            text(&profile.source),
            what,
        ]
    };
    let rows: Vec<_> = profiles.iter().map(row).collect();
    table(terminal, &["NAME", "DEVICES", "SOURCE", "FOR"], &rows)
}

/// Judges files without the daemon: all of them, whatever is wrong with the first.
pub(super) fn check(files: &[std::path::PathBuf]) -> Result<Answer, Failure> {
    let judged: Vec<_> = files.iter().map(|file| (file, judge(file))).collect();
    let faults: Vec<_> = judged
        .iter()
        .filter_map(|(_, judged)| judged.as_ref().err().cloned())
        .collect();
    if !faults.is_empty() {
        let unreadable = faults.iter().all(|fault| matches!(fault, Fault::File(_)));
        let texts: Vec<_> = faults
            .into_iter()
            .map(|(Fault::File(text) | Fault::Profile(text))| text)
            .collect();
        let message = texts.join("\n");
        return Err(match unreadable {
            true => Failure::io(message),
            false => Failure {
                code: REFUSED,
                kind: "invalid-profile".to_owned(),
                message,
            },
        });
    }
    let mut text = String::new();
    let mut good = Vec::new();
    for (file, judged) in judged {
        let Ok(profile) = judged else { continue };
        let (file, name) = (file.display().to_string(), profile.name);
        let _ = writeln!(text, "{}: profile '{name}' is good", printable(&file));
        good.push(json!({ "file": file, "name": name, "description": profile.description }));
    }
    let json = json!({ "good": good });
    Ok(Answer { json, text })
}

/// What is wrong with a file that is to be a profile.
#[derive(Clone)]
enum Fault {
    /// It cannot be read.
    File(String),
    /// It is none.
    Profile(String),
}

fn judge(file: &Path) -> Result<Profile, Fault> {
    let shown = file.display().to_string();
    let unreadable =
        |why: &dyn std::fmt::Display| Fault::File(format!("cannot read {shown}: {why}"));
    let name = file.file_stem().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| unreadable(&"it has no name that a profile can have"))?;
    let mut text = String::new();
    File::open(file)
        .and_then(|file| {
            file.take(limits::MAX_PROFILE as u64 + 1)
                .read_to_string(&mut text)
        })
        .map_err(|error| unreadable(&error))?;
    Profile::parse(name, &text).map_err(|error| Fault::Profile(error.render(&shown)))
}

/// What of an explanation is for people.
#[derive(Deserialize)]
struct Told {
    text: String,
}

impl Told {
    fn render(&self) -> String {
        let lines = self.text.lines();
        lines.map(|line| format!("{}\n", printable(line))).collect()
    }
}

fn reloaded(report: &Reloaded) -> String {
    let mut out = String::new();
    let lists = [
        ("changed", &report.changed),
        ("new", &report.added),
        ("gone", &report.removed),
        ("gone, in force for the devices that have it", &report.kept),
    ];
    for (what, names) in lists {
        if !names.is_empty() {
            let _ = writeln!(out, "{what}: {}", printable(&names.join(", ")));
        }
    }
    if out.is_empty() && report.refused.is_empty() {
        out.push_str("no profile says anything else than before\n");
    }
    if report.devices > 0 {
        let plural = if report.devices == 1 {
            "device"
        } else {
            "devices"
        };
        let _ = writeln!(out, "applied to {} running {plural}", report.devices);
    }
    for fault in &report.refused {
        let _ = writeln!(
            out,
            "refused, what was in force stays: {}",
            printable(fault)
        );
    }
    for note in &report.notes {
        let _ = writeln!(out, "note: {}", printable(note));
    }
    out
}
