use std::os::fd::AsFd;

use super::*;

#[test]
fn two_regions_share_one_file() {
    let memory = GuestMemory::new(&MemoryPlan::split(64 << 10, 128 << 10)).unwrap();
    let high = memory.view(MemoryPlan::HIGH, 8).unwrap();
    high.store64(0, 0x1122_3344_5566_7788);
    let region = &memory.regions()[1];
    assert_eq!(region.file_offset, 64 << 10);
    let other = Mapping::shared(region.file().unwrap(), region.file_offset, 4096).unwrap();
    assert_eq!(Shared::new(&other).load64(0), 0x1122_3344_5566_7788);
}

#[test]
fn private_memory_is_not_what_the_file_holds() {
    let memory = GuestMemory::new(&MemoryPlan::single(4096, Backing::Private)).unwrap();
    memory.view(0, 4).unwrap().store32(0, 7);
    let other = Mapping::shared(memory.regions()[0].file().unwrap(), 0, 4096).unwrap();
    assert_eq!(Shared::new(&other).load32(0), 0);
}

#[test]
fn sealed_memory_cannot_shrink_and_short_memory_is_short() {
    let sealed = GuestMemory::new(&MemoryPlan::single(8192, Backing::Sealed)).unwrap();
    assert!(sealed.truncate(0, 4096).is_err());
    let plan = MemoryPlan::single(8192, Backing::Short { missing: 4096 });
    let short = GuestMemory::new(&plan).unwrap();
    let file = short.regions()[0]
        .file()
        .unwrap()
        .as_fd()
        .try_clone_to_owned()
        .unwrap();
    assert_eq!(File::from(file).metadata().unwrap().len(), 4096);
    assert_eq!(short.regions()[0].size, 8192);
}

#[test]
fn anonymous_memory_has_no_file() {
    let memory = GuestMemory::new(&MemoryPlan::single(4096, Backing::Anonymous)).unwrap();
    assert!(memory.regions()[0].file().is_none());
    assert!(memory.truncate(0, 0).is_err());
}

#[test]
fn allocation_respects_alignment_and_ends() {
    let mut memory = GuestMemory::new(&MemoryPlan::split(8192, 8192)).unwrap();
    let first = memory.alloc(10, 1).unwrap();
    let second = memory.alloc(16, 4096).unwrap();
    assert_eq!((first, second), (0, 4096));
    let mark = memory.mark();
    assert_eq!(memory.alloc(8192, 4096).unwrap(), MemoryPlan::HIGH);
    assert!(memory.alloc(8192, 1).is_err());
    memory.release(&mark);
    assert_eq!(memory.alloc(8192, 1).unwrap(), MemoryPlan::HIGH);
}

#[test]
fn views_stay_within_one_region() {
    let memory = GuestMemory::new(&MemoryPlan::split(8192, 8192)).unwrap();
    assert!(memory.view(8192 - 4, 8).is_err());
    assert!(memory.view(MemoryPlan::HIGH + 8192, 1).is_err());
    assert!(memory.view(u64::MAX, 2).is_err());
}
