//! Owner, group and mode of a socket, resolved to numbers.

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
/// [`PlaceError::NoUser`].
pub fn owner(text: &str) -> Result<Uid, PlaceError> {
    let found = match number(text) {
        Some(number) => Some(Uid::from_raw(number)),
        None => User::from_name(text).ok().flatten().map(|user| user.uid),
    };
    found.ok_or_else(|| PlaceError::NoUser(text.to_owned()))
}

/// The group of that name or number.
///
/// # Errors
/// [`PlaceError::NoGroup`].
pub fn group(text: &str) -> Result<Gid, PlaceError> {
    let found = match number(text) {
        Some(number) => Some(Gid::from_raw(number)),
        None => Group::from_name(text).ok().flatten().map(|group| group.gid),
    };
    found.ok_or_else(|| PlaceError::NoGroup(text.to_owned()))
}

/// A numeric id. The highest one means "unchanged" to chown(2) and is nobody's.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| number != u32::MAX)
}
