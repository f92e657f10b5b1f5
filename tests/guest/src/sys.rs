//! The system calls behind the guest tools; the only `unsafe` of this crate.

pub mod view;
pub mod xdp;

use std::fs::File;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn note_stop(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// True once SIGTERM or SIGINT has come.
pub fn stopping() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Makes SIGTERM and SIGINT set the flag that [`stopping`] reads, interrupting system calls.
pub fn stop_on_sigterm() -> io::Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        // SAFETY: an all-zero sigaction is a valid one; the handler only stores to an atomic,
        // which is async-signal-safe, and lives as long as the program.
        let done = unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = note_stop as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal, &action, std::ptr::null_mut())
        };
        check(done as isize)?;
    }
    Ok(())
}

/// Sends `signal` to process group `group`; a group that is gone is no error.
pub fn signal_group(group: i32, signal: i32) {
    if group > 1 {
        // SAFETY: no memory is involved; the group is one that this process created.
        unsafe { libc::kill(-group, signal) };
    }
}

/// Blocks until the host side of the port is open (a port without a host reads as end of file).
pub fn wait_for_host(port: &File) -> io::Result<()> {
    // POLLHUP is reported for as long as the host is away, so only a timed look is possible here.
    let mut item = libc::pollfd {
        fd: port.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: `item` is one valid pollfd and outlives the call.
    check(unsafe { libc::poll(&mut item, 1, -1) } as isize)?;
    if item.revents & libc::POLLHUP != 0 {
        let mut none = libc::pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        };
        // SAFETY: as above; a negative descriptor is ignored, so this only waits.
        unsafe { libc::poll(&mut none, 1, 50) };
    }
    Ok(())
}

/// A raw packet socket bound to one interface and protocol.
pub struct PacketSocket {
    fd: OwnedFd,
}

/// What the kernel's counters of a packet socket say.
pub struct PacketStatistics {
    /// Frames dropped because the socket's buffer was full.
    pub drops: u64,
}

impl PacketSocket {
    /// Opens a socket that sends on `interface` and receives `protocol` (0 receives nothing).
    pub fn open(interface: &str, protocol: u16, receive_buffer: usize) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: plain system call; the result is checked before it is owned.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) } as isize)? as RawFd;
        // SAFETY: `fd` was just returned by socket() and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = PacketSocket { fd };
        if receive_buffer > 0 {
            let size = libc::c_int::try_from(receive_buffer).unwrap_or(libc::c_int::MAX);
            socket.option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size)?;
        }
        let wait = libc::timeval {
            tv_sec: 0,
            tv_usec: lab_guest::limits::STOP_POLL.as_micros() as libc::suseconds_t,
        };
        socket.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
        socket.option(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &wait)?;
        let name = std::ffi::CString::new(interface)?;
        // SAFETY: `name` is NUL-terminated and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: an all-zero sockaddr_ll is valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = index as libc::c_int;
        let length = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is a sockaddr_ll of `length` bytes and outlives the call.
        let done =
            unsafe { libc::bind(socket.fd.as_raw_fd(), (&raw const address).cast(), length) };
        check(done as isize)?;
        Ok(socket)
    }

    fn option<T>(&self, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
        set_option(self.fd.as_raw_fd(), level, name, value)
    }

    /// Sends all frames of `burst` that fit now; returns how many were taken.
    pub fn send(&self, burst: &[&[u8]]) -> io::Result<usize> {
        let mut parts: Vec<libc::iovec> = burst
            .iter()
            .map(|f| libc::iovec {
                iov_base: f.as_ptr().cast_mut().cast(),
                iov_len: f.len(),
            })
            .collect();
        let mut messages = messages_for(&mut parts);
        let count = messages.len() as libc::c_uint;
        // SAFETY: each message points to one iovec of `parts`, each iovec to a borrowed frame;
        // all outlive the call, and sending does not write to the frames.
        let sent = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        Ok(check(sent as isize)? as usize)
    }

    /// Receives into the front of `buffers`; returns the length of each frame that came.
    ///
    /// Waits for the first frame for [`lab_guest::limits::STOP_POLL`], then fails `WouldBlock`.
    pub fn receive(&self, buffers: &mut [Vec<u8>]) -> io::Result<Vec<usize>> {
        let mut parts: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|b| libc::iovec {
                iov_base: b.as_mut_ptr().cast(),
                iov_len: b.len(),
            })
            .collect();
        let mut messages = messages_for(&mut parts);
        let count = messages.len() as libc::c_uint;
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_WAITFORONE);
        let no_timeout = std::ptr::null_mut();
        // SAFETY: each message points to one iovec of `parts`, each iovec to a buffer that is
        // borrowed mutably and initialised over its whole length; all outlive the call.
        let got = unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), count, flags, no_timeout) };
        let got = check(got as isize)? as usize;
        Ok(messages[..got].iter().map(|m| m.msg_len as usize).collect())
    }

    /// Reads and clears the socket's drop counter.
    pub fn statistics(&self) -> io::Result<PacketStatistics> {
        // SAFETY: an all-zero tpacket_stats is valid.
        let mut stats: libc::tpacket_stats = unsafe { zeroed() };
        let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into `stats`.
        let done = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut stats).cast(),
                &mut length,
            )
        };
        check(done as isize)?;
        Ok(PacketStatistics {
            drops: u64::from(stats.tp_drops),
        })
    }
}

fn messages_for(parts: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    parts
        .iter_mut()
        .map(|part| {
            // SAFETY: an all-zero mmsghdr is valid.
            let mut message: libc::mmsghdr = unsafe { zeroed() };
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect()
}

/// Makes the kernel cut each send on `socket` into datagrams of `size` bytes.
pub fn segment_datagrams(socket: &UdpSocket, size: u16) -> io::Result<()> {
    set_option(
        socket.as_raw_fd(),
        libc::SOL_UDP,
        libc::UDP_SEGMENT,
        &libc::c_int::from(size),
    )
}

/// Asks for a large receive buffer.
pub fn receive_buffer(socket: &UdpSocket, size: usize) -> io::Result<()> {
    let size = libc::c_int::try_from(size).unwrap_or(libc::c_int::MAX);
    set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &size,
    )
}

fn set_option<T>(fd: RawFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is a live plain value of `length` bytes that the kernel only reads.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const *value).cast(), length) };
    check(done as isize).map(drop)
}

/// Waits for `time` or until a signal comes.
pub fn pause(time: Duration) {
    let wait = libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(time.subsec_nanos()),
    };
    // SAFETY: `wait` is valid and outlives the call; the remainder is not asked for.
    unsafe { libc::nanosleep(&wait, std::ptr::null_mut()) };
}

fn check(result: isize) -> io::Result<isize> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
