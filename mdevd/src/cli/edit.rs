//! `edit`: a definition in the operator's editor, or changed by a script.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::error::Category;
use serde_json::{Map, Value as Json};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zbus::zvariant::Value;

use super::exchange::{read, source};
use super::{Answer, Failure, REFUSED, commands, render};
use crate::bus::{ManagerClient, Options};
use crate::engine::{Created, Outcome};
use crate::unique::Unique;

/// Where the new definition comes from.
pub(super) enum From {
    Editor,
    File(PathBuf),
    Patch(String),
}

/// Has the definition of `name` become what it is edited to.
pub(super) async fn run(
    client: &ManagerClient,
    name: &str,
    from: From,
    dry_run: bool,
) -> Result<Answer, Failure> {
    let read_now = client.export(&[name.to_owned()], "", 1).await;
    let (all, _) = read_now.map_err(|error| as_edit(error.into()))?;
    let Some(Json::Object(before)) = all.into_iter().next() else {
        return Err(failed(format!("mdevd did not tell what '{name}' is")));
    };
    let after = match from {
        From::Editor => return in_editor(client, name, &before, dry_run).await,
        From::File(file) => {
            let what = source(&file);
            let after = object(&what, &read(&file)?)?;
            no_export(&what, name, &after)?;
            after
        }
        From::Patch(text) => {
            let text = match text.as_str() {
                "-" => read(Path::new("-"))?,
                _ => text,
            };
            patched(&before, object("the patch", &text)?)
        }
    };
    apply(client, name, &before, after, dry_run).await
}

/// The same by the operator's editor; what was written is kept unless it is stored.
async fn in_editor(
    client: &ManagerClient,
    name: &str,
    before: &Map<String, Json>,
    dry_run: bool,
) -> Result<Answer, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| failed(format!("cannot wait for signals: {error}")))?;
    let path = edited(name, before, &mut interrupt).await?;
    let done = async {
        let after = object("what was written", &read(&path)?)?;
        apply(client, name, before, after, dry_run).await
    };
    let done = tokio::select! {
        done = done => done,
        _ = interrupt.recv() => Err(Failure {
            code: REFUSED,
            kind: "interrupted".to_owned(),
            message: format!("interrupted; 'cvfctl export {name}' shows whether it is stored"),
        }),
    };
    match done {
        // Its editor has taken it away.
        Err(failure) if !path.exists() => Err(failure),
        Err(failure) => {
            let hint = match changed_since(client, name, before).await {
                Some(what) => kept_aside(what, &path, name),
                None => kept_at("mend it", &path, name),
            };
            Err(with_hint(failure, &hint))
        }
        Ok(answer) if dry_run && answer.json["result"] != "already" => {
            Ok(rehearsed(answer, &path, name))
        }
        Ok(answer) => {
            let _ = std::fs::remove_file(path);
            Ok(answer)
        }
    }
}

/// What of `name` is not `before` any more, for a sentence; `None`: it is. A command with the whole definition would undo it.
async fn changed_since(
    client: &ManagerClient,
    name: &str,
    before: &Map<String, Json>,
) -> Option<&'static str> {
    match client.export(&[name.to_owned()], "", 1).await {
        Ok((all, _)) if all.first().and_then(Json::as_object) == Some(before) => None,
        Ok(_) => Some("is not as you read it any more"),
        Err(_) => Some("may not be as you read it any more"),
    }
}

/// Refuses a whole document, of which one definition was meant.
fn no_export(what: &str, name: &str, after: &Map<String, Json>) -> Result<(), Failure> {
    if !(after.contains_key("format") && after.contains_key("definitions")) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what} is a whole document, as 'cvfctl export' prints, and one definition was asked for: give the object of \
         '{name}' in its \"definitions\" alone (jq '.definitions[] | select(.name == \"{name}\")'), or import the \
         document ('cvfctl import')"
    )))
}

/// Stores what has changed, if anything has.
async fn apply(
    client: &ManagerClient,
    name: &str,
    before: &Map<String, Json>,
    mut after: Map<String, Json>,
    dry_run: bool,
) -> Result<Answer, Failure> {
    match after.remove("name") {
        None => {}
        Some(Json::String(given)) if given == name => {}
        Some(other) => {
            return Err(Failure::usage(format!(
                "the name of '{name}' cannot become {other}: define another device, and undefine this one"
            )));
        }
    }
    let mut known = before.clone();
    known.remove("name");
    if after == known {
        return Ok(Answer {
            json: serde_json::json!({ "result": "already", "name": name }),
            text: format!("{name} is as it was: nothing was changed\n"),
        });
    }
    let mut options = Options::new();
    for (key, value) in after {
        // Options are named by the operator here; they live as long as this program.
        let key: &'static str = Box::leak(key.into_boxed_str());
        options.insert(key, option(key, value)?);
    }
    // Whoever changed it meanwhile keeps that.
    let read = Json::Object(before.clone()).to_string();
    options.insert("replace", Value::from(true));
    options.insert("instead_of", Value::from(read));
    if dry_run {
        options.insert("dry_run", Value::from(true));
    }
    let defined = client.define(name, options).await;
    let json = defined.map_err(|error| as_edit(error.into()))?;
    commands::answer(json, |made: &Created| match made.result {
        Outcome::Already => format!("{name} is as it was: nothing was changed\n"),
        _ => render::created(made),
    })
}

/// A value as an option on the bus.
fn option(key: &str, value: Json) -> Result<Value<'static>, Failure> {
    match value {
        Json::String(text) => Ok(text.into()),
        Json::Bool(value) => Ok(value.into()),
        Json::Number(number) if number.is_u64() => Ok(number.as_u64().unwrap_or(0).into()),
        Json::Number(number) if number.is_i64() => Ok(number.as_i64().unwrap_or(0).into()),
        other => Err(Failure::usage(format!(
            "'{key}' cannot be {other}: write a text or a whole number, or leave it out"
        ))),
    }
}

/// The definition with what `patch` says; null takes an attribute away (RFC 7396).
fn patched(before: &Map<String, Json>, patch: Map<String, Json>) -> Map<String, Json> {
    let mut after = before.clone();
    for (key, value) in patch {
        match value {
            Json::Null => drop(after.remove(&key)),
            value => drop(after.insert(key, value)),
        }
    }
    after
}

/// The attributes in `text`, which messages call `what`.
fn object(what: &str, text: &str) -> Result<Map<String, Json>, Failure> {
    let write = "write an object of attributes, such as {\"mtu\": 9000}";
    let error = match serde_json::from_str(text) {
        Ok(Unique(Json::Object(object))) => return Ok(object),
        Ok(Unique(other)) => {
            let is = match other {
                Json::Array(_) => "a list",
                Json::String(_) => "a text",
                Json::Number(_) => "a number",
                _ => "a single word",
            };
            return Err(Failure::usage(format!(
                "{what} is {is} in JSON, and no definition: {write}"
            )));
        }
        Err(error) => error,
    };
    if error.is_data() {
        return Err(Failure::usage(format!("{what} cannot be: {error}")));
    }
    let (line, column) = (error.line(), error.column());
    let why = match error.classify() {
        Category::Eof => "it ends there, and something is still open or missing",
        _ => "what stands there is out of place; keys and texts are in double quotes",
    };
    Err(Failure::usage(format!(
        "{what} is not JSON at line {line}, column {column}: {why}; {write}"
    )))
}

/// The same failure, of this command: what it asks of the daemon is called otherwise there.
fn as_edit(failure: Failure) -> Failure {
    let asked = ["cannot export ", "cannot define ", "cannot change "];
    let rest = asked
        .into_iter()
        .find_map(|verb| failure.message.strip_prefix(verb));
    match rest.map(|rest| format!("cannot edit {rest}")) {
        Some(message) => Failure { message, ..failure },
        None => failure,
    }
}

/// The same failure, and where the operator's text is.
fn with_hint(failure: Failure, hint: &str) -> Failure {
    Failure {
        message: format!("{}\n{hint}", failure.message),
        ..failure
    }
}

/// The same answer, and where the text is that would be stored.
fn rehearsed(mut answer: Answer, path: &Path, name: &str) -> Answer {
    let note = kept_at("nothing was changed", path, name);
    let _ = writeln!(answer.text, "note: {note}");
    if let Some(object) = answer.json.as_object_mut() {
        let notes = object
            .entry("notes")
            .or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(notes) = notes {
            notes.push(note.into());
        }
    }
    answer
}

fn kept_at(first: &str, path: &Path, name: &str) -> String {
    let path = path.display();
    format!("your text is kept: {first}, and store it with: cvfctl edit {name} --file {path}")
}

/// Where the text is, and no command that stores it: somebody else's change would be undone by that.
fn kept_aside(what: &str, path: &Path, name: &str) -> String {
    format!(
        "your text is kept in {}; '{name}' {what}: look at it ('cvfctl export {name}'), run 'cvfctl edit {name}' anew, and \
         take over from your text what is still to be",
        path.display()
    )
}

/// Has the editor change a private file with the definition; the file. An interrupt is the editor's while it runs.
async fn edited(
    name: &str,
    definition: &Map<String, Json>,
    interrupt: &mut Signal,
) -> Result<PathBuf, Failure> {
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
    let text = format!("{text}\n");
    let unique = uuid::Uuid::new_v4().simple();
    let path = std::env::temp_dir().join(format!("cvfctl-{name}-{unique}.json"));
    let cannot =
        |error: std::io::Error| failed(format!("cannot write {}: {error}", path.display()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)?;
    drop(file);
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|text| !text.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // It may have arguments, as in "code --wait".
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("cvfctl-edit")
        .arg(&path);
    let status = command.status();
    tokio::pin!(status);
    let status = loop {
        tokio::select! {
            status = &mut status => break status,
            _ = interrupt.recv() => {}
        }
    };
    let failure = match status {
        Ok(status) if status.success() => return Ok(path),
        Ok(status) => failed(format!(
            "cannot edit '{name}': the editor '{editor}' failed ({status}), and nothing was changed; set VISUAL or EDITOR to \
             one that works, or use --patch"
        )),
        Err(error) => failed(format!(
            "cannot edit '{name}': the editor '{editor}' cannot be started: {error}"
        )),
    };
    if std::fs::read(&path).is_ok_and(|left| left != text.as_bytes()) {
        let hint = kept_at("mend it", &path, name);
        return Err(with_hint(failure, &hint));
    }
    let _ = std::fs::remove_file(&path);
    Err(failure)
}

fn failed(message: String) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message,
    }
}
