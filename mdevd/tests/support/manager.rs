//! A service manager's end of the notification socket.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    pub fn new(dir: &Path) -> Self {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a deadline");
        Self { socket, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is said next.
    pub fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self
            .socket
            .recv(&mut buffer)
            .expect("something is said in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// What has been said, if anything.
    pub fn told(&self) -> Option<String> {
        self.socket.set_nonblocking(true).expect("set");
        let mut buffer = [0; 4096];
        let said = self.socket.recv(&mut buffer).ok();
        self.socket.set_nonblocking(false).expect("set");
        said.map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Passes over everything until something that begins so.
    pub fn until_start(&self, start: &str) -> String {
        loop {
            let said = self.next();
            if said.starts_with(start) {
                return said;
            }
        }
    }

    /// Passes over everything until exactly this.
    pub fn until(&self, text: &str) {
        while self.next() != text {}
    }
}
