//! A session joined with a device: everything but the I/O. Transports are made of this.

use std::collections::HashMap;
use std::sync::Arc;

use crate::device::{Answer, Body, Context, Device, Timing};
use crate::errno::Errno;
use crate::link::Link;
use crate::mailbox::{Completer, Mailbox, Shutdown, Transfer, TransferDone, TransferKind, Wake};
use crate::observer::Observer;
use crate::session::{
    Chunk, Config, DmaDone, DmaId, Ended, Output, Reply, Request, RequestKind, Session, Token,
    Violation,
};

/// Serves one connection of `device` without doing I/O.
///
/// Calls [`Device::connected`] when made and [`Device::disconnected`] exactly once: in
/// [`Endpoint::finish`], or with [`Ended::Dropped`] when dropped before.
#[derive(Debug)]
pub struct Endpoint<'d, D: Device + ?Sized> {
    session: Session,
    device: &'d mut D,
    mailbox: Arc<Mailbox>,
    link: Link,
    transfers: HashMap<DmaId, (usize, DoneDebug)>,
    shutdown: bool,
    finished: bool,
}

struct DoneDebug(TransferDone);

impl std::fmt::Debug for DoneDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TransferDone")
    }
}

impl<'d, D: Device + ?Sized> Endpoint<'d, D> {
    /// A client has connected. `wake` makes the caller call [`Endpoint::pump`].
    pub fn new(device: &'d mut D, config: Config, observer: Observer, wake: Box<dyn Wake>) -> Self {
        let mailbox = Arc::new(Mailbox::new(wake));
        let link = Link::new(Arc::clone(&mailbox));
        let session = Session::new(config, device.describe(), observer);
        device.connected(&link);
        Self {
            session,
            device,
            mailbox,
            link,
            transfers: HashMap::new(),
            shutdown: false,
            finished: false,
        }
    }

    /// Feeds what one `recvmsg` returned, and serves what it completes.
    pub fn receive(&mut self, chunk: Chunk<'_>) {
        self.session.receive(chunk);
        self.pump();
    }

    /// Serves everything that can be served: requests, completions, DMA transfers. Call it when woken.
    pub fn pump(&mut self) {
        loop {
            let mail = self.mailbox.take();
            self.shutdown |= mail.shutdown;
            let mut idle = mail.completions.is_empty() && mail.transfers.is_empty();
            for (token, result) in mail.completions {
                self.session.complete(token, result);
            }
            for transfer in mail.transfers {
                self.start(transfer);
            }
            while let Some(request) = self.session.next_request() {
                idle = false;
                self.publish_negotiated();
                self.serve(request);
            }
            self.publish_negotiated();
            while let Some(done) = self.session.next_dma_done() {
                idle = false;
                self.transfer_done(done);
            }
            if idle {
                return;
            }
        }
    }

    /// Whether more may be read from the client.
    pub fn wants_input(&self) -> bool {
        !self.shutdown && self.session.wants_input()
    }

    /// The next bytes to send, if any.
    pub fn output(&self) -> Option<Output<'_>> {
        self.session.output()
    }

    /// Says that `count` bytes of [`Endpoint::output`] were sent, with all of its descriptors.
    pub fn sent(&mut self, count: usize) {
        self.session.sent(count);
        self.pump();
    }

    /// Set when the connection must be closed: a violation whose reply has been sent, or a shutdown.
    pub fn ended(&self) -> Option<Ended> {
        if self.shutdown {
            return Some(Ended::Shutdown);
        }
        self.session
            .ended()
            .map(|violation: &Violation| Ended::Violation(violation.clone()))
    }

    /// Ends the connection: fails what is under way and tells the device.
    pub fn finish(mut self, why: Ended) -> Ended {
        self.end(&why);
        why
    }

    /// The protocol state, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The connection's handle, as the device has it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Completes requests by token.
    pub fn completer(&self) -> Completer {
        Completer::new(Arc::clone(&self.mailbox))
    }

    /// Ends the connection from any thread.
    pub fn shutdown_handle(&self) -> Shutdown {
        Shutdown::new(Arc::clone(&self.mailbox))
    }

    fn end(&mut self, why: &Ended) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let mail = self.mailbox.close();
        for transfer in mail.transfers {
            (transfer.done)(Err(Errno::ENOTCONN));
        }
        for (_, (_, DoneDebug(done))) in self.transfers.drain() {
            done(Err(Errno::ENOTCONN));
        }
        self.device.disconnected(why);
    }

    fn start(&mut self, transfer: Transfer) {
        let Transfer {
            address,
            kind,
            done,
        } = transfer;
        let length = kind.len();
        let started = match kind {
            TransferKind::Read(length) => self.session.dma_read(address, length),
            TransferKind::Write(data) => self.session.dma_write(address, data),
        };
        match started {
            Ok(id) => {
                self.transfers.insert(id, (length, DoneDebug(done)));
            }
            Err(errno) => {
                self.mailbox.transfer_over(length);
                done(Err(errno));
            }
        }
    }

    fn transfer_done(&mut self, done: DmaDone) {
        if let Some((length, DoneDebug(callback))) = self.transfers.remove(&done.id) {
            self.mailbox.transfer_over(length);
            callback(done.result);
        }
    }

    fn publish_negotiated(&self) {
        if self.link.negotiated().is_none()
            && let Some(negotiated) = self.session.negotiated()
        {
            self.link.set_negotiated(*negotiated);
        }
    }

    fn serve(&mut self, request: Request) {
        let token = request.token;
        let answer = self.ask(request);
        if let Some(result) = answer {
            self.session.complete(token, result);
        }
    }

    fn ask(&mut self, request: Request) -> Option<Result<Reply, Errno>> {
        let token: Token = request.token;
        let device = &mut *self.device;
        let cx = &mut Context {
            token,
            mailbox: &self.mailbox,
            link: &self.link,
        };
        match request.kind {
            RequestKind::DmaMap(map) => settle(device.dma_map(cx, map)),
            RequestKind::DmaUnmap(unmap, None) => settle(device.dma_unmap(cx, unmap)),
            RequestKind::DmaUnmap(unmap, Some(query)) => {
                settle(device.dma_unmap_dirty(cx, unmap, query))
            }
            RequestKind::RegionIoFds(region) => settle(device.region_io_fds(cx, region)),
            RequestKind::SetIrqs(irqs) => settle(device.set_irqs(cx, irqs)),
            RequestKind::RegionRead(at) => settle(device.region_read(cx, at)),
            RequestKind::RegionWrite(at, data) => settle(device.region_write(cx, at, &data)),
            RequestKind::Reset => settle(device.reset(cx)),
            RequestKind::Feature(feature) => settle(device.device_feature(cx, feature)),
            RequestKind::MigrationRead(size) => settle(device.migration_read(cx, size)),
            RequestKind::MigrationWrite(data) => settle(device.migration_write(cx, &data)),
        }
    }
}

fn settle<T: Body>(answer: Answer<T>) -> Option<Result<Reply, Errno>> {
    match answer.0 {
        Timing::Now(result) => Some(result.map(T::into_reply)),
        Timing::Later => None,
    }
}

impl<D: Device + ?Sized> Drop for Endpoint<'_, D> {
    fn drop(&mut self) {
        self.end(&Ended::Dropped);
    }
}

#[cfg(test)]
mod tests;
