//! Kernel calls of TAP interfaces: the only `unsafe` of this module.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, libc::ifreq);
nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);
nix::ioctl_write_ptr_bad!(tun_set_vnet_hdr_sz, libc::TUNSETVNETHDRSZ, libc::c_int);
nix::ioctl_read_bad!(get_flags, libc::SIOCGIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, libc::ifreq);
nix::ioctl_write_ptr_bad!(set_mtu, libc::SIOCSIFMTU, libc::ifreq);
/// `SIOCBRADDIF` of linux/sockios.h.
const SIOCBRADDIF: libc::Ioctl = 0x89a2;
nix::ioctl_write_ptr_bad!(bridge_add, SIOCBRADDIF, libc::ifreq);

/// An `ifreq` for an interface; the caller has checked the name's length.
fn request(name: &str) -> libc::ifreq {
    // SAFETY: an all-zero ifreq is valid: it is plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.bytes())
    {
        *to = from as libc::c_char;
    }
    request
}

/// Makes `tun` the TAP interface `name`, with virtio headers of `header` bytes.
pub(super) fn become_tap(tun: &OwnedFd, name: &str, header: usize) -> nix::Result<()> {
    let mut request = request(name);
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    let header = header as libc::c_int;
    // SAFETY: both pointers are to live locals of the type that the calls expect.
    unsafe {
        tun_set_iff(tun.as_raw_fd(), &raw const request)?;
        tun_set_vnet_hdr_sz(tun.as_raw_fd(), &raw const header)?;
    }
    Ok(())
}

/// What the kernel may hand us uncut.
pub(super) fn offload(tun: &OwnedFd, flags: libc::c_uint) -> nix::Result<()> {
    // SAFETY: the call takes an integer.
    unsafe { tun_set_offload(tun.as_raw_fd(), flags as libc::c_int) }.map(drop)
}

fn control() -> nix::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
}

/// Sets the interface up.
pub(super) fn up(name: &str) -> nix::Result<()> {
    let socket = control()?;
    let mut request = request(name);
    // SAFETY: the pointer is to a live local; the kernel fills in the flags, which are then read as
    // what they were written as.
    unsafe {
        get_flags(socket.as_raw_fd(), &raw mut request)?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        set_flags(socket.as_raw_fd(), &raw const request)?;
    }
    Ok(())
}

/// True if the interface is set up and has a carrier.
pub(super) fn carrier(name: &str) -> nix::Result<bool> {
    let socket = control()?;
    let mut request = request(name);
    // SAFETY: the pointer is to a live local; the kernel fills in the flags, which are then read as that.
    let flags = unsafe {
        get_flags(socket.as_raw_fd(), &raw mut request)?;
        libc::c_int::from(request.ifr_ifru.ifru_flags)
    };
    let wanted = libc::IFF_UP | libc::IFF_RUNNING;
    Ok(flags & wanted == wanted)
}

/// Sets the interface's MTU.
pub(super) fn mtu(name: &str, mtu: u16) -> nix::Result<()> {
    let socket = control()?;
    let mut request = request(name);
    request.ifr_ifru.ifru_mtu = mtu.into();
    // SAFETY: the pointer is to a live local.
    unsafe { set_mtu(socket.as_raw_fd(), &raw const request) }.map(drop)
}

/// Puts the interface into a bridge; being in it already is fine.
pub(super) fn join(name: &str, bridge: &str) -> nix::Result<()> {
    let index = nix::net::if_::if_nametoindex(name)?;
    let socket = control()?;
    let mut request = request(bridge);
    request.ifr_ifru.ifru_ifindex = index as libc::c_int;
    // SAFETY: the pointer is to a live local.
    match unsafe { bridge_add(socket.as_raw_fd(), &raw const request) } {
        Err(Errno::EBUSY) => Ok(()),
        other => other.map(drop),
    }
}
