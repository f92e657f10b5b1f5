//! Where other threads leave what the session's thread has to do: finished requests, DMA transfers to
//! start, the order to stop. Owns no I/O; wakes the transport through [`Wake`].

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::device::Body;
use crate::errno::Errno;
use crate::limits;
use crate::session::{Reply, Token};

/// Interrupts the transport's wait. Called from any thread, often; must not block.
pub trait Wake: Send + Sync + fmt::Debug {
    /// Makes the transport look at its endpoint soon.
    fn wake(&self);
}

pub(crate) type TransferDone = Box<dyn FnOnce(Result<Vec<u8>, Errno>) + Send>;

/// A DMA transfer asked for by the device.
pub(crate) struct Transfer {
    pub(crate) address: u64,
    pub(crate) kind: TransferKind,
    pub(crate) done: TransferDone,
}

pub(crate) enum TransferKind {
    Read(usize),
    Write(Vec<u8>),
}

impl TransferKind {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Read(length) => *length,
            Self::Write(data) => data.len(),
        }
    }
}

#[derive(Default)]
struct State {
    mail: Mail,
    pending: usize,
    pending_bytes: usize,
    signalled: bool,
    closed: bool,
}

/// Everything that has arrived since the last look.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) completions: Vec<(Token, Result<Reply, Errno>)>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) shutdown: bool,
}

pub(crate) struct Mailbox {
    state: Mutex<State>,
    wake: Box<dyn Wake>,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("wake", &self.wake)
            .finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(crate) fn new(wake: Box<dyn Wake>) -> Self {
        Self {
            state: Mutex::default(),
            wake,
        }
    }

    // A poisoned lock only says that some thread panicked while it held plain data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, mut state: MutexGuard<'_, State>) {
        let first = !std::mem::replace(&mut state.signalled, true);
        drop(state);
        if first {
            self.wake.wake();
        }
    }

    fn complete(&self, token: Token, result: Result<Reply, Errno>) {
        let mut state = self.lock();
        if !state.closed {
            state.mail.completions.push((token, result));
            self.post(state);
        }
    }

    pub(crate) fn transfer(&self, transfer: Transfer) -> Result<(), Errno> {
        let length = transfer.kind.len();
        if length > limits::MAX_DMA_TRANSFER {
            return Err(Errno::EMSGSIZE);
        }
        let mut state = self.lock();
        if state.closed {
            return Err(Errno::ENOTCONN);
        }
        if state.pending >= limits::MAX_DMA_PENDING
            || state.pending_bytes + length > limits::MAX_DMA_PENDING_BYTES
        {
            return Err(Errno::ENOBUFS);
        }
        state.pending += 1;
        state.pending_bytes += length;
        state.mail.transfers.push(transfer);
        self.post(state);
        Ok(())
    }

    /// Gives back the room that a transfer of `length` bytes took.
    pub(crate) fn transfer_over(&self, length: usize) {
        let mut state = self.lock();
        state.pending = state.pending.saturating_sub(1);
        state.pending_bytes = state.pending_bytes.saturating_sub(length);
    }

    pub(crate) fn shutdown(&self) {
        let mut state = self.lock();
        state.mail.shutdown = true;
        self.post(state);
    }

    pub(crate) fn take(&self) -> Mail {
        let mut state = self.lock();
        state.signalled = false;
        let shutdown = state.mail.shutdown;
        let mail = std::mem::take(&mut state.mail);
        state.mail.shutdown = shutdown;
        mail
    }

    /// Refuses everything from now on and returns what is left.
    pub(crate) fn close(&self) -> Mail {
        self.lock().closed = true;
        self.take()
    }
}

/// Completes requests by token from any thread. What [`Deferred`] is made of, for those who drive a
/// [`crate::Session`] through an [`crate::Endpoint`] and keep tokens themselves.
#[derive(Clone, Debug)]
pub struct Completer(Arc<Mailbox>);

impl Completer {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self(mailbox)
    }

    /// Answers the request of `token`. An unknown or already answered token is ignored.
    pub fn complete(&self, token: Token, result: Result<Reply, Errno>) {
        self.0.complete(token, result);
    }
}

/// The duty to answer one request, from any thread. Dropped unanswered, it answers `EIO`: a request
/// is never forgotten. After the client has gone, answering does nothing.
#[must_use = "dropping it answers EIO"]
pub struct Deferred<T: Body> {
    token: Token,
    mailbox: Option<Arc<Mailbox>>,
    body: PhantomData<fn(T)>,
}

impl<T: Body> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

impl<T: Body> Deferred<T> {
    pub(crate) fn new(token: Token, mailbox: Arc<Mailbox>) -> Self {
        Self {
            token,
            mailbox: Some(mailbox),
            body: PhantomData,
        }
    }

    /// Answers the request.
    pub fn complete(mut self, result: Result<T, Errno>) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.complete(self.token, result.map(T::into_reply));
        }
    }
}

impl<T: Body> Drop for Deferred<T> {
    fn drop(&mut self) {
        if let Some(mailbox) = self.mailbox.take() {
            mailbox.complete(self.token, Err(Errno::EIO));
        }
    }
}

/// Ends a connection from any thread. The device's `disconnected` hook runs as usual.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Mailbox>);

impl Shutdown {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self(mailbox)
    }

    /// Asks the transport to end the connection. Replies not yet sent are lost.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }
}
