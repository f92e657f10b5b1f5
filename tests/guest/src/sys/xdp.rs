//! A program in front of an interface's stack (XDP) that passes everything on. What counts is what a driver
//! does for its sake: it switches its receive offloads off.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// The program copes with frames in several buffers.
const HAS_FRAGS: u32 = 1 << 5;
/// In the driver itself, not in the stack behind it.
const DRIVER_MODE: u32 = 1 << 2;

/// `r0 = XDP_PASS; exit`, as the kernel reads instructions.
const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];

/// The kernel's `union bpf_attr` as `BPF_PROG_LOAD` reads it, up to the last field that is used.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

/// The same as `BPF_LINK_CREATE` reads it.
#[repr(C)]
struct Attach {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// The program stays in front of its interface until this is dropped.
pub struct Pass {
    _link: OwnedFd,
}

impl Pass {
    /// Puts the program in front of `interface`.
    pub fn attach(interface: &str) -> io::Result<Self> {
        let name = std::ffi::CString::new(interface)?;
        // SAFETY: `name` is NUL-terminated and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let load = Load {
            kind: TYPE_XDP,
            instructions: PASS.len() as u32,
            code: PASS.as_ptr() as u64,
            license: c"".as_ptr() as u64,
            flags: HAS_FRAGS,
            attach_type: ATTACH_XDP,
            ..Load::default()
        };
        let program = call(PROG_LOAD, &load)?;
        let attach = Attach {
            program: program.as_raw_fd() as u32,
            interface: index,
            attach_type: ATTACH_XDP,
            flags: DRIVER_MODE,
        };
        let link = call(LINK_CREATE, &attach)?;
        Ok(Pass { _link: link })
    }
}

fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    let size = size_of::<T>() as libc::c_long;
    // SAFETY: `attributes` is a live plain value of `size` bytes that the kernel only reads, and so is
    // what it points to: constants of this file.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size) };
    let fd = check(fd as isize)? as RawFd;
    // SAFETY: `fd` was just made by the kernel and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
