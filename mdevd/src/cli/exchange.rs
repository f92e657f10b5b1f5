//! Definitions as one document, and what can be made.

use std::collections::HashSet;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::commands::PAGE;
use super::table::{Cell, number, printable, table, text};
use super::terminal::Terminal;
use super::{Answer, DONE, Failure, REFUSED, jobs};
use crate::bus::{CallError, ManagerClient, Options, typed};
use crate::engine::{FORMAT, ImportOutcome, Imported, ImportedDevice, Types, VERSION};
use crate::limits::MAX_IMPORT;

/// Answer to `export`: the document, for people and scripts alike.
pub(super) async fn export(client: &ManagerClient, names: &[String]) -> Result<Answer, Failure> {
    // Named twice it is exported once, else nobody could import it.
    let mut seen = HashSet::new();
    let names: Vec<String> = names
        .iter()
        .filter(|name| seen.insert(*name))
        .cloned()
        .collect();
    let mut definitions = Vec::new();
    let mut after = String::new();
    loop {
        let (page, next) = client.export(&names, &after, PAGE).await?;
        definitions.extend(page);
        if next.is_empty() {
            break;
        }
        after = next;
    }
    let json = json!({ "format": FORMAT, "version": VERSION, "definitions": definitions });
    let text = serde_json::to_string_pretty(&json).map_err(|error| Failure {
        code: REFUSED,
        kind: "internal".to_owned(),
        message: format!("cannot print the definitions: {error}"),
    })?;
    Ok(Answer {
        json,
        text: format!("{text}\n"),
    })
}

/// What messages call a file: `-` is standard input.
pub(super) fn source(file: &Path) -> String {
    match file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => file.display().to_string(),
    }
}

/// Text of a file, or of standard input.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let source = source(file);
    let fail = |why: String| Failure::io(format!("cannot read {source}: {why}"));
    let mut text = String::new();
    let most = MAX_IMPORT as u64 + 1;
    let got = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file).map_err(|error| fail(error.to_string()))?;
        opened.take(most).read_to_string(&mut text)
    };
    got.map_err(|error| fail(error.to_string()))?;
    if text.len() > MAX_IMPORT {
        return Err(Failure::usage(format!(
            "cannot take {source}: it is larger than {MAX_IMPORT} bytes; import it in parts"
        )));
    }
    Ok(text)
}

/// Answer to `import`.
pub(super) async fn import(
    client: &ManagerClient,
    file: &Path,
    dry_run: bool,
    start: bool,
) -> Result<(Answer, u8), Failure> {
    let text = read(file)?;
    let options: Options = [("dry_run", dry_run.into()), ("start", start.into())]
        .into_iter()
        .collect();
    let source = source(file);
    let refused_of = |error: CallError| {
        let refused = matches!(error, CallError::Refused { .. });
        let mut failure = Failure::from(error);
        if refused {
            failure.message = format!("{source}: {}", failure.message);
        }
        failure
    };
    let json = if jobs::watched() {
        jobs::import(client, &text, options, refused_of).await?
    } else {
        client.import(&text, options).await.map_err(refused_of)?
    };
    let imported: Imported = typed(json.clone())?;
    let unstarted = start && !dry_run && imported.devices.iter().any(|device| !device.started);
    let code = if imported.ok && !unstarted {
        DONE
    } else {
        REFUSED
    };
    let text = told(&imported, &source);
    Ok((Answer { json, text }, code))
}

fn told(imported: &Imported, source: &str) -> String {
    let mut out = String::new();
    for device in &imported.devices {
        let ImportedDevice {
            name,
            result,
            started,
            reason,
        } = device;
        let what = match result {
            ImportOutcome::Defined => "defined",
            ImportOutcome::WouldDefine => "would be defined",
            ImportOutcome::Already => "already defined",
            ImportOutcome::Refused => "refused",
            ImportOutcome::NotDone => "not done",
        };
        let started = if *started { ", started" } else { "" };
        let reason = reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = printable(reason.as_deref().unwrap_or_default());
        // Writing to a String cannot fail.
        let name = if name.is_empty() { "(no name)" } else { name };
        let _ = writeln!(out, "{} {what}{started}{reason}", printable(name));
    }
    let source = printable(source);
    let _ = match (imported.ok, imported.devices.is_empty()) {
        (_, true) => writeln!(out, "{source} defines nothing"),
        (false, _) => writeln!(
            out,
            "nothing was stored: mend what is refused in {source}, and import again"
        ),
        (true, _) => Ok(()),
    };
    out
}

/// Answer to `types`.
pub(super) async fn types(
    client: &ManagerClient,
    terminal: Terminal,
    queue_pairs: Option<u64>,
) -> Result<Answer, CallError> {
    let json = client.types(queue_pairs).await?;
    let Types { types, profiles } = typed(json.clone())?;
    let rows: Vec<Vec<Cell>> = types
        .iter()
        .map(|one| {
            vec![
                text(&one.personality),
                text(&one.pf),
                number(one.queue_pairs),
                number(one.free),
                number(one.total),
                text(&one.limited_by),
                number(one.largest),
            ]
        })
        .collect();
    let heading = [
        "TYPE",
        "PF",
        "PAIRS",
        "FREE",
        "TOTAL",
        "LIMITED BY",
        "LARGEST",
    ];
    let mut out = table(terminal, &heading, &rows);
    let rows: Vec<Vec<Cell>> = profiles
        .iter()
        .map(|profile| {
            let default = if profile.default { " (default)" } else { "" };
            vec![
                text(format!("{}{default}", profile.name)),
                number(profile.max_queue_pairs),
                number(profile.max_vectors),
                text(format!("{}-{}", profile.min_mtu, profile.max_mtu)),
            ]
        })
        .collect();
    out.push('\n');
    out += &table(terminal, &["PROFILE", "PAIRS", "VECTORS", "MTU"], &rows);
    Ok(Answer { json, text: out })
}
