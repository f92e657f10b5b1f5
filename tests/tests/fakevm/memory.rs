//! Guest memory in all its kinds, and memory that comes and goes.

use lab::fakevm::memory::{Backing, HUGE_PAGE, HugePages, MemoryPlan, RegionPlan};
use lab::fakevm::net::NetGuest;
use lab::fakevm::{FakeVm, FakeVmConfig, frame};

use crate::common::{Host, expect_number, introduce, pass};

const SIZE: u64 = 8 << 20;

fn with(memory: MemoryPlan) -> FakeVmConfig {
    FakeVmConfig {
        memory: Some(memory),
        ..FakeVmConfig::default()
    }
}

#[test]
fn sealed_memory_and_split_memory_and_many_regions_work() {
    let host = Host::new();
    let mut witness = host.vm("witness");
    let pieces = (0..8)
        .map(|nth| RegionPlan::new(nth << 24, SIZE, Backing::Memfd))
        .collect();
    let plans = [
        MemoryPlan::single(SIZE, Backing::Sealed),
        MemoryPlan::split(1 << 20, SIZE),
        MemoryPlan { regions: pieces },
    ];
    for (nth, plan) in plans.into_iter().enumerate() {
        let mut vm = host.vm_with(&format!("vm{nth}"), &[], with(plan));
        introduce(&mut [&mut vm, &mut witness]);
        pass(&mut vm, &mut witness, 1);
        pass(&mut witness, &mut vm, 2);
    }
}

#[test]
fn huge_pages_work() {
    let host = Host::new();
    let config = FakeVmConfig::default();
    let plan = config.hugetlb_plan();
    let pages = HugePages::reserve(plan.size() / HUGE_PAGE);
    if pages.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "this machine gives no huge pages"
        );
        return;
    }
    let mut one = host.vm_with("one", &[], with(plan));
    let mut two = host.vm("two");
    introduce(&mut [&mut one, &mut two]);
    pass(&mut one, &mut two, 1);
}

/// Brings a driver up on memory that cannot work, sends, and tells what the daemon shows.
fn hopeless(host: &Host, name: &str, backing: Backing) -> (FakeVm, serde_json::Value) {
    let device = host.create(name, &[]);
    let config = with(MemoryPlan::single(SIZE, backing));
    let mut vm = FakeVm::attach(device.socket.as_ref(), config).unwrap();
    vm.configure(|config| {
        // Without a control queue nothing in the bring-up waits for the rings.
        config.features = lab::fakevm::net::feature::PLAIN;
    });
    vm.start().unwrap();
    let mac = vm.mac().unwrap();
    let frame = frame::numbered(frame::BROADCAST, mac, 1, 64);
    vm.pair(0)
        .tx
        .push(&lab::fakevm::net::NetHeader::default(), &frame)
        .unwrap();
    vm.pair(0).tx.publish();
    vm.kick(lab::fakevm::net::tx_queue(0)).unwrap();
    let shown = host
        .daemon
        .wait_show(name, "what is wrong with the memory", |view| {
            view["health"]["memory"] != "unknown" && view["health"]["memory"] != "shared"
        });
    (vm, shown.unwrap())
}

#[test]
fn memory_without_a_descriptor_is_told_and_harms_nobody() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let (_vm, shown) = hopeless(&host, "without", Backing::Anonymous);
    assert_eq!(shown["health"]["memory"], "without-fd");
    assert!(
        shown["health"]["memory_advice"]
            .as_str()
            .unwrap()
            .contains("share=on")
    );
    pass(&mut one, &mut two, 1);
}

#[test]
fn private_memory_is_told_and_harms_nobody() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let (_vm, shown) = hopeless(&host, "private", Backing::Private);
    assert_eq!(shown["health"]["memory"], "not-shared");
    pass(&mut one, &mut two, 1);
}

/// A file shorter than what the client says: nobody's bus error but the device's own.
#[test]
fn a_file_shorter_than_announced_harms_nobody() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    let device = host.create("short", &[]);
    let backing = Backing::Short { missing: SIZE / 2 };
    let plan = MemoryPlan::single(SIZE, backing);
    match FakeVm::attach(device.socket.as_ref(), with(plan)) {
        // Refused at the map, or taken and contained when touched.
        Err(error) => assert!(error.refused().is_some(), "{error}"),
        Ok(mut vm) => {
            if vm.start().is_ok() {
                let gpa = SIZE - 4096;
                vm.pair(0)
                    .tx
                    .queue()
                    .split()
                    .unwrap()
                    .write_desc(0, gpa, 64, 0, 0);
                vm.pair(0).tx.queue().split().unwrap().write_avail(0, 0);
                vm.pair(0).tx.queue().split().unwrap().write_avail_idx(1);
                vm.kick(lab::fakevm::net::tx_queue(0)).unwrap();
            }
        }
    }
    for number in 0..100 {
        pass(&mut one, &mut two, number);
    }
}

/// Firmware unmaps and maps all memory again and again. Frames under way may be lost; the device
/// goes on, and so does everybody else.
#[test]
fn memory_can_be_unmapped_and_mapped_under_traffic() {
    let host = Host::new();
    let (mut one, mut two, mut three) = (host.vm("one"), host.vm("two"), host.vm("three"));
    introduce(&mut [&mut one, &mut two, &mut three]);
    for round in 0..100 {
        let target = two.mac().unwrap();
        let source = one.mac().unwrap();
        for number in 0..20 {
            one.send(&frame::numbered(target, source, 1_000_000 + number, 64))
                .unwrap();
        }
        remap(&mut two);
        pass(&mut one, &mut three, round);
        pass(&mut three, &mut one, round);
    }
    assert!(!one.needs_reset().unwrap());
    two.start().unwrap();
    introduce(&mut [&mut one, &mut two]);
    pass(&mut one, &mut two, 5);
}

fn remap(vm: &mut FakeVm) {
    // Pipelined, as QEMU does: all unmaps, then all maps, waiting only at the end.
    let mut tickets = Vec::new();
    for region in vm.memory.regions() {
        tickets.push(vm.client.begin_dma_unmap(region.gpa, region.size).unwrap());
    }
    for region in vm.memory.regions() {
        tickets.push(vm.client.begin_dma_map(region).unwrap());
    }
    for ticket in tickets {
        vm.client.finish(ticket).unwrap();
    }
}

#[test]
fn maps_that_make_no_sense_are_refused() {
    let host = Host::new();
    let mut one = host.vm("one");
    let mut two = host.vm("two");
    introduce(&mut [&mut one, &mut two]);
    let region = &one.memory.regions()[0];
    let (gpa, size, flags) = (region.gpa, region.size, 3);
    for (what, gpa, size, offset) in [
        ("overlaps", gpa, size, 0),
        ("overlaps in part", gpa + size - 4096, 8192, 0),
        ("wraps", u64::MAX - 4095, 8192, 0),
        ("nothing", 0x50_0000_0000, 0, 0),
        ("uneven", 0x50_0000_0001, 4096, 0),
        ("offset wraps", 0x50_0000_0000, 8192, u64::MAX - 4095),
    ] {
        let file = region.file();
        let ticket = one
            .client
            .begin_map_range(gpa, size, offset, flags, file)
            .unwrap();
        let outcome = one.client.finish(ticket);
        assert!(outcome.unwrap_err().refused().is_some(), "{what}");
    }
    assert!(
        one.client.dma_unmap(0x60_0000_0000, 4096).is_err(),
        "never mapped"
    );
    assert!(
        one.client.dma_unmap(gpa, 4096).is_err() || size == 4096,
        "only a part"
    );
    pass(&mut one, &mut two, 1);
}

/// The device's memory is cut while frames pass through it. Whatever becomes of the device, its
/// neighbours notice nothing, and after a restart on whole memory it works.
#[test]
fn memory_cut_under_traffic_harms_nobody() {
    let host = Host::new();
    let (mut one, mut two) = (host.vm("one"), host.vm("two"));
    introduce(&mut [&mut one, &mut two]);
    for round in 0..10 {
        let name = format!("cut{round}");
        let mut vm = host.vm_with(&name, &[], FakeVmConfig::default());
        let target = vm.mac().unwrap();
        introduce(&mut [&mut vm, &mut one]);
        let source = one.mac().unwrap();
        for number in 0..50 {
            one.send(&frame::numbered(target, source, number, 1000))
                .unwrap();
        }
        for index in 0..vm.memory.regions().len() {
            vm.memory.truncate(index, 0).unwrap();
        }
        for number in 0..50 {
            one.send(&frame::numbered(target, source, number, 1000))
                .unwrap();
        }
        pass(&mut one, &mut two, round);
        pass(&mut two, &mut one, round);
        drop(vm);
        let device = host.create(&name, &[]);
        let mut vm = host.attach(&device, FakeVmConfig::default());
        let mac = vm.mac().unwrap();
        vm.send(&frame::numbered(frame::BROADCAST, mac, 9_000 + round, 64))
            .unwrap();
        expect_number(&mut one, 9_000 + round);
        expect_number(&mut two, 9_000 + round);
    }
}
