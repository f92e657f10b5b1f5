//! Events as they are on the bus.

use super::convert::{Dict, to_dict};
use crate::engine::Heard;

/// The argument of the `Event` signal: an event, or `{event: "missed", count}` where the peer was too slow.
pub(super) fn event_dict(heard: &Heard) -> Dict {
    let dict = match heard {
        Heard::Event(event) => to_dict(&**event),
        Heard::Missed(count) => to_dict(&serde_json::json!({ "event": "missed", "count": count })),
    };
    dict.unwrap_or_else(|why| {
        tracing::error!("an event cannot be expressed: {why}");
        Dict::new()
    })
}
