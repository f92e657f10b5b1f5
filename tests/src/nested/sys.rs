//! System calls of the nested lab that the libraries have no safe words for: packet sockets and VFIO.

use crate::fakevm::sys::Mapping;
use nix::sched::{CloneFlags, setns};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::thread;

/// Opens a socket that sends and receives frames on `interface` of the network namespace `netns`.
pub fn packet_socket(
    netns: BorrowedFd<'_>,
    interface: &str,
    receive_buffer: usize,
) -> io::Result<OwnedFd> {
    // The calling thread stays where it is: a thread of its own goes there.
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            bound_packet_socket(interface, receive_buffer)
        });
        there
            .join()
            .map_err(|_| io::Error::other("the thread in the namespace died"))?
    })
}

fn bound_packet_socket(interface: &str, receive_buffer: usize) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain system call; the result is checked before it is owned.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: `fd` was just returned by socket() and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let size = libc::c_int::try_from(receive_buffer).unwrap_or(libc::c_int::MAX);
    option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size)?;
    option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    let name = CString::new(interface)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: an all-zero sockaddr_ll is valid.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as libc::c_int;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is a sockaddr_ll of `length` bytes and outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// Not in every libc crate (linux/if_packet.h).
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

fn option(
    socket: &OwnedFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let value = (&raw const value).cast();
    // SAFETY: `value` points to a live c_int of `length` bytes that the kernel only reads.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) }).map(drop)
}

/// `_IO(';', 100 + n)` of linux/vfio.h.
const fn vfio(n: libc::c_ulong) -> libc::c_ulong {
    ((b';' as libc::c_ulong) << 8) | (100 + n)
}

/// What a device has (`struct vfio_device_info`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct VfioDeviceInfo {
    /// Size of this structure.
    pub argsz: u32,
    /// Bit 0: it can be reset; bit 1: it is a PCI device.
    pub flags: u32,
    /// Number of regions.
    pub regions: u32,
    /// Number of interrupt kinds.
    pub irqs: u32,
}

/// The version of VFIO's interface that a container speaks.
pub fn vfio_api_version(container: &File) -> io::Result<i32> {
    number(container, vfio(0), 0)
}

/// Whether a container knows an extension, such as an IOMMU type.
pub fn vfio_has_extension(container: &File, extension: u32) -> io::Result<bool> {
    Ok(number(container, vfio(1), extension.into())? > 0)
}

/// Chooses a container's IOMMU type; a group must be in it.
pub fn vfio_set_iommu(container: &File, kind: u32) -> io::Result<()> {
    number(container, vfio(2), kind.into()).map(drop)
}

/// Flags of a group: bit 0 is set when every device of it is in VFIO's hands.
pub fn vfio_group_flags(group: &File) -> io::Result<u32> {
    let mut status = [size_of::<[u32; 2]>() as u32, 0];
    // SAFETY: `status` has the eight bytes of struct vfio_group_status, which the kernel writes at most.
    check(unsafe { libc::ioctl(group.as_raw_fd(), vfio(3), &raw mut status) })?;
    Ok(status[1])
}

/// Puts a group into a container.
pub fn vfio_join(group: &File, container: &File) -> io::Result<()> {
    let container: RawFd = container.as_raw_fd();
    // SAFETY: the kernel reads one c_int, which outlives the call.
    check(unsafe { libc::ioctl(group.as_raw_fd(), vfio(4), &raw const container) }).map(drop)
}

/// The device at this PCI address of a group. `address` may be followed by what the kernel wants to know besides.
pub fn vfio_device(group: &File, address: &str) -> io::Result<OwnedFd> {
    let address = CString::new(address)?;
    // SAFETY: the kernel reads the NUL-terminated string, which outlives the call.
    let fd = check(unsafe { libc::ioctl(group.as_raw_fd(), vfio(6), address.as_ptr()) })?;
    // SAFETY: the kernel has just installed this descriptor for us and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What a device has.
pub fn vfio_device_info(device: impl AsFd) -> io::Result<VfioDeviceInfo> {
    let mut info = VfioDeviceInfo {
        argsz: size_of::<VfioDeviceInfo>() as u32,
        ..VfioDeviceInfo::default()
    };
    // SAFETY: `info` has `argsz` bytes, which the kernel writes at most.
    check(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), vfio(7), &raw mut info) })?;
    Ok(info)
}

/// Where a region of a device begins in its file, and its size.
pub fn vfio_region(device: impl AsFd, index: u32) -> io::Result<(u64, u64)> {
    #[repr(C)]
    struct Info {
        argsz: u32,
        flags: u32,
        index: u32,
        capabilities: u32,
        size: u64,
        offset: u64,
    }
    let mut info = Info {
        argsz: size_of::<Info>() as u32,
        flags: 0,
        index,
        capabilities: 0,
        size: 0,
        offset: 0,
    };
    // SAFETY: `info` is a struct vfio_region_info of `argsz` bytes, which the kernel writes at most.
    check(unsafe { libc::ioctl(device.as_fd().as_raw_fd(), vfio(8), &raw mut info) })?;
    Ok((info.offset, info.size))
}

/// Has DMA of a container's groups reach memory of this process at `iova`; `bytes` must stay mapped until then.
pub fn vfio_map(container: &File, bytes: &Mapping, iova: u64) -> io::Result<()> {
    #[repr(C)]
    struct Map {
        argsz: u32,
        flags: u32,
        vaddr: u64,
        iova: u64,
        size: u64,
    }
    let map = Map {
        argsz: size_of::<Map>() as u32,
        // Read and write.
        flags: 3,
        vaddr: bytes.as_ptr() as u64,
        iova,
        size: bytes.len() as u64,
    };
    // SAFETY: the kernel reads a struct vfio_iommu_type1_dma_map of `argsz` bytes. What a device writes there is only
    // ever accessed through `fakevm::mem::Shared`, which makes no references.
    check(unsafe { libc::ioctl(container.as_raw_fd(), vfio(13), &raw const map) }).map(drop)
}

/// Wires the first interrupt of a kind to an event.
pub fn vfio_wire(device: &File, index: u32, event: BorrowedFd<'_>) -> io::Result<()> {
    // struct vfio_irq_set: argsz, flags (eventfd, trigger), index, start, count, and an event.
    let event = event.as_raw_fd().cast_unsigned();
    let set: [u32; 6] = [size_of::<[u32; 6]>() as u32, 0x24, index, 0, 1, event];
    // SAFETY: the kernel reads `argsz` bytes, which are there.
    check(unsafe { libc::ioctl(device.as_raw_fd(), vfio(10), set.as_ptr()) }).map(drop)
}

fn number(file: &File, request: libc::c_ulong, argument: libc::c_ulong) -> io::Result<i32> {
    // SAFETY: these requests take a number and touch no memory of ours.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request, argument) })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
