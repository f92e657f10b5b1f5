//! The mailbox of a device whose driver asks by messages.
//!
//! Owns both admin queues and where their tails are. Letters go out under the lock of the device's rings, also from threads
//! that serve no client: who takes memory away passes that lock.

use super::device::Device;
use super::host::DeviceHost;
use super::launch::TRUNCATED;
use super::whole::Cvf;
use crate::control::UuidText;
use crate::limits::MAILBOX_TURN;
use crate::mem::Regions;
use crate::personality::Personality;
use crate::ring::{Mailbox, MailboxError, MailboxPlace, MailboxReply, MailboxSide};

/// The vector of letters.
const VECTOR: u16 = 0;

/// Both admin queues, and what the driver wrote into their tail registers last.
#[derive(Debug, Default)]
pub(super) struct Letters {
    mailbox: Mailbox,
    send: u16,
    receive: u16,
}

impl Device {
    /// The driver placed an admin queue, or took it away.
    pub(super) fn place_mailbox(&self, which: MailboxSide, place: Option<MailboxPlace>) {
        let letters = &mut self.rings.lock().letters;
        letters.mailbox.place(which, place);
        if place.is_some() {
            // A driver writes its parts one by one, and the tail when it is whole.
            return;
        }
        match which {
            MailboxSide::Send => letters.send = 0,
            MailboxSide::Receive => letters.receive = 0,
        }
    }

    /// The driver moved the device's position in an admin queue.
    pub(super) fn move_head(&self, which: MailboxSide, head: u16) {
        self.rings.lock().letters.mailbox.set_head(which, head);
    }

    /// The driver moved an admin queue's tail. What waits for room goes out.
    pub(super) fn move_tail(&self, which: MailboxSide, tail: u16) {
        match which {
            MailboxSide::Send => self.rings.lock().letters.send = tail,
            MailboxSide::Receive => {
                self.rings.lock().letters.receive = tail;
                self.write_letters(None);
            }
        }
    }

    /// The device's position in an admin queue.
    pub(super) fn mailbox_head(&self, which: MailboxSide) -> u16 {
        self.rings.lock().letters.mailbox.head(which)
    }

    /// Sends the driver a letter, or keeps it while there is no room.
    pub(super) fn write_letters(&self, letter: Option<MailboxReply>) {
        let Some(written) = self.with_mailbox(|mailbox, regions, [_, receive]| match letter {
            Some(letter) => mailbox.post(regions, receive, &letter),
            None => mailbox.flush(regions, receive),
        }) else {
            return;
        };
        match written {
            Ok(true) => {
                self.port.interrupts.queue(Some(VECTOR));
            }
            Ok(false) => {}
            Err(error) => self.mailbox_failed(&error),
        }
    }

    /// Works on the mailbox, whose tails are given with it: that of what is sent to the device first. `None`: it is gone.
    fn with_mailbox<T>(
        &self,
        work: impl FnOnce(&mut Mailbox, &Regions, [u16; 2]) -> T,
    ) -> Option<T> {
        let mut rings = self.rings.lock();
        let regions = self.port.memory.load();
        let letters = &mut rings.letters;
        let mailbox = &mut letters.mailbox;
        if regions.faulted() && mailbox.is_placed() {
            // What replaces a truncated file is ours: letters must not fill it.
            for side in [MailboxSide::Send, MailboxSide::Receive] {
                mailbox.place(side, None);
            }
            drop(regions);
            drop(rings);
            self.port.stop(TRUNCATED.into());
            return None;
        }
        let before = (mailbox.lost(), mailbox.malformed());
        let result = work(mailbox, &regions, [letters.send, letters.receive]);
        let (lost, malformed) = (mailbox.lost() - before.0, mailbox.malformed() - before.1);
        // Who takes memory away passes the lock, and then nobody has it any more.
        drop(regions);
        drop(rings);
        if lost > 0 {
            self.refused(format!(
                "{lost} messages for the driver were lost: it posts too few buffers for them, or too small ones"
            ));
        }
        if malformed > 0 {
            self.refused(format!(
                "{malformed} descriptors of the mailbox's send queue were no messages, or had no buffer in mapped memory"
            ));
        }
        Some(result)
    }

    /// A mailbox that cannot go on has no other way to be told than by the driver's own reset.
    fn mailbox_failed(&self, error: &MailboxError) {
        if matches!(error, MailboxError::Away { .. }) {
            self.rings.lock().commands_wait = true;
        }
        tracing::debug!(device = self.spec.name, uuid = %UuidText(self.spec.uuid), %error, "mailbox");
        self.refused(error.to_string());
    }
}

impl Cvf {
    /// Carries out some of what waits in the mailbox. True: there may be more.
    pub(super) fn read_letters(
        &self,
        personality: &mut dyn Personality,
        host: &mut DeviceHost<'_>,
    ) -> bool {
        for _ in 0..MAILBOX_TURN {
            let take = |mailbox: &mut Mailbox, regions: &Regions, [send, _]: [u16; 2]| {
                mailbox.take(regions, send)
            };
            match self.device.with_mailbox(take) {
                Some(Ok(Some(message))) => {
                    personality.message(host, message);
                    self.begin(personality, host);
                }
                Some(Ok(None)) | None => return false,
                Some(Err(error)) => {
                    self.device.mailbox_failed(&error);
                    return false;
                }
            }
        }
        true
    }
}
