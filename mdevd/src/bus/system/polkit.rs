//! One question to polkit (`org.freedesktop.PolicyKit1.Authority.CheckAuthorization`).

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use zbus::names::UniqueName;
use zbus::zvariant::{DynamicType, Value};
use zbus::{Connection, Message};

use crate::limits::{POLKIT_DEADLINE, PROMPT_DEADLINE};

const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
/// CheckAuthorizationFlags: a person may be asked.
const ALLOW_USER_INTERACTION: u32 = 1;

/// What polkit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted,
    /// Why not, as a part of a sentence.
    Refused(String),
    /// It is not on this bus, and cannot be started there.
    Absent,
}

/// Asks.
pub(super) struct Polkit<'a> {
    pub(super) connection: &'a Connection,
    /// A person may be asked.
    pub(super) interactive: bool,
}

impl Polkit<'_> {
    /// Whether `sender` may do `action`; bounded in time.
    pub(super) async fn check(
        &self,
        sender: &UniqueName<'_>,
        action: &str,
        details: HashMap<&str, &str>,
    ) -> Verdict {
        let subject = HashMap::from([("name", Value::from(sender.as_str()))]);
        let subject = ("system-bus-name", subject);
        let flags = u32::from(self.interactive) * ALLOW_USER_INTERACTION;
        // Names this question, so that it can be taken back.
        let cancellation = match self.interactive {
            true => format!("mdevd-{}", uuid::Uuid::new_v4().as_simple()),
            false => String::new(),
        };
        let body = (subject, action, details, flags, cancellation.as_str());
        let patience = match self.interactive {
            true => PROMPT_DEADLINE,
            false => POLKIT_DEADLINE,
        };
        match self.call("CheckAuthorization", &body, patience).await {
            Some(answer) => verdict(answer, self.interactive),
            None => {
                if self.interactive {
                    let cancel = "CancelCheckAuthorization";
                    let body = (cancellation.as_str(),);
                    let _ = self.call(cancel, &body, POLKIT_DEADLINE).await;
                }
                Verdict::Refused("it did not answer in time".to_owned())
            }
        }
    }

    /// `None`: no answer in time.
    async fn call<B>(
        &self,
        method: &str,
        body: &B,
        patience: Duration,
    ) -> Option<zbus::Result<Message>>
    where
        B: Serialize + DynamicType,
    {
        let call = self
            .connection
            .call_method(Some(NAME), PATH, Some(INTERFACE), method, body);
        timeout(patience, call).await.ok()
    }
}

fn verdict(answer: zbus::Result<Message>, asked: bool) -> Verdict {
    let reply = match answer {
        Ok(reply) => reply,
        Err(zbus::Error::MethodError(name, text, _)) => {
            return match name.as_str() {
                "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner" => Verdict::Absent,
                name => {
                    let text = text.unwrap_or_default();
                    Verdict::Refused(format!("it answered {name}: {text}"))
                }
            };
        }
        Err(error) => return Verdict::Refused(format!("it cannot be asked: {error}")),
    };
    let body = reply.body();
    match body.deserialize::<(bool, bool, HashMap<String, String>)>() {
        Ok((true, _, _)) => Verdict::Granted,
        Ok((false, true, _)) if asked => Verdict::Refused(
            "an administrator would have to confirm it, and nobody could be asked: no polkit agent belongs to \
             the caller's session; grant it in a polkit rule, or ask root"
                .to_owned(),
        ),
        Ok((false, true, _)) => Verdict::Refused(
            "an administrator would have to confirm it; call with interactive authorization allowed, or \
             grant it in a polkit rule"
                .to_owned(),
        ),
        Ok((false, false, details)) => {
            let dismissed = details.contains_key("polkit.dismissed");
            Verdict::Refused(if dismissed {
                "the person who was asked did not confirm it".to_owned()
            } else {
                "grant it in a polkit rule, or ask root".to_owned()
            })
        }
        Err(error) => Verdict::Refused(format!("its answer is not one: {error}")),
    }
}
