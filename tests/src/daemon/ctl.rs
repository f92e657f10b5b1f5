//! `cvfctl` as a person or a script uses it: always with `--json`.

use crate::limits;
use crate::process::{self, Output, Surroundings};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What one call of cvfctl left.
#[derive(Debug)]
pub struct CtlOutput {
    output: Output,
}

/// A refusal.
#[derive(Debug)]
pub struct Refused {
    /// The stable word for programs, such as `no-resources`; empty for a usage error.
    pub kind: String,
    /// The sentence for people.
    pub message: String,
    /// Exit code.
    pub code: i32,
}

/// Runs cvfctl.
pub fn run(cvfctl: &Path, address: Option<&str>, args: &[&str]) -> Result<CtlOutput> {
    let mut command = Command::new(cvfctl);
    if let Some(address) = address {
        command.args(["--address", address]);
    }
    command.arg("--json").args(args);
    let output = process::output(command, Surroundings::default(), limits::HOST_COMMAND)?;
    Ok(CtlOutput { output })
}

impl CtlOutput {
    /// True if cvfctl succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.output.status.success()
    }

    /// The object it printed; an error if it refused.
    ///
    /// # Errors
    /// The refusal, in cvfctl's words.
    pub fn value(&self) -> Result<Value> {
        if !self.is_ok() {
            bail!(
                "{}: {}{}",
                self.output.status,
                self.output.stdout,
                self.output.stderr.trim()
            );
        }
        let text = self.output.stdout.trim();
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(text).with_context(|| format!("no JSON: {text:?}"))
    }

    /// The object it printed, whether it succeeded or did a part only.
    ///
    /// # Errors
    /// It printed none.
    pub fn report(&self) -> Result<Value> {
        let text = self.output.stdout.trim();
        serde_json::from_str(text).with_context(|| format!("no JSON: {text:?}"))
    }

    /// The refusal; an error if cvfctl succeeded, or gave no reason, or crashed.
    ///
    /// # Errors
    /// As said.
    pub fn refusal(&self) -> Result<Refused> {
        let Output {
            status,
            stdout,
            stderr,
        } = &self.output;
        let code = status
            .code()
            .with_context(|| format!("cvfctl died: {status}"))?;
        if code == 0 {
            bail!("was accepted: {stdout}");
        }
        if code == 101 || stderr.contains("panicked") {
            bail!("cvfctl panicked: {stderr}");
        }
        let json = [stdout, stderr]
            .iter()
            .filter_map(|text| serde_json::from_str::<Value>(text.lines().last()?).ok())
            .find(|value| value.get("error").is_some());
        let (kind, message) = match &json {
            Some(value) => {
                let error = &value["error"];
                let word = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                (word("kind"), word("message"))
            }
            None => (String::new(), stderr.trim().to_owned()),
        };
        if message.is_empty() {
            return Err(anyhow!("refused without a word: exit {code}, {stdout:?}"));
        }
        Ok(Refused {
            kind,
            message,
            code,
        })
    }
}

impl Refused {
    /// Fails unless the refusal is of this kind and names all of these things.
    ///
    /// # Errors
    /// As said, with what it was instead.
    pub fn expect(&self, kind: &str, names: &[&str]) -> Result<()> {
        let missing: Vec<&&str> = names
            .iter()
            .filter(|n| !self.message.contains(**n))
            .collect();
        if self.kind != kind || !missing.is_empty() {
            bail!("wanted a refusal of kind {kind:?} naming {names:?}, got {self:?}");
        }
        Ok(())
    }
}
