//! Waiting for the data plane without a thread.

use std::time::Duration;

use libcvf::cvf::Quiescing;
use tokio::time::Instant;

use crate::limits::QUIESCE_DEADLINE;

/// The data plane did not let go in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data plane was still using its memory after {QUIESCE_DEADLINE:?}")]
pub(super) struct Late;

/// A burst takes microseconds, so the first looks come quickly; a worker that is stuck costs few.
const FIRST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(20);

/// Looks, with growing pauses, until it is quiet or late.
///
/// # Errors
/// [`Late`]. What was taken away is kept from being unmapped until nobody holds it.
pub(super) async fn quiet(mut quiescing: Quiescing) -> Result<(), Late> {
    let deadline = Instant::now() + QUIESCE_DEADLINE;
    let mut pause = FIRST;
    while !quiescing.try_finish() {
        if Instant::now() >= deadline {
            return Err(Late);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
    Ok(())
}
