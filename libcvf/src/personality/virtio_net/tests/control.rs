use super::super::{CONTROL_ERR, CONTROL_OK, bits};
use super::driver::{Driver, MAC};
use super::host::Call;
use crate::control::{ControlReply, ControlRequest, Denial, MacAddr};
use crate::limits::MAX_CONTROL_COMMAND;
use crate::offload::Accepts;
use crate::personality::Personality;

/// What the device asked of its host for a command that it acknowledged.
fn asked(d: &mut Driver, bytes: &[u8]) -> ControlRequest {
    assert_eq!(d.command(bytes), CONTROL_OK, "{bytes:x?}");
    match d.host.take().as_slice() {
        [Call::Control(request)] => request.clone(),
        other => panic!("{bytes:x?} led to {other:?}"),
    }
}

fn refused(d: &mut Driver, bytes: &[u8]) {
    assert_eq!(d.command(bytes), CONTROL_ERR, "{bytes:x?}");
    assert_eq!(d.host.take(), [], "{bytes:x?} reached the host");
}

fn filter(unicast: &[[u8; 6]], multicast: &[[u8; 6]]) -> Vec<u8> {
    let mut bytes = vec![1, 0];
    for table in [unicast, multicast] {
        bytes.extend_from_slice(&(table.len() as u32).to_le_bytes());
        bytes.extend(table.iter().flatten());
    }
    bytes
}

#[test]
fn virtio_5_1_6_5_1_receive_modes() {
    let mut d = Driver::running(1);
    let modes: [fn(bool) -> ControlRequest; 6] = [
        ControlRequest::Promiscuous,
        ControlRequest::AllMulticast,
        ControlRequest::AllUnicast,
        ControlRequest::NoMulticast,
        ControlRequest::NoUnicast,
        ControlRequest::NoBroadcast,
    ];
    for (command, mode) in modes.into_iter().enumerate() {
        assert_eq!(asked(&mut d, &[0, command as u8, 1]), mode(true));
        assert_eq!(asked(&mut d, &[0, command as u8, 0]), mode(false));
        for bad in [
            &[0, command as u8][..],
            &[0, command as u8, 2],
            &[0, command as u8, 1, 0],
        ] {
            refused(&mut d, bad);
        }
    }
}

#[test]
fn virtio_5_1_6_5_1_extra_modes_need_their_feature() {
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::CTRL_RX);
    assert_eq!(asked(&mut d, &[0, 0, 1]), ControlRequest::Promiscuous(true));
    for command in 2..=5 {
        refused(&mut d, &[0, command, 1]);
    }
    let mut d = Driver::running_with(1, bits::CTRL_VQ | bits::CTRL_RX_EXTRA);
    refused(&mut d, &[0, 0, 1]);
    assert_eq!(asked(&mut d, &[0, 5, 1]), ControlRequest::NoBroadcast(true));
}

#[test]
fn virtio_5_1_6_5_2_the_mac_filter_is_two_tables() {
    let mut d = Driver::running(1);
    let (a, b, m) = (
        [2, 0, 0, 0, 0, 1],
        [2, 0, 0, 0, 0, 2],
        [1, 0, 0x5e, 0, 0, 1],
    );
    let expected = ControlRequest::SetMacFilter {
        unicast: vec![MacAddr(a), MacAddr(b)],
        multicast: vec![MacAddr(m)],
    };
    assert_eq!(asked(&mut d, &filter(&[a, b], &[m])), expected);
    let empty = ControlRequest::SetMacFilter {
        unicast: vec![],
        multicast: vec![],
    };
    assert_eq!(asked(&mut d, &filter(&[], &[])), empty);
}

#[test]
fn virtio_5_1_6_5_2_a_table_that_lies_about_its_length_is_refused() {
    let mut d = Driver::running(1);
    let good = filter(&[[2; 6]], &[[3; 6]]);
    for len in 2..good.len() {
        refused(&mut d, &good[..len]);
    }
    refused(&mut d, &[&good[..], &[0]].concat());
    for entries in [2u32, 0x2aaa_aaab, 0x8000_0000, u32::MAX] {
        let mut lying = good.clone();
        lying[2..6].copy_from_slice(&entries.to_le_bytes());
        refused(&mut d, &lying);
    }
}

#[test]
fn virtio_5_1_6_5_2_the_address_shows_in_configuration_once_it_is_done() {
    let mut d = Driver::running(1);
    let new = MacAddr([2, 0, 0, 0, 0, 7]);
    let command = [1, 1, 2, 0, 0, 0, 0, 7];
    let denied = Denial {
        rule: "mac-fixed",
        reason: "the operator says so".into(),
    };
    d.host.replies.push_back(ControlReply::Denied(denied));
    assert_eq!(d.command(&command), CONTROL_ERR);
    assert_eq!(d.host.take(), [Call::Control(ControlRequest::SetMac(new))]);
    assert_eq!(d.device.status().mac, MAC, "denied");
    assert_eq!(asked(&mut d, &command), ControlRequest::SetMac(new));
    assert_eq!(d.device.status().mac, new);
    assert_eq!(d.read_at(d.config, 5, 1), 7);
    d.write8(super::driver::reg::DEVICE_STATUS, 0);
    assert_eq!(
        d.read_at(d.config, 5, 1),
        0x56,
        "a reset restores the assigned one"
    );
    for bad in [
        &[1, 1][..],
        &[1, 1, 2, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0, 7, 0],
    ] {
        let mut d = Driver::running(1);
        refused(&mut d, bad);
    }
}

#[test]
fn virtio_5_1_6_5_3_vlan_filter() {
    let mut d = Driver::running(1);
    assert_eq!(
        asked(&mut d, &[2, 0, 0xfe, 0x0f]),
        ControlRequest::AddVlan(4094)
    );
    assert_eq!(asked(&mut d, &[2, 1, 0, 0]), ControlRequest::DelVlan(0));
    for bad in [
        &[2, 0, 1][..],
        &[2, 0, 0, 0x10],
        &[2, 0, 0xff, 0xff],
        &[2, 0, 1, 0, 0],
        &[2, 2, 1, 0],
    ] {
        refused(&mut d, bad);
    }
}

#[test]
fn virtio_5_1_6_5_5_queue_pairs_within_what_the_device_has() {
    let mut d = Driver::running(4);
    assert_eq!(
        d.device.status().active_pairs,
        1,
        "5.1.5: one pair until asked for more"
    );
    assert_eq!(
        asked(&mut d, &[4, 0, 4, 0]),
        ControlRequest::SetQueuePairs(4)
    );
    assert_eq!(d.device.status().active_pairs, 4);
    d.host.replies.push_back(ControlReply::Failed("no".into()));
    assert_eq!(d.command(&[4, 0, 2, 0]), CONTROL_ERR);
    d.host.take();
    assert_eq!(d.device.status().active_pairs, 4, "not done");
    for bad in [
        &[4, 0, 0, 0][..],
        &[4, 0, 5, 0],
        &[4, 0, 0, 0x80],
        &[4, 0, 1],
        &[4, 0, 1, 0, 0],
    ] {
        refused(&mut d, bad);
    }
    refused(&mut d, &[4, 1, 1, 0]);
    refused(&mut d, &[4, 2, 1, 0]);
}

#[test]
fn virtio_5_1_6_5_6_receive_offloads_within_what_was_negotiated() {
    let mut d = Driver::running(1);
    let set = |offloads: u64| [&[5, 0][..], &offloads.to_le_bytes()].concat();
    let mut accepts = |offloads| asked(&mut d, &set(offloads));
    assert_eq!(
        accepts(0),
        ControlRequest::SetReceiveOffloads(Accepts::default())
    );
    let all = bits::GUEST_CSUM | bits::GUEST_TSO4 | bits::GUEST_TSO6 | bits::GUEST_ECN;
    let all = all | bits::GUEST_UFO | bits::GUEST_USO4 | bits::GUEST_USO6;
    assert_eq!(
        accepts(all),
        ControlRequest::SetReceiveOffloads(Accepts(0x7f))
    );
    assert_eq!(
        accepts(all & !bits::GUEST_CSUM),
        ControlRequest::SetReceiveOffloads(Accepts::default()),
        "nothing large without checksums"
    );
    refused(&mut d, &set(bits::CSUM));
    refused(&mut d, &set(1 << 63));
    refused(&mut d, &set(0)[..9]);

    let some = bits::CTRL_VQ | bits::CTRL_GUEST_OFFLOADS | bits::GUEST_CSUM | bits::GUEST_TSO4;
    let mut d = Driver::running_with(1, some);
    refused(&mut d, &set(bits::GUEST_CSUM | bits::GUEST_TSO6));
    let csum = ControlRequest::SetReceiveOffloads(Accepts::CSUM);
    assert_eq!(asked(&mut d, &set(bits::GUEST_CSUM)), csum);
}

#[test]
fn virtio_5_1_6_5_commands_of_features_that_were_not_negotiated_are_refused() {
    let mut d = Driver::running_with(2, bits::CTRL_VQ);
    for command in [
        &[0, 0, 1][..],
        &[0, 2, 1],
        &filter(&[], &[]),
        &[1, 1, 2, 0, 0, 0, 0, 7],
        &[2, 0, 1, 0],
        &[3, 0],
        &[4, 0, 1, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        refused(&mut d, command);
    }
    let mut d = Driver::running_with(1, bits::CTRL_GUEST_OFFLOADS | bits::CTRL_RX_EXTRA);
    refused(&mut d, &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    refused(&mut d, &[0, 5, 1]);
}

#[test]
fn virtio_5_1_6_5_unknown_short_and_long_commands_are_refused() {
    let mut d = Driver::running(2);
    refused(&mut d, &[]);
    refused(&mut d, &[0]);
    for class in 6..=255 {
        refused(&mut d, &[class, 0, 0]);
    }
    refused(&mut d, &[1, 2]);
    refused(&mut d, &[3, 1]);
    refused(&mut d, &[3, 0, 0]);
    refused(&mut d, &vec![0; MAX_CONTROL_COMMAND + 1]);
    let many = vec![[2, 0, 0, 0, 0, 1]; (MAX_CONTROL_COMMAND - 10) / 6];
    assert!(
        matches!(asked(&mut d, &filter(&many, &[])), ControlRequest::SetMacFilter { unicast, .. } if unicast.len() == many.len())
    );
}

#[test]
fn virtio_2_1_2_commands_before_driver_ok_are_refused() {
    let mut d = Driver::agreed(1);
    d.host.take();
    refused(&mut d, &[0, 0, 1]);
}

#[test]
fn virtio_5_1_6_5_only_what_was_done_is_acknowledged() {
    let mut d = Driver::running(1);
    let denied = Denial {
        rule: "promiscuous",
        reason: "no".into(),
    };
    d.host.replies.extend([
        ControlReply::Denied(denied),
        ControlReply::Failed("full".into()),
    ]);
    assert_eq!(d.command(&[0, 0, 1]), CONTROL_ERR);
    assert_eq!(d.command(&[0, 0, 1]), CONTROL_ERR);
    assert_eq!(d.command(&[0, 0, 1]), CONTROL_OK);
}
