//! A device that records what it is asked and answers as a test wants.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use vfio_user_server::wire::{
    Backing, DirtyBitmap, DirtyQuery, DmaMap, DmaUnmap, FeatureOperation, FeatureRequest, IoFd,
    IrqData, SetIrqs,
};
use vfio_user_server::{
    Answer, Body, Context, Deferred, Description, Device, Ended, Errno, Irq, IrqTable, Link,
    Mapping, MmapArea, Region, RegionRange,
};

use crate::client::{PATIENCE, memfd};

pub const BAR_RAM: u32 = 0;
pub const BAR_SPARSE: u32 = 1;
pub const BAR_MAPPED: u32 = 2;
pub const BAR_REGISTERS: u32 = 3;
pub const ROM: u32 = 6;
pub const CONFIG: u32 = 7;
pub const VGA_EMPTY: u32 = 8;

pub const INTX: u32 = 0;
pub const MSI_NONE: u32 = 1;
pub const MSIX: u32 = 2;
pub const ERR: u32 = 3;

/// A promise of any kind.
pub enum Promise {
    Done(Deferred<()>),
    Data(Deferred<Vec<u8>>),
}

impl Promise {
    pub fn done(self, result: Result<(), Errno>) {
        match self {
            Self::Done(deferred) => deferred.complete(result),
            Self::Data(_) => panic!("this request wants data"),
        }
    }

    pub fn data(self, result: Result<Vec<u8>, Errno>) {
        match self {
            Self::Data(deferred) => deferred.complete(result),
            Self::Done(_) => panic!("this request wants no data"),
        }
    }
}

#[derive(Default)]
pub struct State {
    /// One line for each call of the device.
    pub log: Vec<String>,
    /// What the next calls answer instead of success.
    pub refuse: VecDeque<Errno>,
    /// How many of the next calls are deferred.
    pub defer: usize,
    pub promises: Vec<Promise>,
    pub link: Option<Link>,
    pub ended: Vec<String>,
    pub irqs: IrqTable,
    pub io_fds: Vec<IoFd>,
    pub feature: Vec<u8>,
    pub state: Vec<u8>,
    /// How many descriptors the device holds.
    pub fds: Vec<std::os::fd::OwnedFd>,
}

/// The test's view of the device.
#[derive(Clone, Default)]
pub struct Handle(Arc<(Mutex<State>, Condvar)>);

impl Handle {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Waits until `found` finds something.
    pub fn wait<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        let (mutex, condition) = &*self.0;
        let mut result = None;
        let (state, timeout) = condition
            .wait_timeout_while(mutex.lock().unwrap(), PATIENCE, |state| {
                result = found(state);
                result.is_none()
            })
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "the device was never asked; it saw {:?}",
            state.log
        );
        drop(state);
        result.unwrap()
    }

    /// Waits for the oldest promise.
    pub fn promise(&self) -> Promise {
        self.wait(|state| (!state.promises.is_empty()).then(|| state.promises.remove(0)))
    }

    /// The calls so far.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().log)
    }
}

pub struct Model {
    handle: Handle,
    description: Arc<Description>,
    ram: Vec<u8>,
}

pub fn description() -> Description {
    let sparse = Mapping {
        fd: Arc::new(memfd(0x4000)),
        offset: 0,
        areas: vec![
            MmapArea {
                offset: 0x1000,
                size: 0x1000,
            },
            MmapArea {
                offset: 0x3000,
                size: 0x1000,
            },
        ],
    };
    let whole = Mapping {
        fd: Arc::new(memfd(0x9000)),
        offset: 0x1000,
        areas: Vec::new(),
    };
    let registers = Region {
        registers_only: true,
        ..Region::read_write(0x100)
    };
    Description::pci()
        .with_migration(true)
        .region(BAR_RAM, Region::read_write(2 << 20))
        .and_then(|it| it.region(BAR_SPARSE, Region::read_write(0x4000).mapped(sparse)))
        .and_then(|it| it.region(BAR_MAPPED, Region::read_write(0x8000).mapped(whole)))
        .and_then(|it| it.region(BAR_REGISTERS, registers))
        .and_then(|it| it.region(ROM, Region::read_only(0x800)))
        .and_then(|it| it.region(CONFIG, Region::read_write(0x100)))
        .and_then(|it| it.irq(INTX, Irq::intx()))
        .and_then(|it| {
            it.irq(
                MSIX,
                Irq {
                    noresize: true,
                    ..Irq::message_signalled(8)
                },
            )
        })
        .and_then(|it| it.irq(ERR, Irq::message_signalled(1)))
        .expect("a description that holds")
}

impl Model {
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            description: Arc::new(description()),
            ram: vec![0; 2 << 20],
        }
    }

    fn note(&self, line: String) {
        self.handle.lock().log.push(line);
        self.handle.0.1.notify_all();
    }

    fn answer<T: Body>(
        &self,
        cx: &mut Context<'_>,
        line: String,
        promise: fn(Deferred<T>) -> Promise,
        value: impl FnOnce() -> T,
    ) -> Answer<T> {
        let mut state = self.handle.lock();
        state.log.push(line);
        let answer = if let Some(errno) = state.refuse.pop_front() {
            Answer::err(errno)
        } else if state.defer > 0 {
            state.defer -= 1;
            let (deferred, answer) = cx.defer();
            state.promises.push(promise(deferred));
            answer
        } else {
            drop(state);
            Answer::ok(value())
        };
        self.handle.0.1.notify_all();
        answer
    }
}

impl Device for Model {
    fn describe(&self) -> Arc<Description> {
        Arc::clone(&self.description)
    }

    fn connected(&mut self, link: &Link) {
        self.handle.lock().link = Some(link.clone());
        self.handle.0.1.notify_all();
    }

    fn disconnected(&mut self, why: &Ended) {
        let mut state = self.handle.lock();
        state.irqs.clear();
        state.fds.clear();
        state.ended.push(format!("{why:?}"));
        self.handle.0.1.notify_all();
    }

    fn region_read(&mut self, cx: &mut Context<'_>, at: RegionRange) -> Answer<Vec<u8>> {
        let line = format!("read {} {:#x}+{}", at.region, at.offset, at.count);
        let from = (at.offset as usize) % self.ram.len();
        let data = self.ram[from..from + at.count as usize].to_vec();
        self.answer(cx, line, Promise::Data, || data)
    }

    fn region_write(&mut self, cx: &mut Context<'_>, at: RegionRange, data: &[u8]) -> Answer<()> {
        let from = at.offset as usize;
        self.ram[from..from + data.len()].copy_from_slice(data);
        let mut line = format!("write {} {:#x}", at.region, at.offset);
        if data.len() <= 8 {
            for byte in data {
                let _ = write!(line, " {byte:02x}");
            }
        } else {
            let _ = write!(line, " {} bytes", data.len());
        }
        self.answer(cx, line, Promise::Done, || ())
    }

    fn dma_map(&mut self, cx: &mut Context<'_>, map: DmaMap) -> Answer<()> {
        let (kind, fd) = match map.backing {
            Backing::Messages => ("messages", None),
            Backing::Mmap(fd) => ("mmap", Some(fd)),
            Backing::FileIo(fd) => ("file", Some(fd)),
        };
        self.handle.lock().fds.extend(fd);
        let access = match (map.readable, map.writable) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        };
        let line = format!(
            "map {:#x}+{:#x} @{:#x} {access} {kind}",
            map.address, map.size, map.offset
        );
        self.answer(cx, line, Promise::Done, || ())
    }

    fn dma_unmap(&mut self, cx: &mut Context<'_>, unmap: DmaUnmap) -> Answer<()> {
        let line = match unmap {
            DmaUnmap::Range { address, size } => format!("unmap {address:#x}+{size:#x}"),
            DmaUnmap::All => "unmap all".to_owned(),
        };
        self.answer(cx, line, Promise::Done, || ())
    }

    fn dma_unmap_dirty(
        &mut self,
        _cx: &mut Context<'_>,
        unmap: DmaUnmap,
        query: DirtyQuery,
    ) -> Answer<DirtyBitmap> {
        let mut state = self.handle.lock();
        state.log.push(format!("unmap dirty {unmap:?} {query:?}"));
        match state.refuse.pop_front() {
            Some(errno) => Answer::err(errno),
            None => Answer::ok(DirtyBitmap(vec![0x5a; query.bitmap_size as usize])),
        }
    }

    fn set_irqs(&mut self, cx: &mut Context<'_>, irqs: SetIrqs) -> Answer<()> {
        let data = match &irqs.data {
            IrqData::DisableAll => "disable all".to_owned(),
            IrqData::All => "all".to_owned(),
            IrqData::Where(bools) => format!("where {bools:?}"),
            IrqData::Connect(fds) => {
                assert!(fds.iter().all(|fd| fd.as_raw_fd() >= 0));
                format!("connect {}", fds.len())
            }
            IrqData::Disconnect => "disconnect".to_owned(),
        };
        let SetIrqs {
            index,
            start,
            count,
            action,
            ..
        } = irqs;
        let line = format!("irqs {index} {start}+{count} {action:?} {data}");
        self.handle.lock().irqs.apply(irqs).unwrap();
        self.answer(cx, line, Promise::Done, || ())
    }

    fn reset(&mut self, cx: &mut Context<'_>) -> Answer<()> {
        self.answer(cx, "reset".to_owned(), Promise::Done, || ())
    }

    fn region_io_fds(&mut self, _cx: &mut Context<'_>, region: u32) -> Answer<Vec<IoFd>> {
        self.note(format!("io fds {region}"));
        Answer::ok(self.handle.lock().io_fds.clone())
    }

    fn device_feature(&mut self, cx: &mut Context<'_>, request: FeatureRequest) -> Answer<Vec<u8>> {
        let FeatureRequest {
            feature,
            operation,
            data,
            max_data,
        } = request;
        let line = format!("feature {feature} {operation:?} {data:?} room {max_data}");
        let value = match operation {
            FeatureOperation::Set => data,
            FeatureOperation::Get | FeatureOperation::Probe { .. } => {
                self.handle.lock().feature.clone()
            }
        };
        self.answer(cx, line, Promise::Data, || value)
    }

    fn migration_read(&mut self, cx: &mut Context<'_>, size: u32) -> Answer<Vec<u8>> {
        let mut state = self.handle.lock();
        let count = state.state.len().min(size as usize);
        let data = state.state.drain(..count).collect();
        drop(state);
        self.answer(cx, format!("mig read {size}"), Promise::Data, || data)
    }

    fn migration_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Answer<()> {
        self.handle.lock().state.extend_from_slice(data);
        self.answer(
            cx,
            format!("mig write {}", data.len()),
            Promise::Done,
            || (),
        )
    }
}
