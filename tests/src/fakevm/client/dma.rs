//! Answers to the server's own commands: `DMA_READ` and `DMA_WRITE`.

use std::time::Instant;

use nix::libc::{EINVAL, ENODEV, ENOTSUP};

use super::{Client, Message};
use crate::fakevm::error::Result;
use crate::fakevm::memory::GuestMemory;
use crate::fakevm::wire::{FLAG_ERROR, FLAG_REPLY, HEADER, Header, Reader, command};

/// Largest transfer that is answered, in bytes.
const MAX_TRANSFER: u64 = 1 << 20;

impl Client {
    /// Answers what the server has asked so far and whatever else it asks until it is silent.
    /// Waits until `deadline` for a first command. Returns how many were answered.
    ///
    /// # Errors
    /// Fails when the server is gone, or sends a reply that nobody asked for.
    pub fn serve(&mut self, memory: &GuestMemory, deadline: Instant) -> Result<usize> {
        let mut answered = 0;
        loop {
            while let Some(command) = self.pending.pop_front() {
                self.answer(memory, &command)?;
                answered += 1;
            }
            let until = if answered == 0 {
                deadline
            } else {
                Instant::now()
            };
            if !self.socket.readable(until)? {
                return Ok(answered);
            }
            let message = self.receive()?;
            if message.header.is_reply() {
                let name = command::name(message.header.command);
                return Err(super::Error::Protocol(format!(
                    "a reply to {name} out of the blue"
                )));
            }
            self.pending.push_back(message);
        }
    }

    fn answer(&mut self, memory: &GuestMemory, message: &Message) -> Result<()> {
        let outcome = perform(memory, message);
        if message.header.no_reply() {
            return Ok(());
        }
        let payload = outcome.as_deref().unwrap_or_default();
        let header = Header {
            size: (HEADER + payload.len()) as u32,
            flags: FLAG_REPLY | if outcome.is_err() { FLAG_ERROR } else { 0 },
            error: outcome.as_ref().err().map_or(0, |errno| *errno as u32),
            ..message.header
        };
        self.send([&header.encode(), payload], &[])
    }
}

/// Does what the server asks. Memory outside the guest is `ENODEV`, as with QEMU.
fn perform(memory: &GuestMemory, message: &Message) -> std::result::Result<Vec<u8>, i32> {
    let mut reader = Reader::new(&message.payload);
    let (address, count) = (reader.take_u64(), reader.take_u64());
    let data = reader.end("DMA").map_err(|_| EINVAL)?;
    if count > MAX_TRANSFER {
        return Err(EINVAL);
    }
    let view = memory.view(address, count as usize).map_err(|_| ENODEV)?;
    let mut payload = message.payload[..16].to_vec();
    match message.header.command {
        command::DMA_READ => {
            payload.resize(16 + count as usize, 0);
            view.read(0, &mut payload[16..]);
        }
        command::DMA_WRITE if data.len() as u64 == count => view.write(0, data),
        command::DMA_WRITE => return Err(EINVAL),
        _ => return Err(ENOTSUP),
    }
    Ok(payload)
}
