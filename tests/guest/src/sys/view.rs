//! Every frame that arrives at an interface, with what its kernel says about the frame's checksum.

use super::{PacketSocket, check};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// All protocols, in the order that [`PacketSocket::open`] takes.
const EVERYTHING: u16 = libc::ETH_P_ALL as u16;

/// How long one look waits for a frame.
const LOOK: Duration = Duration::from_millis(10);

/// What the kernel says about a frame's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// Nothing: whoever takes the frame has to check it.
    None,
    /// It has been found right by somebody else.
    Right,
    /// It is unfinished.
    Unfinished,
}

/// A packet socket that shows what arrives at one interface.
pub struct View {
    socket: PacketSocket,
}

/// Room for control messages, aligned as they are.
#[repr(C, align(8))]
struct Control([u8; 64]);

impl View {
    /// Looks at `interface` from now on.
    pub fn open(interface: &str) -> io::Result<Self> {
        let buffer = lab_guest::limits::RECEIVE_BUFFER;
        let socket = PacketSocket::open(interface, EVERYTHING, buffer)?;
        let on: libc::c_int = 1;
        socket.option(libc::SOL_PACKET, libc::PACKET_AUXDATA, &on)?;
        let wait = libc::timeval {
            tv_sec: 0,
            tv_usec: LOOK.as_micros() as libc::suseconds_t,
        };
        socket.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
        Ok(View { socket })
    }

    /// The next frame into `buffer`: its length and the kernel's opinion; `None` for one that this
    /// machine sent itself. Fails `WouldBlock` when none comes.
    pub fn next(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, Opinion)>> {
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut control = Control([0; 64]);
        // SAFETY: all-zero sockaddr_ll and msghdr are valid.
        let (mut from, mut message): (libc::sockaddr_ll, libc::msghdr) = unsafe { zeroed() };
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>();
        let fd = self.socket.fd.as_raw_fd();
        // SAFETY: `message` names one initialised buffer, one address and room for control messages, all
        // borrowed mutably or owned here; all outlive the call.
        let got = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_TRUNC) };
        let length = check(got)? as usize;
        if from.sll_pkttype == libc::PACKET_OUTGOING {
            return Ok(None);
        }
        if length > buffer.len() {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        Ok(Some((length, opinion(&message))))
    }

    /// Frames that were not shown because the socket's buffer was full.
    pub fn missed(&self) -> io::Result<u64> {
        self.socket.statistics().map(|s| s.drops)
    }
}

/// Finds the packet socket's own control message in what `recvmsg` wrote.
fn opinion(message: &libc::msghdr) -> Opinion {
    let least = libc::tpacket_auxdata {
        tp_status: 0,
        tp_len: 0,
        tp_snaplen: 0,
        tp_mac: 0,
        tp_net: 0,
        tp_vlan_tci: 0,
        tp_vlan_tpid: 0,
    };
    // SAFETY: `message` was filled in by recvmsg and its control room is alive in the caller; the macros
    // stay within the length it has.
    let mut item = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !item.is_null() {
        // SAFETY: a non-null result of the macros points to a whole header in the room; its data is
        // read only where its length says that all of it is there, without asking for alignment.
        let aux = unsafe {
            let room = libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) as usize;
            let ours = (*item).cmsg_level == libc::SOL_PACKET
                && (*item).cmsg_type == libc::PACKET_AUXDATA
                && (*item).cmsg_len >= room;
            if ours {
                std::ptr::read_unaligned(libc::CMSG_DATA(item).cast())
            } else {
                least
            }
        };
        if aux.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0 {
            return Opinion::Unfinished;
        }
        if aux.tp_status & libc::TP_STATUS_CSUM_VALID != 0 {
            return Opinion::Right;
        }
        // SAFETY: as above.
        item = unsafe { libc::CMSG_NXTHDR(message, item) };
    }
    Opinion::None
}
