//! The trait that a device implements, and how it answers: now or later.

use std::sync::Arc;

use crate::describe::Description;
use crate::errno::Errno;
use crate::irq_table::IrqTable;
use crate::link::Link;
use crate::mailbox::{Deferred, Mailbox};
use crate::session::{Ended, Reply, Token};
use crate::wire::{DirtyBitmap, DirtyQuery, DmaMap, DmaUnmap, FeatureRequest, IoFd, SetIrqs};

/// A value that a request can be answered with. Implemented for what [`Device`] methods return.
pub trait Body: Send + Sized + private::Sealed {
    #[doc(hidden)]
    fn into_reply(self) -> Reply;
}

mod private {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for Vec<u8> {}
    impl Sealed for super::DirtyBitmap {}
    impl Sealed for Vec<super::IoFd> {}
}

impl Body for () {
    fn into_reply(self) -> Reply {
        Reply::Done
    }
}

impl Body for Vec<u8> {
    fn into_reply(self) -> Reply {
        Reply::Data(self)
    }
}

impl Body for DirtyBitmap {
    fn into_reply(self) -> Reply {
        Reply::Dirty(self)
    }
}

impl Body for Vec<IoFd> {
    fn into_reply(self) -> Reply {
        Reply::IoFds(self)
    }
}

/// The answer to a request: a result now, or the promise of one.
///
/// A promise exists only together with the [`Deferred`] that keeps it: see [`Context::defer`].
#[derive(Debug)]
#[must_use = "an answer that is not returned leaves the client waiting"]
pub struct Answer<T>(pub(crate) Timing<T>);

#[derive(Debug)]
pub(crate) enum Timing<T> {
    Now(Result<T, Errno>),
    Later,
}

impl<T> Answer<T> {
    /// The request succeeded with `value`.
    pub fn ok(value: T) -> Self {
        Self(Timing::Now(Ok(value)))
    }

    /// The request is refused with `errno`.
    pub fn err(errno: Errno) -> Self {
        Self(Timing::Now(Err(errno)))
    }

    /// A result that is known now.
    pub fn now(result: Result<T, Errno>) -> Self {
        Self(Timing::Now(result))
    }
}

impl<T> From<Result<T, Errno>> for Answer<T> {
    fn from(result: Result<T, Errno>) -> Self {
        Self::now(result)
    }
}

/// The request being handled. Gives the means to answer it later.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) token: Token,
    pub(crate) mailbox: &'a Arc<Mailbox>,
    pub(crate) link: &'a Link,
}

impl Context<'_> {
    /// Answers the request later, from any thread: keep the first half, return the second.
    ///
    /// Replies leave in the order of the requests, so everything behind this one waits for it.
    /// The client gives up after a few seconds (QEMU: 5) and must not be made to wait for itself:
    /// never make an answer depend on a DMA transfer through [`Link`].
    pub fn defer<T: Body>(&mut self) -> (Deferred<T>, Answer<T>) {
        (
            Deferred::new(self.token, Arc::clone(self.mailbox)),
            Answer(Timing::Later),
        )
    }

    /// The connection: DMA by messages and what was negotiated.
    pub fn link(&self) -> &Link {
        self.link
    }
}

/// Bytes of a region that an access names. Inside the region: the session has checked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionRange {
    /// Index of the region.
    pub region: u32,
    /// First byte.
    pub offset: u64,
    /// Bytes; at least 1 and at most the negotiated `max_data_xfer_size`.
    pub count: u32,
}

impl RegionRange {
    /// What a region whose content is `bytes` answers to a read here.
    pub fn read(self, bytes: &[u8]) -> Answer<Vec<u8>> {
        let found = self.within(bytes.len()).map(|range| bytes[range].to_vec());
        Answer::now(found.ok_or(Errno::EINVAL))
    }

    /// What it answers to a write of `data` here.
    pub fn write(self, bytes: &mut [u8], data: &[u8]) -> Answer<()> {
        match self.within(bytes.len()) {
            Some(range) if range.len() == data.len() => {
                bytes[range].copy_from_slice(data);
                Answer::ok(())
            }
            _ => Answer::err(Errno::EINVAL),
        }
    }

    /// It as a range of `size` bytes, inside of them.
    fn within(self, size: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.count).ok()?)?;
        (end <= size).then_some(start..end)
    }
}

/// A device served to one client at a time.
///
/// What it must say is what it is made of, how its regions are read and written, and what reset does.
/// The rest has defaults: of a device that reaches no guest memory, and whose interrupts, if it has any,
/// are in an [`IrqTable`].
///
/// Object safe. Methods are called one at a time and must be quick: the thread (or task) that calls
/// them also moves the bytes. What takes long is deferred.
///
/// Everything a method receives has been validated against the [`Description`], the negotiated
/// limits and the DMA table, so ranges do not overflow and maps do not overlap. What the session
/// cannot know is the device's to check: whether an fd can be mapped, whether a register exists.
///
/// While a DMA_MAP, DMA_UNMAP, SET_IRQS, RESET, DEVICE_FEATURE or MIG_DATA request is deferred, no
/// later request is delivered (except further DMA_UNMAPs behind a DMA_UNMAP). A deferred region
/// access or REGION_IO_FDS holds nothing back but the replies behind it.
pub trait Device: Send {
    /// What the device is made of. Asked once per connection, before [`Device::connected`].
    fn describe(&self) -> Arc<Description>;

    /// A client has connected; nothing has been negotiated yet. `link` works until `disconnected`.
    fn connected(&mut self, link: &Link) {
        let _ = link;
    }

    /// The client is gone: drop its maps, fds and pending work. Called exactly once for each
    /// `connected`, whatever ended the session. Clears [`Device::irqs`] by default.
    fn disconnected(&mut self, why: &Ended) {
        let _ = why;
        if let Some(irqs) = self.irqs() {
            irqs.clear();
        }
    }

    /// Where its interrupts go, for the defaults of [`Device::set_irqs`] and [`Device::disconnected`].
    fn irqs(&mut self) -> Option<&mut IrqTable> {
        None
    }

    /// REGION_READ: returns exactly `at.count` bytes.
    fn region_read(&mut self, cx: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>>;

    /// REGION_WRITE; `data` has `at.count` bytes. A REGION_WRITE_MULTI comes as one call per write, the
    /// next after the previous has been answered, up to the first that fails.
    fn region_write(&mut self, cx: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()>;

    /// DMA_MAP: the client shares memory. Without an fd it can be reached through [`Link`] only. By
    /// default the device does not want it: the map is dropped at once.
    fn dma_map(&mut self, cx: &mut Context<'_>, map: DmaMap) -> Answer<()> {
        let _ = (cx, map);
        Answer::ok(())
    }

    /// DMA_UNMAP of one map or of all. When this is answered the device must have let go of the
    /// memory, transfers in flight included. On an error the map stays. The default is for devices with
    /// the default [`Device::dma_map`], which hold nothing.
    fn dma_unmap(&mut self, cx: &mut Context<'_>, unmap: DmaUnmap) -> Answer<()> {
        let _ = (cx, unmap);
        Answer::ok(())
    }

    /// DMA_UNMAP that asks for the map's dirty pages. Unsupported by default.
    fn dma_unmap_dirty(
        &mut self,
        cx: &mut Context<'_>,
        unmap: DmaUnmap,
        query: DirtyQuery,
    ) -> Answer<DirtyBitmap> {
        let _ = (cx, unmap, query);
        Answer::err(Errno::EINVAL)
    }

    /// SET_IRQS in every form. By default [`Device::irqs`] applies it, or nobody can.
    fn set_irqs(&mut self, cx: &mut Context<'_>, irqs: SetIrqs) -> Answer<()> {
        let _ = cx;
        match self.irqs() {
            Some(table) => table.apply(irqs).into(),
            None => Answer::err(Errno::EINVAL),
        }
    }

    /// RESET: back to the state after power-on; maps and interrupt fds stay.
    fn reset(&mut self, cx: &mut Context<'_>) -> Answer<()>;

    /// GET_REGION_IO_FDS: what the client's kernel may signal without a message. None by default.
    fn region_io_fds(&mut self, cx: &mut Context<'_>, region: u32) -> Answer<Vec<IoFd>> {
        let _ = (cx, region);
        Answer::ok(Vec::new())
    }

    /// DEVICE_FEATURE. For a get, returns the feature's data; for a set, the data to echo (usually
    /// the request's); for a probe, anything. Unsupported by default, in VFIO's word `ENOTTY`.
    fn device_feature(&mut self, cx: &mut Context<'_>, request: FeatureRequest) -> Answer<Vec<u8>> {
        let _ = (cx, request);
        Answer::err(Errno::ENOTTY)
    }

    /// MIG_DATA_READ: at most `size` bytes of state; fewer means that the stream has ended.
    /// Unsupported by default.
    fn migration_read(&mut self, cx: &mut Context<'_>, size: u32) -> Answer<Vec<u8>> {
        let _ = (cx, size);
        Answer::err(Errno::EOPNOTSUPP)
    }

    /// MIG_DATA_WRITE: the next bytes of state. Unsupported by default.
    fn migration_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Answer<()> {
        let _ = (cx, data);
        Answer::err(Errno::EOPNOTSUPP)
    }
}
