//! A socket's place in the file system.
//!
//! A socket is bound under a temporary name, given its owner and mode, and appears under its own
//! name, listening, only when [`Place::open`] says so: whoever finds it can connect, and nobody can
//! before. A place removes what it made, and nothing else.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};

use super::access::Access;
use crate::limits::{MAX_SOCKET_PATH, SOCKET_BACKLOG};

/// Why a socket cannot be where it should.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Longer than the kernel takes.
    #[error(
        "its path {} has {length} bytes and a socket path at most {MAX_SOCKET_PATH}; use a shorter \
         name or a shorter runtime directory", path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Somebody listens there.
    #[error("another process listens at {}; stop it, or use another name or runtime directory", .0.display())]
    Live(PathBuf),
    /// Something that is not a socket is there.
    #[error("{} exists and is not a socket; move it away, or use another name", .0.display())]
    Foreign(PathBuf),
    /// No such user.
    #[error("there is no user '{0}' on this host; give a name or number that exists")]
    NoUser(String),
    /// No such group.
    #[error("there is no group '{0}' on this host; give a name or number that exists")]
    NoGroup(String),
    /// The system could not say whether there is such a user.
    #[error(
        "whether there is a user '{0}' could not be looked up: {1}; see to the host's account service, or give the number"
    )]
    UserLookup(String, Errno),
    /// The system could not say whether there is such a group.
    #[error(
        "whether there is a group '{0}' could not be looked up: {1}; see to the host's account service, or give the number"
    )]
    GroupLookup(String, Errno),
    /// Only root gives files away.
    #[error("the daemon may not give {} to another owner or group; run it as root or as a member of that group, or leave owner and group out", .0.display())]
    MayNotGive(PathBuf),
    /// Anything else of the file system.
    #[error("{what} {} failed: {error}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
}

impl PlaceError {
    /// The path is in use by somebody else.
    pub const fn is_taken(&self) -> bool {
        matches!(self, Self::Live(_) | Self::Foreign(_))
    }
}

/// A bound socket. Dropping it removes it.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// Where the socket is now: the temporary name or `path`.
    at: PathBuf,
    /// Device and inode of the socket: what we may remove.
    made: (u64, u64),
    socket: Option<OwnedFd>,
}

static TEMPORARY: AtomicU64 = AtomicU64::new(0);

impl Place {
    /// Binds a socket that will appear at `path`. A stale socket there is no obstacle.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing is left behind.
    pub fn prepare(path: &Path, access: Access) -> Result<Self, PlaceError> {
        let parent = path.parent().unwrap_or_else(|| Path::new("."));
        let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let at = parent.join(format!(".{number:x}.{:x}", std::process::id()));
        for path in [path, &at] {
            let length = path.as_os_str().len();
            if length > MAX_SOCKET_PATH {
                return Err(PlaceError::TooLong {
                    path: path.to_owned(),
                    length,
                });
            }
        }
        vacant(path)?;
        let io = |what| {
            let path = at.clone();
            move |error: Errno| PlaceError::Io {
                what,
                path,
                error: error.into(),
            }
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(io("creating the socket"))?;
        let address = UnixAddr::new(&at).map_err(io("addressing the socket"))?;
        // Left over by a process that had our pid and died.
        let _ = fs::remove_file(&at);
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &address)
            .map_err(io("binding the socket"))?;
        let made = match fs::symlink_metadata(&at) {
            Ok(meta) => (meta.dev(), meta.ino()),
            Err(error) => {
                return Err(PlaceError::Io {
                    what: "finding the socket",
                    path: at,
                    error,
                });
            }
        };
        let place = Self {
            path: path.to_owned(),
            at,
            made,
            socket: Some(socket),
        };
        place.grant(access)?;
        Ok(place)
    }

    fn grant(&self, access: Access) -> Result<(), PlaceError> {
        let io = |what| {
            let path = self.path.clone();
            move |error| PlaceError::Io { what, path, error }
        };
        // Mode first: a new owner must not find bits that were not chosen.
        fs::set_permissions(&self.at, Permissions::from_mode(access.mode))
            .map_err(io("setting the mode of"))?;
        if access.owner.is_none() && access.group.is_none() {
            return Ok(());
        }
        let (owner, group) = (
            access.owner.map(|u| u.as_raw()),
            access.group.map(|g| g.as_raw()),
        );
        lchown(&self.at, owner, group).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => PlaceError::MayNotGive(self.path.clone()),
            _ => io("changing the owner of")(error),
        })
    }

    /// Where clients find it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts to listen and appears at its path. Once only.
    ///
    /// # Errors
    /// The path was taken since [`Place::prepare`]; or a fault of the file system.
    pub fn open(&mut self) -> Result<UnixListener, PlaceError> {
        let io = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |error: Errno| PlaceError::Io {
                what,
                path,
                error: error.into(),
            }
        };
        let Some(socket) = self.socket.take() else {
            return Err(io("opening twice", &self.path)(Errno::EALREADY));
        };
        let backlog = Backlog::new(SOCKET_BACKLOG).map_err(io("listening at", &self.path))?;
        listen(&socket, backlog).map_err(io("listening at", &self.path))?;
        vacant(&self.path)?;
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(AT_FDCWD, &self.at, AT_FDCWD, &self.path, flags) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Err(PlaceError::Foreign(self.path.clone())),
            // A file system without that flag: the look just taken has to do.
            Err(Errno::EINVAL) => {
                fs::rename(&self.at, &self.path).map_err(|error| PlaceError::Io {
                    what: "renaming the socket to",
                    path: self.path.clone(),
                    error,
                })?;
            }
            Err(error) => return Err(io("renaming the socket to", &self.path)(error)),
        }
        self.at.clone_from(&self.path);
        Ok(UnixListener::from(socket))
    }

    /// Removes the socket if it is still ours.
    pub fn remove(&self) {
        if let Ok(meta) = fs::symlink_metadata(&self.at)
            && (meta.dev(), meta.ino()) == self.made
        {
            let _ = fs::remove_file(&self.at);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Makes sure that nothing is at `path`: a socket that nobody listens at is removed.
fn vacant(path: &Path) -> Result<(), PlaceError> {
    let io = |what| {
        move |error| PlaceError::Io {
            what,
            path: path.to_owned(),
            error,
        }
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io("looking at")(error)),
        Ok(meta) if !meta.file_type().is_socket() => Err(PlaceError::Foreign(path.to_owned())),
        Ok(_) if is_live(path).map_err(io("trying"))? => Err(PlaceError::Live(path.to_owned())),
        Ok(_) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io("removing the stale socket")(error))
            }
            _ => Ok(()),
        },
    }
}

/// Whether somebody listens at the socket `path`.
///
/// # Errors
/// It cannot be told.
pub(crate) fn is_live(path: &Path) -> io::Result<bool> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(path)?;
    match connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &address) {
        // EAGAIN: its backlog is full. EPROTOTYPE: it listens, for another type.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Ok(true),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
