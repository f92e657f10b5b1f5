//! The QEMU Machine Protocol: commands with replies, and events that can be waited for.

use crate::limits;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Inbox {
    /// Replies that nobody has taken yet, by command id.
    replies: Vec<(u64, Value)>,
    /// Every event since the start, in order.
    events: Vec<Value>,
    /// QEMU has closed the connection.
    closed: bool,
}

type Shared = Arc<(Mutex<Inbox>, Condvar)>;

/// A connection in command mode. May be used by several threads at once.
pub struct Qmp {
    output: Mutex<(UnixStream, u64)>,
    inbox: Shared,
}

impl Qmp {
    /// Takes a connected socket and leaves negotiation mode.
    ///
    /// # Errors
    /// If QEMU goes away or does not answer in time.
    pub fn connect(stream: UnixStream) -> Result<Self> {
        let inbox = Shared::default();
        let input = stream.try_clone()?;
        let shared = Arc::clone(&inbox);
        thread::spawn(move || read_all(input, &shared));
        let qmp = Qmp {
            output: Mutex::new((stream, 1)),
            inbox,
        };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command; what it returns.
    ///
    /// # Errors
    /// QEMU's own refusal, or that it is gone or silent.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let id = {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            let id = output.1;
            output.1 += 1;
            let mut line =
                json!({"execute": command, "arguments": arguments, "id": id}).to_string();
            line.push('\n');
            output
                .0
                .write_all(line.as_bytes())
                .with_context(|| format!("QMP {command}"))?;
            id
        };
        let take = |inbox: &mut Inbox| {
            let at = inbox.replies.iter().position(|(of, _)| *of == id)?;
            Some(inbox.replies.swap_remove(at).1)
        };
        let reply = self.wait(&format!("the answer to {command}"), limits::QMP_REPLY, take)?;
        match (reply.get("return"), reply.get("error")) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(error)) => {
                bail!("QMP {command}: {}", error["desc"].as_str().unwrap_or("?"))
            }
            (None, None) => bail!("QMP {command}: neither return nor error in {reply}"),
        }
    }

    /// Number of events so far: a mark to wait from.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.lock().events.len()
    }

    /// Waits for an event called `name` after `mark` whose data satisfies `which`.
    ///
    /// # Errors
    /// If QEMU goes away or the event does not come in time.
    pub fn wait_event(
        &self,
        mark: usize,
        name: &str,
        which: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait(&format!("event {name}"), limits::QMP_EVENT, |inbox| {
            let fits = |event: &&Value| event["event"] == name && which(&event["data"]);
            inbox.events.iter().skip(mark).find(fits).cloned()
        })
    }

    /// Adds a device given as the JSON text of `-device`, changed by `more`.
    ///
    /// # Errors
    /// If the text is no JSON object or QEMU refuses.
    pub fn device_add(&self, device: &str, more: &[(&str, &str)]) -> Result<()> {
        let mut value: Value = serde_json::from_str(device).context("device argument")?;
        let object = value
            .as_object_mut()
            .ok_or_else(|| anyhow!("device is no JSON object"))?;
        for (key, text) in more {
            object.insert((*key).to_owned(), json!(text));
        }
        self.execute("device_add", &value).map(drop)
    }

    /// Removes a device and waits until the guest has let go of it.
    ///
    /// # Errors
    /// If QEMU refuses, dies, or the guest never lets go.
    pub fn device_del(&self, id: &str) -> Result<()> {
        let mark = self.mark();
        self.execute("device_del", &json!({"id": id}))?;
        self.wait_event(mark, "DEVICE_DELETED", |data| data["device"] == id)
            .map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut take: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut inbox = self.lock();
        loop {
            if let Some(found) = take(&mut inbox) {
                return Ok(found);
            }
            if inbox.closed {
                bail!("QEMU ended while {what} was awaited");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited {:.0} s for {what}, in vain", limit.as_secs_f64());
            }
            let woken = self.inbox.1.wait_timeout(inbox, left);
            inbox = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn read_all(input: UnixStream, shared: &Shared) {
    let mut lines = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines
            .by_ref()
            .take(limits::MAX_QMP_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let Ok(value) = serde_json::from_slice::<Value>(&line) else {
            continue;
        };
        let mut inbox = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if value.get("event").is_some() {
            inbox.events.push(value);
        } else if let Some(id) = value["id"].as_u64() {
            inbox.replies.push((id, value));
        }
        drop(inbox);
        shared.1.notify_all();
    }
    shared
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .closed = true;
    shared.1.notify_all();
}

#[cfg(test)]
mod tests;
