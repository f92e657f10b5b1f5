//! The D-Bus authentication of one peer, without I/O.
//!
//! The kernel has said who the peer is; the words exchanged here only have to agree. EXTERNAL is the
//! one mechanism. File descriptors are passed to the peer, not taken from it. A peer may say little, and in lines.

/// What to do after a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslStep {
    /// Send this and read on.
    Reply(String),
    /// Authentication is over; messages follow.
    Begin,
    /// The peer does not speak D-Bus: close.
    Refuse(&'static str),
}

/// One peer's progress.
#[derive(Clone, Debug)]
pub struct Sasl {
    uid: u32,
    guid: String,
    line: Vec<u8>,
    taken: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The single NUL that comes before everything.
    Nul,
    Auth,
    Data,
    Begin,
}

const REJECTED: &str = "REJECTED EXTERNAL\r\n";

impl Sasl {
    /// For a peer whose user the kernel says is `uid`; `guid` is the server's, 32 hexadecimal digits.
    pub fn new(uid: u32, guid: &str) -> Self {
        Self {
            uid,
            guid: guid.to_owned(),
            line: Vec::new(),
            taken: 0,
            state: State::Nul,
        }
    }

    /// Takes one byte; `None`: the line is not complete.
    ///
    /// One byte at a time, so that what follows BEGIN stays in the socket.
    pub fn feed(&mut self, byte: u8) -> Option<SaslStep> {
        self.taken += 1;
        if self.taken > crate::limits::MAX_SASL_BYTES {
            return Some(SaslStep::Refuse("too much before BEGIN"));
        }
        if self.state == State::Nul {
            self.state = State::Auth;
            return (byte != 0).then_some(SaslStep::Refuse("the first byte is not NUL"));
        }
        if byte != b'\n' {
            self.line.push(byte);
            return None;
        }
        let line = std::mem::take(&mut self.line);
        let Some(line) = line
            .strip_suffix(b"\r")
            .and_then(|line| str::from_utf8(line).ok())
        else {
            return Some(SaslStep::Refuse("a line is not text ending in CR LF"));
        };
        Some(self.command(line))
    }

    fn command(&mut self, line: &str) -> SaslStep {
        let mut words = line.split(' ');
        let command = words.next().unwrap_or_default();
        let argument = words.next();
        match (self.state, command) {
            (State::Auth, "AUTH") => match (argument, words.next()) {
                (Some("EXTERNAL"), Some(hex)) => self.identify(hex),
                (Some("EXTERNAL"), None) => {
                    self.state = State::Data;
                    SaslStep::Reply("DATA\r\n".to_owned())
                }
                _ => SaslStep::Reply(REJECTED.to_owned()),
            },
            (State::Data, "DATA") => self.identify(argument.unwrap_or_default()),
            (State::Begin, "BEGIN") => SaslStep::Begin,
            (State::Begin, "NEGOTIATE_UNIX_FD") => SaslStep::Reply("AGREE_UNIX_FD\r\n".to_owned()),
            (_, "CANCEL" | "ERROR") => {
                self.state = State::Auth;
                SaslStep::Reply(REJECTED.to_owned())
            }
            _ => SaslStep::Reply("ERROR \"unknown or misplaced command\"\r\n".to_owned()),
        }
    }

    /// `hex`: the user's number in decimal digits, each as two hexadecimal digits; empty: "as the kernel says".
    fn identify(&mut self, hex: &str) -> SaslStep {
        let expected: String = self
            .uid
            .to_string()
            .bytes()
            .map(|b| format!("{b:02x}"))
            .collect();
        if hex.is_empty() || hex.eq_ignore_ascii_case(&expected) {
            self.state = State::Begin;
            SaslStep::Reply(format!("OK {}\r\n", self.guid))
        } else {
            self.state = State::Auth;
            SaslStep::Reply(REJECTED.to_owned())
        }
    }
}
