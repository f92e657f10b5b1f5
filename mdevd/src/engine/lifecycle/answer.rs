//! What commands of the life cycle answer.

use serde::{Deserialize, Serialize};

/// What `stop` or `undefine` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeOutcome {
    /// It ran, and does not any more.
    Stopped,
    /// It was defined, and is not any more.
    Undefined,
    /// It was so.
    Already,
}

/// Answer to `stop` and `undefine`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// What was done.
    pub result: LifeOutcome,
    /// Device.
    pub name: String,
    /// Whether it is defined now.
    pub defined: bool,
    /// Whether it runs now.
    pub running: bool,
    /// What the operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
