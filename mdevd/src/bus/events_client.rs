//! Events at the other end.

use futures_lite::StreamExt;
use serde_json::Value as Json;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream};

use super::MANAGER_INTERFACE;
use super::client::{CallError, ManagerClient, Options, strange};
use super::convert::{Dict, dict_to_json};

/// What a daemon tells, from the moment of the watch. To be read without long pauses: while it is not, other
/// calls over the same connection get no answers either.
#[derive(Debug)]
pub struct EventStream {
    client: ManagerClient,
    messages: MessageStream,
}

impl ManagerClient {
    /// Watches.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn watch(&self) -> Result<EventStream, CallError> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface(MANAGER_INTERFACE)
            .and_then(|rule| rule.member("Event"))
            .map_err(|error| strange(&error))?
            .build();
        // Before the call, so that nothing is lost between its answer and the first look.
        let messages = MessageStream::for_match_rule(rule, &self.connection, None)
            .await
            .map_err(|error| strange(&error))?;
        self.call("Watch", &(Options::new(),)).await?;
        Ok(EventStream {
            client: self.clone(),
            messages,
        })
    }
}

impl EventStream {
    /// The next event as an object: see `io.mdevd1.Manager.Event`. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// [`CallError::Unreachable`]: the daemon has ended, or sent this peer away.
    pub async fn next(&mut self) -> Result<Json, CallError> {
        let gone = |why: String| CallError::Unreachable {
            path: self.client.path.clone(),
            why,
        };
        match self.messages.next().await {
            Some(Ok(message)) => {
                let body = message.body();
                let dict: Dict = body.deserialize().map_err(|error| strange(&error))?;
                Ok(dict_to_json(&dict))
            }
            Some(Err(error)) => Err(gone(format!("the connection has ended: {error}"))),
            None => Err(gone("the connection has ended".to_owned())),
        }
    }
}
