//! A listening socket in the file system.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};

/// A UNIX socket that is removed when dropped, unless another has taken its place.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl Listener {
    /// Listens at `path`, readable and writable as `mode` says (for example `0o600`).
    ///
    /// A socket left behind by a process that is gone is replaced; one that is in use, or a file of
    /// another kind, is not. The socket gets its mode before it accepts.
    ///
    /// # Errors
    /// `AddrInUse` if somebody listens there, `AlreadyExists` for another kind of file, and what the
    /// system says.
    pub fn bind(path: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
        let path = path.as_ref();
        remove_stale(path)?;
        let fd = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        // The file is made with the mode that its socket has: it is never more open than asked for.
        fchmod(&fd, Mode::from_bits_truncate(mode))?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let metadata = fs::symlink_metadata(path)?;
        let inode = (metadata.dev(), metadata.ino());
        let listener = Self {
            listener: UnixListener::from(fd),
            path: path.to_owned(),
            inode,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        listen(&listener.listener, Backlog::MAXCONN)?;
        Ok(listener)
    }

    /// Waits for a client.
    ///
    /// # Errors
    /// What the system says.
    pub fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept()?.0)
    }

    /// The socket itself, for other event loops.
    pub fn socket(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} exists and is not a socket: choose another path",
                path.display()
            ),
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!(
                "another process listens on {}: stop it or choose another path",
                path.display()
            ),
        )),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
