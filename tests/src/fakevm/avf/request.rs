//! Requests of virtchnl: one is under way at a time, and what the device says unasked is kept.

use std::time::Instant;

use super::mailbox::Message;
use super::messages::Event;
use super::virtchnl::{name, op};
use super::{AvfVm, Link, Status};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::limits::{MAX_AVF_EVENTS, VIRTCHNL_DEADLINE};

/// What the device answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What became of the request.
    pub status: Status,
    /// What comes with it.
    pub body: Vec<u8>,
}

impl<B: Bus> AvfVm<B> {
    /// Sends a request and waits for its answer, whatever it says.
    ///
    /// # Errors
    /// Fails when the device does not answer in time, answers something else, or is going to be reset instead.
    pub fn request(&mut self, op: u32, body: &[u8]) -> Result<Answer> {
        self.post(op, body)?;
        let deadline = Instant::now() + VIRTCHNL_DEADLINE;
        let Some(message) = self.next_answer(deadline)? else {
            let what = format!("the answer to {}", name(op));
            return Err(if self.impending {
                Error::Device(format!("a reset came before {what}"))
            } else {
                Error::Timeout { what }
            });
        };
        if message.op != op {
            return Err(Error::Device(format!(
                "{} ({}) was answered where {} was due",
                name(message.op),
                message.op,
                name(op)
            )));
        }
        Ok(Answer {
            status: Status(message.status),
            body: message.body,
        })
    }

    /// The same for what must be granted: the answer's body.
    ///
    /// # Errors
    /// As [`AvfVm::request`], and when the device refuses.
    pub fn demand(&mut self, op: u32, body: &[u8]) -> Result<Vec<u8>> {
        let Answer { status, body } = self.request(op, body)?;
        if !status.is_ok() {
            let name = name(op);
            return Err(Error::Device(format!("{name} was refused: {status:?}")));
        }
        Ok(body)
    }

    /// The same for what may be refused, which is remembered.
    pub(super) fn try_request(&mut self, op: u32, body: &[u8]) -> Result<Status> {
        let Answer { status, .. } = self.request(op, body)?;
        if !status.is_ok() {
            self.refused.push((op, status));
        }
        Ok(status)
    }

    /// Sends a message and does not wait.
    ///
    /// # Errors
    /// Fails when there is no mailbox, or no room in it.
    pub fn post(&mut self, op: u32, body: &[u8]) -> Result<()> {
        let (mailbox, client) = self.mailbox()?;
        mailbox.send(client, op, body)
    }

    /// Waits for the next message that is no event. None when none came, or a reset is going to come.
    ///
    /// # Errors
    /// Fails when the device breaks the specification or is gone.
    pub fn next_answer(&mut self, deadline: Instant) -> Result<Option<Message>> {
        loop {
            let message = self.take_message()?;
            if message.is_some() || self.impending || Instant::now() >= deadline {
                return Ok(message);
            }
            self.wait_for_mail(deadline)?;
        }
    }

    /// Sleeps until there may be a message, or gives others the processor.
    fn wait_for_mail(&mut self, deadline: Instant) -> Result<()> {
        if self.interrupts.is_some() {
            self.sleep_for_mail(deadline)?;
        }
        self.breathe()
    }

    /// Takes the next message that is no event, if it is there. Events are noted.
    fn take_message(&mut self) -> Result<Option<Message>> {
        loop {
            let (mailbox, client) = self.mailbox()?;
            let Some(message) = mailbox.take(client)? else {
                return Ok(None);
            };
            if message.op != op::EVENT {
                return Ok(Some(message));
            }
            let event = Event::decode(&message.body)?;
            match event {
                Event::Link { up, speed } => self.link = Some(Link { up, speed }),
                Event::ResetImpending => self.impending = true,
                Event::Other(_) => {}
            }
            if self.events.len() == MAX_AVF_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
    }

    /// What the device has said unasked and nobody has been told yet, the last ones if it was much.
    ///
    /// # Errors
    /// Fails when the device breaks the specification, says what nobody has asked for, or is gone.
    pub fn take_events(&mut self) -> Result<Vec<Event>> {
        if let Some(message) = self.take_message()? {
            return Err(Error::Device(format!("nobody has asked: {message:?}")));
        }
        Ok(self.events.drain(..).collect())
    }

    /// Waits until the device says that the link is up, or down. False when it has not until `deadline`.
    ///
    /// # Errors
    /// As [`AvfVm::take_events`].
    pub fn wait_link(&mut self, up: bool, deadline: Instant) -> Result<bool> {
        self.wait_until(deadline, |vm| vm.link.is_some_and(|link| link.up == up))
    }

    /// Waits until the device says that it is going to be reset. False when it has not until `deadline`.
    ///
    /// # Errors
    /// As [`AvfVm::take_events`].
    pub fn wait_reset_impending(&mut self, deadline: Instant) -> Result<bool> {
        self.wait_until(deadline, |vm| vm.impending)
    }

    /// Waits until an event has made `come` true. False when none has until `deadline`, or a reset comes first.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        come: impl Fn(&Self) -> bool,
    ) -> Result<bool> {
        loop {
            if let Some(message) = self.take_message()? {
                return Err(Error::Device(format!("nobody has asked: {message:?}")));
            }
            if come(self) {
                return Ok(true);
            }
            if self.impending || Instant::now() >= deadline {
                return Ok(false);
            }
            self.wait_for_mail(deadline)?;
        }
    }

    /// Whether the device has said that it is going to be reset.
    pub fn reset_impending(&self) -> bool {
        self.impending
    }
}
