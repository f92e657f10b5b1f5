//! Error numbers that go onto the wire.

use std::fmt;
use std::num::NonZeroI32;

/// A UNIX error number, never zero.
///
/// A reply with the error flag and number 0 counts as success for QEMU, so zero cannot be expressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(NonZeroI32);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Errno {
            $(
                $(#[$doc])*
                pub const $name: Self = match NonZeroI32::new(libc::$name) {
                    Some(number) => Self(number),
                    None => panic!("errno constants are not zero"),
                };
            )*
        }

        impl fmt::Debug for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0.get() {
                    $(libc::$name => f.write_str(stringify!($name)),)*
                    other => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM,
    /// No such entry.
    ENOENT,
    /// Input/output error.
    EIO,
    /// Try again.
    EAGAIN,
    /// Out of memory.
    ENOMEM,
    /// Permission denied.
    EACCES,
    /// Bad address.
    EFAULT,
    /// Device or resource busy.
    EBUSY,
    /// Already exists.
    EEXIST,
    /// No such device.
    ENODEV,
    /// Invalid argument.
    EINVAL,
    /// Too many open files.
    EMFILE,
    /// Not supported by this kind of object; what VFIO says of an unknown device feature.
    ENOTTY,
    /// No space left.
    ENOSPC,
    /// Out of range.
    ERANGE,
    /// Protocol error.
    EPROTO,
    /// Value too large.
    EOVERFLOW,
    /// Message too long.
    EMSGSIZE,
    /// Operation not supported.
    EOPNOTSUPP,
    /// No buffer space.
    ENOBUFS,
    /// Not connected.
    ENOTCONN,
    /// Timed out.
    ETIMEDOUT,
    /// Shut down.
    ESHUTDOWN,
    /// Cancelled.
    ECANCELED,
}

impl Errno {
    /// The error number `raw`, or `EIO` if `raw` is not a positive number.
    pub fn from_raw(raw: i32) -> Self {
        match NonZeroI32::new(raw) {
            Some(number) if raw > 0 => Self(number),
            _ => Self::EIO,
        }
    }

    /// The number as it goes onto the wire.
    pub fn raw(self) -> u32 {
        self.0.get().unsigned_abs()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&std::io::Error::from_raw_os_error(self.0.get()), f)
    }
}

impl std::error::Error for Errno {}

impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        error.raw_os_error().map_or(Self::EIO, Self::from_raw)
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(error: nix::errno::Errno) -> Self {
        Self::from_raw(error as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_negative_numbers_become_eio() {
        assert_eq!(Errno::from_raw(0), Errno::EIO);
        assert_eq!(Errno::from_raw(-22), Errno::EIO);
        assert_eq!(Errno::from(std::io::Error::other("no number")), Errno::EIO);
    }

    #[test]
    fn known_numbers_print_their_name() {
        assert_eq!(format!("{:?}", Errno::EINVAL), "EINVAL");
        assert_eq!(format!("{:?}", Errno::from_raw(4000)), "errno 4000");
        assert_eq!(Errno::EINVAL.raw(), 22);
    }
}
