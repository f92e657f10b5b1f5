//! Looking at the frames of a device.

use std::sync::Arc;
use std::time::Duration;

use libcvf::cvf::Wanted;
use libcvf::limits::MAX_SNAPLEN;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::EngineError;
use crate::limits::{
    DEFAULT_SNAPLEN, MAX_CAPTURE_SECONDS, MAX_CAPTURES, MAX_TEXT, MIN_CAPTURE_SECONDS,
};

/// A request to capture, as it came; what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptureRequest {
    /// `in` (what the guest receives), `out` (what it sends) or `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Most bytes of a frame that are captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<u64>,
    /// Ends it after so many frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Ends it after so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Only frames that are dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drops: bool,
}

impl CaptureRequest {
    /// Names of the options.
    pub const KEYS: [&'static str; 5] = ["direction", "snaplen", "count", "seconds", "drops"];

    /// Checks it, for whom a sentence calls `by`.
    pub(super) fn check(&self, by: &str, place: Place) -> Result<Capture, EngineError> {
        let (out, r#in) = match self.direction.as_deref() {
            None | Some("both") => (true, true),
            Some("out") => (true, false),
            Some("in") => (false, true),
            Some(other) => {
                return Err(EngineError::invalid(
                    "direction",
                    other,
                    "give in, out or both",
                ));
            }
        };
        let snaplen = self.snaplen.unwrap_or(DEFAULT_SNAPLEN);
        let most = MAX_SNAPLEN as u64;
        if !(1..=most).contains(&snaplen) {
            let why = format!("give 1 to {most} bytes");
            return Err(EngineError::invalid("snaplen", snaplen, why));
        }
        if self.count == Some(0) {
            return Err(EngineError::invalid("count", 0, "give 1 or more frames"));
        }
        if let Some(seconds) = self.seconds
            && !(MIN_CAPTURE_SECONDS..=MAX_CAPTURE_SECONDS).contains(&seconds)
        {
            let why = format!("give {MIN_CAPTURE_SECONDS} to {MAX_CAPTURE_SECONDS} seconds");
            return Err(EngineError::invalid("seconds", seconds, why));
        }
        Ok(Capture {
            by: by.chars().take(MAX_TEXT).collect(),
            wanted: Wanted {
                out,
                r#in,
                drops_only: self.drops,
                snaplen: snaplen as usize,
            },
            count: self.count,
            time: self.seconds.map(Duration::from_secs_f64),
            _place: place,
        })
    }
}

/// A capture that may begin.
#[derive(Debug)]
pub struct Capture {
    /// Who looks.
    pub by: String,
    /// At what.
    pub wanted: Wanted,
    /// Ends it after so many frames.
    pub count: Option<u64>,
    /// Ends it after so long.
    pub time: Option<Duration>,
    _place: Place,
}

/// One of the captures that may run at a time, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// How many may run.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CAPTURES)))
    }
}

impl Places {
    pub(super) fn take(&self, name: &str) -> Result<Place, EngineError> {
        let permit = self.0.clone().try_acquire_owned();
        let permit = permit.map_err(|_| EngineError::Exhausted {
            attempted: "capture",
            name: name.to_owned(),
            why: format!(
                "{MAX_CAPTURES} captures are running, and that is the limit; end one of them \
                 ('cvfctl show' and the events of 'cvfctl monitor' say where)"
            ),
        })?;
        Ok(Place { _permit: permit })
    }
}

#[cfg(test)]
mod tests;
