//! A device that answers as the fuzzer wants, and checks what it is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use vfio_user_server::wire::{DirtyBitmap, DmaUnmap, IoFd, IoFdKind, IrqData};
use vfio_user_server::{Errno, RegionRange, Reply, Request, RequestKind, Session, Token};

use super::{MAX_XFER, any_fd, description};
use crate::input::Input;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Access,
    Unmap,
    Exclusive,
}

#[derive(Debug)]
enum Wants {
    Done,
    Map(u64),
    Unmap(u64),
    UnmapAll,
    Dirty(u64, usize),
    Data(usize),
    UpTo(usize),
    IoFds,
}

#[derive(Debug)]
struct Pending {
    token: Token,
    class: Class,
    wants: Wants,
}

#[derive(Default)]
pub struct Device {
    maps: BTreeMap<u64, u64>,
    pending: Vec<Pending>,
    last: Option<Token>,
}

fn in_region(at: RegionRange, write: bool) {
    let description = description();
    let region = &description.regions()[at.region as usize];
    assert!(if write {
        region.writable
    } else {
        region.readable
    });
    assert!(at.count > 0 && at.count <= MAX_XFER);
    assert!(at.offset.checked_add(u64::from(at.count)).unwrap() <= region.size);
    if region.registers_only {
        assert!(at.count.is_power_of_two() && at.count <= 8);
        assert!(at.offset.is_multiple_of(u64::from(at.count)));
    }
}

impl Device {
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes a request: answers it, or keeps it.
    pub fn serve(&mut self, input: &mut Input<'_>, session: &mut Session, request: Request) {
        let Request {
            token,
            kind,
            command,
        } = request;
        assert!(self.last < Some(token), "tokens are never reused");
        self.last = Some(token);
        let (class, wants) = self.check(kind);
        let class = match command {
            // Its writes count as what they came in.
            vfio_user_server::wire::Command::RegionWriteMulti => Class::Exclusive,
            _ => class,
        };
        let held = self.pending.iter().any(|other| match other.class {
            Class::Exclusive => true,
            Class::Unmap => class != Class::Unmap,
            Class::Access => false,
        });
        assert!(!held, "nothing is delivered behind what must finish first");
        self.pending.push(Pending {
            token,
            class,
            wants,
        });
        if input.below(4) != 3 {
            let index = self.pending.len() - 1;
            self.complete(index, input, session);
        }
    }

    fn check(&mut self, kind: RequestKind) -> (Class, Wants) {
        match kind {
            RequestKind::DmaMap(map) => {
                let end = map.address.checked_add(map.size - 1).expect("no overflow");
                assert!(map.address.is_multiple_of(4096) && map.size.is_multiple_of(4096));
                let overlap = self
                    .maps
                    .iter()
                    .any(|(&a, &s)| map.address <= a + (s - 1) && a <= end);
                assert!(!overlap, "maps never overlap");
                self.maps.insert(map.address, map.size);
                (Class::Exclusive, Wants::Map(map.address))
            }
            RequestKind::DmaUnmap(DmaUnmap::Range { address, size }, dirty) => {
                assert_eq!(
                    self.maps.get(&address),
                    Some(&size),
                    "only what is mapped is unmapped"
                );
                match dirty {
                    None => (Class::Unmap, Wants::Unmap(address)),
                    Some(query) => (
                        Class::Unmap,
                        Wants::Dirty(address, query.bitmap_size as usize),
                    ),
                }
            }
            RequestKind::DmaUnmap(DmaUnmap::All, dirty) => {
                assert!(dirty.is_none());
                (Class::Exclusive, Wants::UnmapAll)
            }
            RequestKind::RegionIoFds(region) => {
                assert!(description().regions()[region as usize].size > 0);
                (Class::Access, Wants::IoFds)
            }
            RequestKind::SetIrqs(irqs) => {
                let have = description().irqs()[irqs.index as usize].count;
                assert!(irqs.start.checked_add(irqs.count).unwrap() <= have);
                match irqs.data {
                    IrqData::DisableAll => assert_eq!((irqs.start, irqs.count), (0, 0)),
                    IrqData::Connect(fds) => assert_eq!(fds.len(), irqs.count as usize),
                    IrqData::Where(bools) => assert_eq!(bools.len(), irqs.count as usize),
                    IrqData::All | IrqData::Disconnect => assert!(irqs.count > 0),
                }
                (Class::Exclusive, Wants::Done)
            }
            RequestKind::RegionRead(at) => {
                in_region(at, false);
                (Class::Access, Wants::Data(at.count as usize))
            }
            RequestKind::RegionWrite(at, data) => {
                in_region(at, true);
                assert_eq!(data.len(), at.count as usize);
                (Class::Access, Wants::Done)
            }
            RequestKind::Reset => (Class::Exclusive, Wants::Done),
            RequestKind::Feature(feature) => {
                (Class::Exclusive, Wants::UpTo(feature.max_data as usize))
            }
            RequestKind::MigrationRead(size) => (Class::Exclusive, Wants::UpTo(size as usize)),
            RequestKind::MigrationWrite(_) => (Class::Exclusive, Wants::Done),
        }
    }

    /// Answers one of the kept requests.
    pub fn complete_one(&mut self, input: &mut Input<'_>, session: &mut Session) {
        if !self.pending.is_empty() {
            let index = input.below(self.pending.len());
            self.complete(index, input, session);
        }
    }

    /// Answers the oldest request with success; false if there is none.
    pub fn complete_oldest(&mut self, session: &mut Session) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        self.complete(0, &mut Input::new(&[]), session);
        true
    }

    fn complete(&mut self, index: usize, input: &mut Input<'_>, session: &mut Session) {
        let how = input.below(8);
        let under_way = self.pending.len();
        let Pending { token, wants, .. } = self.pending.remove(index);
        let result = match how {
            5 => Err(Errno::EBUSY),
            6 => Ok(wrong(&wants)),
            _ => Ok(right(&wants, input)),
        };
        match wants {
            Wants::Map(address) if result.is_err() => drop(self.maps.remove(&address)),
            Wants::Unmap(address) | Wants::Dirty(address, _) if result.is_ok() => {
                self.maps.remove(&address);
            }
            Wants::UnmapAll if result.is_ok() => self.maps.clear(),
            _ => {}
        }
        if cfg!(feature = "planted-bug") && under_way >= 3 && index == 1 {
            // Lost: of three requests under way the middle one is answered first.
            return;
        }
        session.complete(token, result);
        if how == 7 {
            // A second answer changes nothing.
            session.complete(token, Err(Errno::EIO));
        }
    }
}

fn right(wants: &Wants, input: &mut Input<'_>) -> Reply {
    match wants {
        Wants::Done | Wants::Map(_) | Wants::Unmap(_) | Wants::UnmapAll => Reply::Done,
        Wants::Dirty(_, size) => Reply::Dirty(DirtyBitmap(vec![1; *size])),
        Wants::Data(count) => Reply::Data(vec![2; *count]),
        Wants::UpTo(count) => Reply::Data(vec![3; (*count).min(input.below(64))]),
        Wants::IoFds => {
            let shared = Arc::new(any_fd());
            let entries = (0..input.below(12)).map(|n| IoFd {
                offset: 8 * n as u64,
                size: 4,
                fd: match n % 3 {
                    0 => Some(Arc::clone(&shared)),
                    1 => Some(Arc::new(any_fd())),
                    _ => None,
                },
                kind: if n % 2 == 0 {
                    IoFdKind::Ioeventfd {
                        flags: 0,
                        datamatch: 0,
                    }
                } else {
                    IoFdKind::Ioregionfd {
                        flags: 0,
                        user_data: 0,
                    }
                },
            });
            Reply::IoFds(entries.collect())
        }
    }
}

fn wrong(wants: &Wants) -> Reply {
    match wants {
        Wants::Data(count) => Reply::Data(vec![0; count + 1]),
        Wants::UpTo(count) => Reply::Data(vec![0; (count + 1).min(1 << 16)]),
        Wants::Dirty(_, size) => Reply::Dirty(DirtyBitmap(vec![1; size + 8])),
        Wants::IoFds => Reply::Done,
        _ => Reply::Data(vec![1]),
    }
}
