//! Messages between the host and the agent: one JSON value a line, both ways.
//!
//! Requests carry an id chosen by the host; every request is answered by exactly one reply with
//! that id, in order of completion. The agent announces itself with [`Reply::Hello`] whenever it
//! starts, which is how the host learns of a reboot.

use crate::kernel::Counters;
use crate::plan::Part;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Name of the virtio-serial port that carries the agent's channel.
pub const PORT_NAME: &str = "lab.agent";

/// What the host asks.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Run a program and report how it ended.
    Run {
        /// Names the request in its reply and in [`Request::Signal`].
        id: u64,
        /// Program and arguments; looked up in `PATH`.
        argv: Vec<String>,
        /// Written to the program's standard input, which is then closed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stdin: Option<String>,
        /// The program is killed (with its process group) after this many milliseconds.
        timeout_ms: u64,
    },
    /// Send a signal to the process group of a running request. Not answered.
    Signal {
        /// The running request.
        id: u64,
        /// Signal number.
        signal: i32,
    },
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The agent is up.
    Hello {
        /// Kernel release of the guest.
        kernel: String,
        /// Milliseconds from kernel start to the agent's start.
        uptime_ms: u64,
    },
    /// A program ended, or could not be started.
    Done {
        /// The request's id.
        id: u64,
        /// How it ended.
        outcome: Outcome,
        /// Standard output, at most [`crate::limits::MAX_OUTPUT`] bytes, invalid UTF-8 replaced.
        stdout: String,
        /// Standard error, likewise.
        stderr: String,
    },
}

/// How a program ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It exited with this code.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// It ran out of time and was killed.
    TimedOut,
    /// It was never started; the reason is in the reply's `stderr`.
    NotStarted,
}

/// Arguments of `guest-agent frames-send`, given as one JSON value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendFrames {
    /// Interface to send on.
    pub interface: String,
    /// Destination MAC address.
    pub destination: String,
    /// Keeps concurrent streams apart.
    pub stream: u32,
    /// Frame length with Ethernet header, in bytes.
    pub size: usize,
    /// Frames a second; 0 sends as fast as it goes.
    pub rate: u64,
    /// Stop after this many frames; 0 goes on until SIGTERM or `seconds`.
    pub count: u64,
    /// Stop after this many seconds; 0 means no limit.
    pub seconds: f64,
}

/// Arguments of `guest-agent frames-receive`, given as one JSON value.
///
/// The receiver ends at SIGTERM, after `seconds`, or as soon as it has seen the end mark of the
/// stream and all frames that the mark announces (or `grace_ms` have passed since the mark).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceiveFrames {
    /// Interface to receive on.
    pub interface: String,
    /// The stream to count.
    pub stream: u32,
    /// Stop after this many seconds at the latest.
    pub seconds: f64,
    /// How long late frames are awaited after the end mark, in milliseconds.
    pub grace_ms: u64,
    /// Frames come with their check sequence: it is taken off, and where it is not theirs they are corrupt.
    #[serde(default)]
    pub check_sequences: bool,
}

/// What the sender prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct SendReport {
    /// Frames handed to the kernel.
    pub sent: u64,
    /// Times the kernel had no room and the sender waited.
    pub waits: u64,
    /// Seconds from first to last frame.
    pub seconds: f64,
}

/// What the receiver prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct ReceiveReport {
    /// Distinct frames seen.
    pub received: u64,
    /// Frames announced by the end mark; absent if the mark was not seen.
    pub announced: Option<u64>,
    /// `announced - received`; without an end mark, holes below the highest number seen.
    pub lost: u64,
    /// Frames seen more than once.
    pub duplicate: u64,
    /// Frames that came after one with a higher number.
    pub reordered: u64,
    /// Frames whose contents do not match their number.
    pub corrupt: u64,
    /// Frames the guest's own kernel dropped because this program was too slow.
    pub socket_drops: u64,
    /// Seconds from first to last frame.
    pub seconds: f64,
    /// The longest that no frame came between two that did, in seconds.
    #[serde(default)]
    pub longest_gap: f64,
}

/// Arguments of `guest-agent stream-send` and `stream-receive`, given as one JSON value.
///
/// A byte stream (TCP) or numbered datagrams (UDP) whose every byte follows from its position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamArgs {
    /// Address to connect or to bind to.
    pub address: String,
    /// Port number.
    pub port: u16,
    /// Bytes in total.
    pub bytes: u64,
    /// UDP instead of TCP, with datagrams of this many bytes.
    #[serde(default)]
    pub datagram: Option<u16>,
    /// With UDP, hand the kernel this many datagrams as one segmented send.
    #[serde(default)]
    pub segments: Option<u16>,
    /// Give up after this many seconds.
    pub seconds: f64,
}

/// What the stream tools print.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct StreamReport {
    /// Bytes moved.
    pub bytes: u64,
    /// Bytes (TCP) or datagrams (UDP) whose contents were wrong.
    pub corrupt: u64,
    /// Datagrams that never came; always 0 for TCP.
    pub lost: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Arguments of `guest-agent flow-send` and `flow-receive`, given as one JSON value.
///
/// A flow whose messages are planned: each end knows what comes next, so that order is checked with
/// every byte. Whatever else arrives meanwhile at the interface is looked at, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlowArgs {
    /// Interface of this end.
    pub interface: String,
    /// The receiver's address, IPv4 or IPv6.
    pub address: IpAddr,
    /// Port number.
    pub port: u16,
    /// UDP instead of TCP.
    pub udp: bool,
    /// The messages.
    pub parts: Vec<Part>,
    /// No packet that arrives at this end may be longer, IP header included.
    pub longest: usize,
    /// Put a program that passes everything in front of this end's interface (XDP): drivers switch all
    /// their receive offloads off for it. Then the receive ring is made anew with so many entries, for
    /// buffers from before have no room for what a program may do, and are lost when they are full.
    #[serde(default)]
    pub xdp: Option<u16>,
    /// Give up when nothing arrives for so many seconds.
    pub seconds: f64,
}

/// What the ends of a flow print.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct FlowReport {
    /// Messages sent, or received as planned.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was wrong with the first message that was; empty if none was.
    pub wrong: String,
    /// Packets that arrived at the interface.
    pub seen: Packets,
    /// The kernel's counters that went up.
    pub risen: Counters,
    /// Seconds it took.
    pub seconds: f64,
}

/// Packets as an end of a flow saw them arrive, judged one by one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct Packets {
    /// TCP and UDP with a checksum computed to be right.
    pub finished: u64,
    /// TCP and UDP whose checksum is known to be unfinished and begun rightly.
    pub partial: u64,
    /// Of both, those that the kernel held to be right before anybody had looked.
    pub believed: u64,
    /// Pieces of datagrams.
    pub fragments: u64,
    /// Everything else.
    pub others: u64,
    /// Packets with a fault.
    pub faults: u64,
    /// What was wrong with the first of them.
    pub first_fault: String,
    /// Longest packet of TCP or UDP, IP header included.
    pub longest: usize,
    /// Packets that could not be looked at because there were too many.
    pub missed: u64,
}

#[cfg(test)]
mod tests;
