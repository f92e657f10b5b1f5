//! What a driver finds, and how it comes up.

use lab::fakevm::client::flags;
use lab::fakevm::net::feature;
use lab::fakevm::pci::{CfgType, IRQ_INTX, IRQ_MSIX};
use lab::fakevm::virtio::status;
use lab::fakevm::{FakeVm, FakeVmConfig};

use crate::common::Host;

fn attached(host: &Host, more: &[&str]) -> FakeVm {
    let device = host.create("one", more);
    FakeVm::attach(device.socket.as_ref(), FakeVmConfig::default()).unwrap()
}

#[test]
fn the_function_is_modern_virtio_net() {
    let host = Host::new();
    let mut vm = attached(&host, &["--queue-pairs", "4"]);
    assert_eq!(vm.pci.id, (0x1af4, 0x1041));
    for kind in [
        CfgType::Common,
        CfgType::Notify,
        CfgType::Isr,
        CfgType::Device,
        CfgType::Pci,
    ] {
        assert!(vm.pci.virtio_cap(kind).is_some(), "{kind:?}");
    }
    let common = vm.pci.virtio_cap(CfgType::Common).unwrap();
    assert!(common.length >= 0x3c, "long enough for QUEUE_RESET");
    assert_eq!(vm.info.flags, flags::DEVICE_PCI | flags::DEVICE_RESET);
    assert_eq!(vm.transport.num_queues(&mut vm.client).unwrap(), 2 * 4 + 1);
    let vectors = vm.pci.msix.unwrap().vectors;
    assert!(
        vectors >= 2 * 4 + 2,
        "{vectors} vectors: one for each queue, one for changes"
    );
    let msix = vm.client.irq_info(IRQ_MSIX).unwrap();
    assert_eq!(msix.count, u32::from(vectors));
    assert_ne!(msix.flags & flags::IRQ_EVENTFD, 0);
    assert!(vm.client.irq_info(IRQ_INTX).unwrap().count <= 1);
    assert!(vm.client.irq_info(99).is_err());
}

#[test]
fn the_version_reply_fits_where_qemu_puts_it() {
    let host = Host::new();
    let vm = attached(&host, &[]);
    let capabilities = vm.client.capabilities();
    assert!(
        capabilities.reply_size <= 214,
        "{} bytes",
        capabilities.reply_size
    );
    assert!((1..=16).contains(&capabilities.max_msg_fds));
    assert!(capabilities.max_data_xfer_size <= 64 << 20);
}

#[test]
fn features_are_what_the_documentation_says() {
    let host = Host::new();
    let mut vm = attached(&host, &["--queue-pairs", "2"]);
    let offered = vm.transport.device_features(&mut vm.client).unwrap();
    let wanted = feature::FULL;
    assert_eq!(
        offered & wanted,
        wanted,
        "missing: {:#x}",
        wanted & !offered
    );
    let unasked = feature::RING_PACKED | feature::NOTIFICATION_DATA;
    assert_eq!(offered & unasked, 0, "nobody asked for it");
    assert_ne!(offered & feature::IN_ORDER, 0);
}

#[test]
fn configuration_is_what_was_asked_for() {
    let host = Host::new();
    let device = host.create("one", &["--queue-pairs", "3", "--mtu", "9000"]);
    let mut vm = host.attach(&device, FakeVmConfig::default());
    let mac = vm
        .mac()
        .unwrap()
        .map(|byte| format!("{byte:02x}"))
        .join(":");
    assert_eq!(mac, device.mac);
    assert_eq!(vm.mtu().unwrap(), 9000);
    assert_eq!(vm.max_queue_pairs().unwrap(), 3);
    assert_eq!(vm.net_status().unwrap() & 1, 1, "link is up");
    let whole: [u8; 12] = vm.device_config(0).unwrap();
    assert_eq!(whole[..6], vm.mac().unwrap());
    assert_eq!(whole[10..12], 9000_u16.to_le_bytes());
    // With a feature refused, its field is nobody's business; the rest still works.
    vm.configure(|config| config.features = feature::PLAIN);
    vm.start().unwrap();
    assert_eq!(vm.features(), feature::PLAIN);
}

#[test]
fn features_are_frozen_once_accepted() {
    let host = Host::new();
    let mut vm = attached(&host, &[]);
    vm.transport
        .negotiate(&mut vm.client, feature::PLAIN)
        .unwrap();
    let bits = vm.transport.status(&mut vm.client).unwrap();
    assert_eq!(
        bits,
        status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK
    );
    vm.start().unwrap();
    let bits = vm.transport.status(&mut vm.client).unwrap();
    assert_ne!(bits & status::DRIVER_OK, 0);
    vm.stop().unwrap();
    assert_eq!(vm.transport.status(&mut vm.client).unwrap(), 0);
}

/// virtio 1.3 4.1.4.9: BARs through configuration space.
#[test]
fn bars_are_reachable_through_configuration_space() {
    let host = Host::new();
    let mut vm = attached(&host, &[]);
    let cap = u64::from(vm.pci.virtio_cap(CfgType::Pci).unwrap().at);
    let device = vm.transport.device;
    let config = lab::fakevm::pci::CONFIG_REGION;
    let write = |vm: &mut FakeVm, at: u64, bytes: &[u8]| {
        vm.client.region_write(config, cap + at, bytes).unwrap();
    };
    write(&mut vm, 4, &[device.region as u8]);
    write(&mut vm, 8, &(device.offset as u32).to_le_bytes());
    write(&mut vm, 12, &4_u32.to_le_bytes());
    let mut through = [0; 4];
    vm.client
        .region_read(config, cap + 16, &mut through)
        .unwrap();
    let direct: [u8; 4] = vm.device_config(0).unwrap();
    assert_eq!(through, direct);
}

#[test]
fn odd_accesses_are_answered_and_harm_nothing() {
    let host = Host::new();
    let mut vm = host.vm("one");
    let bar = vm.transport.common.region;
    let size = vm.pci.bars[bar as usize].size;
    for (at, len) in [
        (0, 3),
        (1, 4),
        (7, 8),
        (size - 1, 1),
        (0, 64),
        (size - 8, 8),
    ] {
        let mut bytes = vec![0; len];
        // Whatever it says, it says something.
        let _ = vm.client.region_read(bar, at, &mut bytes);
        let _ = vm.client.region_write(bar, at, &bytes[..0]);
    }
    for (region, at, len) in [
        (bar, size, 1),
        (bar, u64::MAX, 8),
        (bar, size - 1, 2),
        (77, 0, 4),
    ] {
        let mut bytes = vec![0; len];
        let refused = vm.client.region_read(region, at, &mut bytes);
        assert!(
            refused.unwrap_err().refused().is_some(),
            "{region} {at:#x} {len}"
        );
        let refused = vm.client.region_write(region, at, &bytes);
        assert!(
            refused.unwrap_err().refused().is_some(),
            "{region} {at:#x} {len}"
        );
    }
    assert!(!vm.needs_reset().unwrap());
    assert_ne!(
        vm.transport.status(&mut vm.client).unwrap() & status::DRIVER_OK,
        0
    );
}
