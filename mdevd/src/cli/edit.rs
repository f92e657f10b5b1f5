//! `edit`: a definition in the operator's editor, or changed by a script.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};
use tokio::process::Command;
use zbus::zvariant::Value;

use super::exchange::read;
use super::{Answer, Failure, REFUSED, commands, render};
use crate::bus::{ManagerClient, Options};
use crate::engine::{Created, Outcome};

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
    let (all, _) = client.export(&[name.to_owned()], "", 1).await?;
    let Some(Json::Object(before)) = all.into_iter().next() else {
        return Err(failed(format!("mdevd did not tell what '{name}' is")));
    };
    let (after, kept) = match from {
        From::Editor => {
            let path = edited(name, &before).await?;
            let text = read(&path)?;
            (
                object(&text).map_err(|failure| keep(failure, &path, name)),
                Some(path),
            )
        }
        From::File(file) => (object(&read(&file)?), None),
        From::Patch(text) => {
            let text = if text == "-" {
                read(Path::new("-"))?
            } else {
                text
            };
            (object(&text).map(|patch| patched(&before, patch)), None)
        }
    };
    let done = match after {
        Ok(after) => apply(client, name, &before, after, dry_run).await,
        Err(failure) => return Err(failure),
    };
    match (done, kept) {
        (Err(failure), Some(path)) => Err(keep(failure, &path, name)),
        (Ok(answer), Some(path)) if dry_run => Ok(Answer {
            text: format!(
                "{}your text is kept; have it done with: cvfctl edit {name} --file {}\n",
                answer.text,
                path.display()
            ),
            ..answer
        }),
        (done, path) => {
            if let Some(path) = path {
                let _ = std::fs::remove_file(path);
            }
            done
        }
    }
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
    options.insert("replace", Value::from(true));
    let was = Json::Object(before.clone()).to_string();
    options.insert("was", was.into());
    if dry_run {
        options.insert("dry_run", Value::from(true));
    }
    let json = client.define(name, options).await?;
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

fn object(text: &str) -> Result<Map<String, Json>, Failure> {
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage("a definition is a JSON object { ... }")),
        Err(error) => Err(Failure::usage(format!("it is not JSON: {error}"))),
    }
}

/// The same failure, and where the operator's text is.
fn keep(failure: Failure, path: &Path, name: &str) -> Failure {
    let path = path.display();
    Failure {
        message: format!(
            "{}\nyour text is kept: mend it, and repeat with: cvfctl edit {name} --file {path}",
            failure.message
        ),
        ..failure
    }
}

/// Has the editor change a private file with the definition; the file.
async fn edited(name: &str, definition: &Map<String, Json>) -> Result<PathBuf, Failure> {
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
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
    file.write_all(format!("{text}\n").as_bytes())
        .map_err(cannot)?;
    drop(file);
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|text| !text.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // It may have arguments, as in "code --wait".
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("cvfctl-edit")
        .arg(&path)
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(path),
        Ok(status) => {
            let why = format!("the editor '{editor}' failed ({status}); nothing was changed");
            // Nobody wants a text back that is as it was.
            let unchanged = std::fs::read_to_string(&path).is_ok_and(|now| now.trim_end() == text);
            if unchanged {
                let _ = std::fs::remove_file(&path);
                return Err(failed(why));
            }
            Err(keep(failed(why), &path, name))
        }
        Err(error) => {
            let _ = std::fs::remove_file(&path);
            Err(failed(format!(
                "cannot start the editor '{editor}': {error}"
            )))
        }
    }
}

fn failed(message: String) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message,
    }
}
