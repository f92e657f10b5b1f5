//! Messages of the vhost-user protocol, front end's side.

use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::fakevm::error::{Error, Result};
use crate::fakevm::socket::Socket;

/// Request numbers.
#[allow(missing_docs)]
pub mod request {
    pub const GET_FEATURES: u32 = 1;
    pub const SET_FEATURES: u32 = 2;
    pub const SET_OWNER: u32 = 3;
    pub const SET_MEM_TABLE: u32 = 5;
    pub const SET_VRING_NUM: u32 = 8;
    pub const SET_VRING_ADDR: u32 = 9;
    pub const SET_VRING_BASE: u32 = 10;
    pub const GET_VRING_BASE: u32 = 11;
    pub const SET_VRING_KICK: u32 = 12;
    pub const SET_VRING_CALL: u32 = 13;
    pub const GET_PROTOCOL_FEATURES: u32 = 15;
    pub const SET_PROTOCOL_FEATURES: u32 = 16;
    pub const SET_VRING_ENABLE: u32 = 18;

    /// The specification's name of a request.
    pub fn name(request: u32) -> &'static str {
        match request {
            GET_FEATURES => "GET_FEATURES",
            SET_FEATURES => "SET_FEATURES",
            SET_OWNER => "SET_OWNER",
            SET_MEM_TABLE => "SET_MEM_TABLE",
            SET_VRING_NUM => "SET_VRING_NUM",
            SET_VRING_ADDR => "SET_VRING_ADDR",
            SET_VRING_BASE => "SET_VRING_BASE",
            GET_VRING_BASE => "GET_VRING_BASE",
            SET_VRING_KICK => "SET_VRING_KICK",
            SET_VRING_CALL => "SET_VRING_CALL",
            GET_PROTOCOL_FEATURES => "GET_PROTOCOL_FEATURES",
            SET_PROTOCOL_FEATURES => "SET_PROTOCOL_FEATURES",
            SET_VRING_ENABLE => "SET_VRING_ENABLE",
            _ => "an unknown request",
        }
    }
}

const HEADER: usize = 12;
const VERSION: u32 = 1;
const FLAG_REPLY: u32 = 4;
const FLAG_NEED_REPLY: u32 = 8;
/// Largest reply that is accepted.
const MAX_REPLY: usize = 4096;

/// A message as it was received.
#[derive(Debug)]
pub struct Message {
    /// Request number.
    pub request: u32,
    payload: Vec<u8>,
}

impl Message {
    /// The header in front of `payload` bytes.
    pub fn head(request: u32, payload: usize, need_reply: bool) -> [u8; HEADER] {
        let flags = VERSION | if need_reply { FLAG_NEED_REPLY } else { 0 };
        let mut out = [0; HEADER];
        out[0..4].copy_from_slice(&request.to_le_bytes());
        out[4..8].copy_from_slice(&flags.to_le_bytes());
        out[8..12].copy_from_slice(&(payload as u32).to_le_bytes());
        out
    }

    /// Receives a reply.
    ///
    /// # Errors
    /// Fails when the back end is gone, late, or sends something else.
    pub fn receive(socket: &Socket, deadline: Instant) -> Result<Self> {
        let mut fds: Vec<OwnedFd> = Vec::new();
        let mut head = [0; HEADER];
        socket.receive(&mut head, &mut fds, deadline)?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (request, flags, size) = (word(0), word(4), word(8) as usize);
        if flags & FLAG_REPLY == 0 || size > MAX_REPLY {
            let name = request::name(request);
            return Err(Error::Protocol(format!(
                "{name} with flags {flags:#x}, {size} bytes"
            )));
        }
        let mut payload = vec![0; size];
        socket.receive(&mut payload, &mut fds, deadline)?;
        Ok(Message { request, payload })
    }

    /// The payload as one number.
    ///
    /// # Errors
    /// Fails when the payload has another length.
    pub fn word(&self) -> Result<u64> {
        let bytes = self.payload.as_slice().try_into();
        bytes.map(u64::from_le_bytes).map_err(|_| {
            let (name, len) = (request::name(self.request), self.payload.len());
            Error::Protocol(format!("{name} was answered with {len} bytes"))
        })
    }
}
