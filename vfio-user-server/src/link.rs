//! The device's side of a connection: DMA by messages, and what was negotiated.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::errno::Errno;
use crate::mailbox::{Mailbox, Shutdown, Transfer, TransferKind};
use crate::session::Negotiated;

/// A handle to one connection, for any thread.
///
/// DMA by messages is for memory that came without an fd. A transfer is cut into messages of at most
/// [`crate::limits::MAX_DMA_CHUNK`] bytes that the client answers when it gets to it. Never make the
/// answer to a request depend on a transfer: while QEMU waits for that answer it serves no DMA.
///
/// Transfers of one connection run in the order in which they were started; several are under way at
/// once, so a read may overtake the effect of a write before it.
#[derive(Clone, Debug)]
pub struct Link {
    mailbox: Arc<Mailbox>,
    negotiated: Arc<OnceLock<Negotiated>>,
}

impl Link {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            negotiated: Arc::default(),
        }
    }

    pub(crate) fn set_negotiated(&self, negotiated: Negotiated) {
        let _ = self.negotiated.set(negotiated);
    }

    /// What was negotiated; `None` until it was.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.get()
    }

    /// Reads client memory; `done` runs once on the transport's thread and must be quick.
    ///
    /// # Errors
    /// `EMSGSIZE` above [`crate::limits::MAX_DMA_TRANSFER`], `ENOBUFS` with too many transfers under
    /// way, `ENOTCONN` after the connection; `done` is then dropped. What is found later, such as
    /// `EFAULT` for an unmapped address, reaches `done`.
    pub fn dma_read(
        &self,
        address: u64,
        length: usize,
        done: impl FnOnce(Result<Vec<u8>, Errno>) + Send + 'static,
    ) -> Result<(), Errno> {
        let kind = TransferKind::Read(length);
        self.mailbox.transfer(Transfer {
            address,
            kind,
            done: Box::new(done),
        })
    }

    /// Writes client memory; `done` runs once on the transport's thread and must be quick.
    ///
    /// # Errors
    /// As for [`Link::dma_read`].
    pub fn dma_write(
        &self,
        address: u64,
        data: Vec<u8>,
        done: impl FnOnce(Result<(), Errno>) + Send + 'static,
    ) -> Result<(), Errno> {
        let kind = TransferKind::Write(data);
        let done = Box::new(move |result: Result<Vec<u8>, Errno>| done(result.map(drop)));
        self.mailbox.transfer(Transfer {
            address,
            kind,
            done,
        })
    }

    /// [`Link::dma_read`] as a future for any executor. Starts at once; dropping it does not stop it.
    pub fn read(&self, address: u64, length: usize) -> DmaFuture<Vec<u8>> {
        let (future, done) = DmaFuture::new();
        if let Err(errno) = self.dma_read(address, length, done) {
            future.set(Err(errno));
        }
        future
    }

    /// [`Link::dma_write`] as a future for any executor. Starts at once; dropping it does not stop it.
    pub fn write(&self, address: u64, data: Vec<u8>) -> DmaFuture<()> {
        let (future, done) = DmaFuture::new();
        if let Err(errno) = self.dma_write(address, data, done) {
            future.set(Err(errno));
        }
        future
    }

    /// A handle that ends this connection.
    pub fn shutdown_handle(&self) -> Shutdown {
        Shutdown::new(Arc::clone(&self.mailbox))
    }
}

#[derive(Debug)]
struct Slot<T> {
    result: Option<Result<T, Errno>>,
    waker: Option<Waker>,
}

/// Resolves when a DMA transfer is over.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct DmaFuture<T>(Arc<Mutex<Slot<T>>>);

impl<T: Send + 'static> DmaFuture<T> {
    fn new() -> (Self, impl FnOnce(Result<T, Errno>) + Send + 'static) {
        let future = Self(Arc::new(Mutex::new(Slot {
            result: None,
            waker: None,
        })));
        let other = Self(Arc::clone(&future.0));
        (future, move |result| other.set(result))
    }

    fn set(&self, result: Result<T, Errno>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.result = Some(result);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for DmaFuture<T> {
    type Output = Result<T, Errno>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
