//! Owner, group and mode of a socket, resolved to numbers.

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

use super::place::PlaceError;
use crate::engine::SocketAccess;

/// Who may connect, in the kernel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Owner; `None`: the daemon's.
    pub owner: Option<Uid>,
    /// Group; `None`: the daemon's.
    pub group: Option<Gid>,
    /// Permission bits.
    pub mode: u32,
}

impl Access {
    /// Looks the names up.
    ///
    /// # Errors
    /// [`PlaceError::NoUser`], [`PlaceError::NoGroup`].
    pub fn resolve(access: &SocketAccess) -> Result<Self, PlaceError> {
        Ok(Self {
            owner: access.owner.as_deref().map(owner).transpose()?,
            group: access.group.as_deref().map(group).transpose()?,
            mode: access.mode,
        })
    }
}

/// The user of that name or number.
///
/// # Errors
/// [`PlaceError::NoUser`]; [`PlaceError::UserLookup`] when the system could not say.
pub fn owner(text: &str) -> Result<Uid, PlaceError> {
    if let Some(number) = number(text) {
        return Ok(Uid::from_raw(number));
    }
    // getpwnam(3): these errors, too, mean that there is none.
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid),
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => {
            Err(PlaceError::NoUser(text.to_owned()))
        }
        Err(errno) => Err(PlaceError::UserLookup(text.to_owned(), errno)),
    }
}

/// The group of that name or number.
///
/// # Errors
/// [`PlaceError::NoGroup`]; [`PlaceError::GroupLookup`] when the system could not say.
pub fn group(text: &str) -> Result<Gid, PlaceError> {
    if let Some(number) = number(text) {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => {
            Err(PlaceError::NoGroup(text.to_owned()))
        }
        Err(errno) => Err(PlaceError::GroupLookup(text.to_owned(), errno)),
    }
}

/// A numeric id. The highest one means "unchanged" to chown(2) and is nobody's.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| number != u32::MAX)
}
