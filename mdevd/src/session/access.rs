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
        let user = |text: &String| match text.parse::<u32>() {
            Ok(number) => Ok(Uid::from_raw(number)),
            Err(_) => match User::from_name(text) {
                Ok(Some(user)) => Ok(user.uid),
                _ => Err(PlaceError::NoUser(text.clone())),
            },
        };
        let group = |text: &String| match text.parse::<u32>() {
            Ok(number) => Ok(Gid::from_raw(number)),
            Err(_) => match Group::from_name(text) {
                Ok(Some(group)) => Ok(group.gid),
                _ => Err(PlaceError::NoGroup(text.clone())),
            },
        };
        Ok(Self {
            owner: access.owner.as_ref().map(user).transpose()?,
            group: access.group.as_ref().map(group).transpose()?,
            mode: access.mode,
        })
    }
}
