use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use proptest::prelude::*;

use super::*;

const PAGE: u64 = 4096;

fn memfd(pages: u64) -> OwnedFd {
    let fd = memfd_create(c"mem-test", MFdFlags::MFD_CLOEXEC).unwrap();
    nix::unistd::ftruncate(&fd, (pages * PAGE) as i64).unwrap();
    fd
}

fn request(iova: u64, size: u64, fd: Option<OwnedFd>, fd_offset: u64) -> MapRequest {
    MapRequest {
        iova,
        size,
        fd,
        fd_offset,
        read: true,
        write: true,
    }
}

fn read(regions: &Regions, address: u64, len: u64) -> Result<Vec<u8>, TranslateError> {
    let mut all = Vec::new();
    regions.readable(address, len, |piece| {
        let start = all.len();
        all.resize(start + piece.len(), 0);
        piece.read(&mut all[start..]);
        true
    })?;
    Ok(all)
}

/// A file whose page `n` is filled with byte `n`.
fn patterned(pages: u64) -> OwnedFd {
    let fd = memfd(pages);
    let file = std::fs::File::from(fd.try_clone().unwrap());
    for page in 0..pages {
        file.write_all_at(&[page as u8; PAGE as usize], page * PAGE)
            .unwrap();
    }
    fd
}

#[derive(Clone, Debug)]
enum Op {
    Map {
        page: u64,
        pages: u64,
        file_page: u64,
        with_fd: bool,
    },
    Unmap {
        page: u64,
        pages: u64,
    },
    Read {
        at: u64,
        len: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let span = (0u64..64, 1u64..6);
    prop_oneof![
        4 => (span.clone(), 0u64..58, prop::bool::weighted(0.9)).prop_map(
            |((page, pages), file_page, with_fd)| Op::Map { page, pages, file_page, with_fd }
        ),
        3 => span.prop_map(|(page, pages)| Op::Unmap { page, pages }),
        4 => (0u64..70 * PAGE, 0u64..3 * PAGE).prop_map(|(at, len)| Op::Read { at, len }),
    ]
}

proptest! {
    #[test]
    fn maps_behave_as_a_table_of_pages(ops in prop::collection::vec(op(), 1..120)) {
        let file = patterned(64);
        let memory = GuestMemory::default();
        // Page -> page of the file, or none without one; beside it the maps as they were made.
        let mut model: HashMap<u64, Option<u64>> = HashMap::new();
        let mut maps: Vec<(u64, u64)> = Vec::new();
        for op in ops {
            match op {
                Op::Map { page, pages, file_page, with_fd } => {
                    let fd = with_fd.then(|| file.try_clone().unwrap());
                    let free = (page..page + pages).all(|p| !model.contains_key(&p));
                    let done = memory.map(request(page * PAGE, pages * PAGE, fd, file_page * PAGE));
                    prop_assert_eq!(done.is_ok(), free, "{:?}", done);
                    if free {
                        maps.push((page, pages));
                        for n in 0..pages {
                            model.insert(page + n, with_fd.then_some(file_page + n));
                        }
                    }
                }
                Op::Unmap { page, pages } => {
                    let known = maps.iter().position(|m| *m == (page, pages));
                    let done = memory.unmap(page * PAGE, pages * PAGE);
                    prop_assert_eq!(done.is_ok(), known.is_some());
                    if let Some(known) = known {
                        maps.remove(known);
                        (page..page + pages).for_each(|p| { model.remove(&p); });
                    }
                }
                Op::Read { at, len } => {
                    let want: Option<Vec<u8>> = (at..at + len)
                        .map(|a| model.get(&(a / PAGE)).copied().flatten().map(|p| p as u8))
                        .collect();
                    prop_assert_eq!(read(&memory.load(), at, len).ok(), want);
                }
            }
            let regions = memory.load();
            prop_assert_eq!(regions.count(), maps.len());
            prop_assert_eq!(regions.bytes(), maps.iter().map(|m| m.1 * PAGE).sum::<u64>());
        }
    }
}

#[test]
fn nodes_split_and_empty_with_many_maps() {
    let file = memfd(4000);
    let memory = GuestMemory::default();
    let order: Vec<u64> = (0..4000).map(|n| n * 1337 % 4000).collect();
    for n in &order {
        memory
            .map(request(
                n * 2 * PAGE,
                PAGE,
                Some(file.try_clone().unwrap()),
                n * PAGE,
            ))
            .unwrap();
    }
    assert_eq!(memory.load().count(), 4000);
    for n in &order {
        assert!(read(&memory.load(), n * 2 * PAGE, PAGE).is_ok());
        assert!(read(&memory.load(), n * 2 * PAGE + 1, PAGE).is_err());
        memory.unmap(n * 2 * PAGE, PAGE).unwrap();
    }
    assert_eq!(memory.load().count(), 0);
}

#[test]
fn one_file_is_mapped_once() {
    let file = memfd(1000);
    let memory = GuestMemory::default();
    let maps = || {
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .matches("mem-test")
            .count()
    };
    let before = maps();
    for n in 0..500 {
        memory
            .map(request(
                n * PAGE * 3,
                PAGE,
                Some(file.try_clone().unwrap()),
                n * PAGE,
            ))
            .unwrap();
    }
    assert!(
        maps() <= before + 1 + 4,
        "other tests may hold a few, not hundreds"
    );
}

#[test]
fn refusals_say_what_and_why() {
    let memory = GuestMemory::default();
    let told = |request| memory.map(request).unwrap_err().to_string();
    assert!(told(request(0, 0, None, 0)).contains("empty"));
    assert!(told(request(u64::MAX, 2, None, 0)).contains("wraps"));
    let past = told(request(0, 2 * PAGE, Some(memfd(1)), 0));
    assert!(past.contains("beyond the end"), "{past}");
    let disk = tempfile::tempfile_in("/var/tmp").unwrap();
    disk.set_len(PAGE).unwrap();
    // Where /var/tmp is memory itself there is nothing to refuse.
    if nix::sys::statfs::fstatfs(&disk).unwrap().filesystem_type() != nix::sys::statfs::TMPFS_MAGIC
    {
        let kind = told(request(0, PAGE, Some(disk.into()), 0));
        assert!(kind.contains("share=on"), "{kind}");
    }
    let pipe = nix::unistd::pipe().unwrap().0;
    assert!(memory.map(request(0, PAGE, Some(pipe), 0)).is_err());
    memory.map(request(0, PAGE, None, 0)).unwrap();
    let overlap = told(request(PAGE - 1, 1, None, 0));
    assert!(overlap.contains("overlaps"), "{overlap}");
    assert_eq!(read(&memory.load(), 0, 1), Err(TranslateError::NoFile(0)));
}

#[test]
fn read_only_maps_are_not_written() {
    let memory = GuestMemory::default();
    let read_only = MapRequest {
        write: false,
        ..request(0, PAGE, Some(memfd(1)), 0)
    };
    memory.map(read_only).unwrap();
    let regions = memory.load();
    assert!(read(&regions, 0, PAGE).is_ok());
    let refused = regions.writable(8, 8, |_| true);
    assert_eq!(refused, Err(TranslateError::Forbidden(8)));
}

#[test]
fn the_table_of_maps_is_bounded() {
    let memory = GuestMemory::default();
    for n in 0..crate::limits::MAX_DMA_MAPS as u64 {
        memory.map(request(n * PAGE, PAGE, None, 0)).unwrap();
    }
    let one_more = memory.map(request(1 << 50, PAGE, None, 0));
    assert_eq!(one_more, Err(MapError::Full));
    memory.unmap(0, PAGE).unwrap();
    memory.map(request(1 << 50, PAGE, None, 0)).unwrap();
    let huge = GuestMemory::default();
    assert_eq!(
        huge.map(request(0, crate::limits::MAX_MAPPED_BYTES + 1, None, 0)),
        Err(MapError::Full)
    );
}

#[test]
fn a_device_holds_few_files_however_many_maps_it_makes() {
    let memory = GuestMemory::default();
    let files = crate::limits::MAX_DEVICE_FILES as u64;
    for n in 0..files {
        memory
            .map(request(n * PAGE, PAGE, Some(memfd(1)), 0))
            .unwrap();
    }
    let refused = memory
        .map(request(files * PAGE, PAGE, Some(memfd(1)), 0))
        .unwrap_err();
    assert_eq!(refused.errno(), nix::errno::Errno::ENOSPC);
    assert!(refused.to_string().contains("64 memory files"), "{refused}");
    drop(memory.unmap(0, PAGE).unwrap());
    memory.map(request(0, PAGE, Some(memfd(1)), 0)).unwrap();
}

/// Sparse files are free for their maker; the address space they are mapped in is everybody's.
#[test]
fn a_device_takes_only_its_share_of_address_space() {
    let sparse = |size: u64| {
        let fd = memfd(0);
        nix::unistd::ftruncate(&fd, size as i64).unwrap();
        Some(fd)
    };
    let memory = GuestMemory::default();
    let (share, whole) = (
        crate::limits::MAX_DEVICE_FILE_SPACE,
        crate::limits::MAX_WHOLE_FILE_MAP,
    );
    for n in 0..share / whole {
        memory
            .map(request(n * PAGE, PAGE, sparse(whole), 0))
            .unwrap();
    }
    let refused = memory
        .map(request(1 << 40, PAGE, sparse(PAGE), 0))
        .unwrap_err();
    assert!(
        matches!(
            refused,
            MapError::File {
                source: FileError::DeviceSpace,
                ..
            }
        ),
        "{refused}"
    );
    drop(memory.clear());
    memory.map(request(0, PAGE, sparse(PAGE), 0)).unwrap();
}

#[test]
fn a_truncated_mapping_is_not_shared_with_later_maps() {
    let fd = patterned(2);
    let memory = GuestMemory::default();
    let map = |at| {
        let fd = Some(fd.try_clone().unwrap());
        memory.map(request(at, 2 * PAGE, fd, 0)).unwrap();
    };
    map(0);
    nix::unistd::ftruncate(fd.as_fd(), 0).unwrap();
    assert_eq!(read(&memory.load(), 0, 1).unwrap(), [0]);
    assert!(memory.load().faulted());
    nix::unistd::ftruncate(fd.as_fd(), 2 * PAGE as i64).unwrap();
    let file = std::fs::File::from(fd.try_clone().unwrap());
    file.write_all_at(&[0x77], 0).unwrap();
    map(2 * PAGE);
    assert_eq!(read(&memory.load(), 2 * PAGE, 1).unwrap(), [0x77]);
}

/// As a guest behind a virtual IOMMU has it: neighbours in its addresses, scattered in the file.
#[test]
fn a_scattered_ring_is_joined() {
    let fd = memfd(16);
    let file = std::fs::File::from(fd.try_clone().unwrap());
    let memory = GuestMemory::default();
    let scattered = [9, 3, 12, 1, 7, 14];
    for (n, file_page) in scattered.into_iter().enumerate() {
        let fd = Some(fd.try_clone().unwrap());
        memory
            .map(request(n as u64 * PAGE, PAGE, fd, file_page * PAGE))
            .unwrap();
    }
    // 512 descriptors are two pages; the rings follow with a page and two.
    let place = RingPlace {
        size: 512,
        descriptors: 0,
        available: 2 * PAGE,
        used: 3 * PAGE,
    };
    let mut cache = RingCache::new(place).unwrap();
    let regions = memory.load();
    let mut entry = [0; 16];
    entry[..8].copy_from_slice(&0xabcd_u64.to_le_bytes());
    file.write_all_at(&entry, 3 * PAGE + 16 * 44).unwrap();
    let view = cache.view(&regions).unwrap();
    assert_eq!(view.descriptor(256 + 44).unwrap().address, 0xabcd);
    assert_eq!(view.descriptor(512), None);
    assert_eq!(view.set_used_all(511, [(7, 99)].into_iter()), 512);
    view.publish_used(512);
    // Entry 511 lies half in the used ring's first page, half in its second.
    let (mut id, mut len) = ([0; 4], [0; 4]);
    file.read_exact_at(&mut id, PAGE + PAGE - 4).unwrap();
    file.read_exact_at(&mut len, 7 * PAGE).unwrap();
    assert_eq!((id, len), ([7, 0, 0, 0], [99, 0, 0, 0]));
    drop(regions);
    let before = memory.unmap(4 * PAGE, PAGE).unwrap();
    assert!(matches!(
        cache.view(&memory.load()),
        Err(PlaceError::Translate { .. })
    ));
    drop(before);
    memory
        .map(request(
            4 * PAGE,
            PAGE,
            Some(fd.try_clone().unwrap()),
            7 * PAGE,
        ))
        .unwrap();
    assert!(cache.view(&memory.load()).is_ok());
}

#[test]
fn rings_are_refused_where_they_cannot_be() {
    let memory = GuestMemory::default();
    memory
        .map(request(0, 16 * PAGE, Some(memfd(16)), 0))
        .unwrap();
    let good = RingPlace {
        size: 256,
        descriptors: 0,
        available: 2 * PAGE,
        used: 3 * PAGE,
    };
    let view = |place| RingCache::new(place).and_then(|mut c| c.view(&memory.load()).map(drop));
    assert_eq!(view(good), Ok(()));
    for place in [
        RingPlace { size: 0, ..good },
        RingPlace { size: 3, ..good },
        RingPlace {
            descriptors: 8,
            ..good
        },
        RingPlace {
            available: 2 * PAGE + 1,
            ..good
        },
        RingPlace {
            used: 3 * PAGE + 2,
            ..good
        },
        RingPlace {
            used: 16 * PAGE - 2000,
            ..good
        },
        RingPlace {
            descriptors: u64::MAX - 15,
            ..good
        },
    ] {
        assert!(view(place).is_err(), "{place:?}");
    }
}

#[test]
fn a_truncated_file_reads_as_zeroes_and_is_noticed() {
    let fd = patterned(4);
    let memory = GuestMemory::default();
    memory
        .map(request(0, 4 * PAGE, Some(fd.try_clone().unwrap()), 0))
        .unwrap();
    let regions = memory.load();
    let before = fault_count();
    nix::unistd::ftruncate(fd.as_fd(), PAGE as i64).unwrap();
    assert!(!regions.faulted());
    let bytes = read(&regions, 2 * PAGE, 10).unwrap();
    assert_eq!(bytes, [0; 10]);
    assert!(regions.faulted() && fault_count() > before);
    regions
        .writable(3 * PAGE, 4, |to| to.write(&[1, 2, 3, 4]) == 4)
        .unwrap();
}
