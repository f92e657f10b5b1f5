//! `takeover`: the daemon works rings that hardware has worked, until the driver's next reset.

use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::definition::{DataPath, Word};
use super::error::EngineError;
use super::events::Happening;
use super::set::DATA_PATH;

const ATTEMPTED: &str = "take over";

/// Who worked the rings before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Taken {
    /// Hardware.
    Taken,
    /// A worker.
    Already,
}

/// Answer to `takeover`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOver {
    /// What was done.
    pub result: Taken,
    /// Device.
    pub name: String,
    /// What the operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How it is until the reset.
const MEANWHILE: [&str; 2] = [
    "its hardware works them again from its driver's next reset on",
    "a worker polls for it meanwhile: its doorbells are mapped",
];

impl Catalog {
    /// [`super::Engine::take_over`].
    pub(super) fn take_rings_over(&self, name: &str) -> Result<TakenOver, EngineError> {
        let live = self.live(name, ATTEMPTED)?;
        if live.definition.data_path != DataPath::Direct {
            let path = live.device.health().data_path;
            return Err(EngineError::NotReady {
                attempted: ATTEMPTED,
                name: name.to_owned(),
                why: format!(
                    "its data path is '{path}', not '{}': the daemon works its rings, and there is nothing to take over",
                    DataPath::Direct.word()
                ),
            });
        }
        let result = if live.device.take_over()? {
            let uuid = live.definition.uuid;
            tracing::info!(target: "audit", device = name, %uuid, "its rings were taken over from hardware");
            self.backend
                .events()
                .publish(Happening::changed(name, &[DATA_PATH]));
            Taken::Taken
        } else {
            Taken::Already
        };
        Ok(TakenOver {
            result,
            name: name.to_owned(),
            notes: MEANWHILE.map(ToOwned::to_owned).to_vec(),
        })
    }
}
