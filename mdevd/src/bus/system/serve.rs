//! Takes calls off the bus and has each answered by a task of its own.

use std::sync::Arc;

use futures_lite::StreamExt;
use zbus::message::{Flags, Type};
use zbus::{Connection, Message, MessageStream};

use super::admission::Admission;
use super::face::Face;
use super::fault::Fault;

/// Serves until the connection ends.
pub(super) async fn serve(face: Arc<Face>, connection: Connection, mut messages: MessageStream) {
    let admission = Admission::default();
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { return };
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let sender = message.header().sender().map(ToString::to_string);
        let admitted = admission.admit(sender.as_deref().unwrap_or_default());
        let (face, connection) = (face.clone(), connection.clone());
        match admitted {
            Ok(admitted) => {
                tokio::spawn(async move {
                    match face.answer(&message).await {
                        Ok(reply) => send(&connection, &message, Ok(&reply.message)).await,
                        Err(fault) => send(&connection, &message, Err(&fault)).await,
                    }
                    drop(admitted);
                });
            }
            // Answered before the next call is taken: refusing must not cost more than serving.
            Err(fault) => send(&connection, &message, Err(&fault)).await,
        }
    }
}

async fn send(connection: &Connection, call: &Message, reply: Result<&Message, &Fault>) {
    let header = call.header();
    if header.primary().flags().contains(Flags::NoReplyExpected) {
        return;
    }
    let sent = match reply {
        Ok(message) => connection.send(message).await,
        Err(fault) => match fault.reply(&header) {
            Ok(message) => connection.send(&message).await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = sent {
        tracing::debug!("an answer was not sent: {error}");
    }
}
