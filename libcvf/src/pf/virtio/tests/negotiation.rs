use super::*;

#[test]
fn the_handshake_goes_through_its_steps() {
    // virtio 1.3 3.1.1
    let bench = Bench::new(Manners::default());
    let agreed = regs::ACKNOWLEDGE | regs::DRIVER | regs::FEATURES_OK;
    assert_eq!(bench.model.status(), agreed);
    assert_eq!(bench.model.accepted(), Features::WANTED);
    bench.transport.drive();
    assert_eq!(bench.model.status(), agreed | regs::DRIVER_OK);
    assert_eq!(bench.transport.mac(), Some([2, 0, 0, 0, 0, 0x17]));
    assert_eq!(bench.transport.mtu(), Some(1500));
    assert_eq!((bench.transport.pairs(), bench.transport.queues()), (2, 5));
    assert_eq!(bench.transport.control_queue(), Some(4));
    assert!(bench.transport.link());
    bench.model.set_link(0);
    assert!(!bench.transport.link());
    assert!(!bench.transport.needs_reset());
    bench.model.set_status(agreed | regs::DEVICE_NEEDS_RESET);
    assert!(bench.transport.needs_reset());
}

#[test]
fn only_what_is_offered_and_understood_is_taken() {
    let bench = Bench::new(Manners {
        offered: Features(u64::MAX),
        ..Manners::default()
    });
    assert_eq!(bench.model.accepted(), Features::WANTED);
    // virtio 1.3 5.1.3.1: nothing without what it depends on.
    let bench = Bench::new(Manners {
        offered: Features(Features::WANTED.0 & !(Features::CSUM.0 | Features::CTRL_VQ.0)),
        ..Manners::default()
    });
    let expected = Features::REQUIRED
        .with(Features::MTU)
        .with(Features::MAC)
        .with(Features::STATUS);
    assert_eq!(bench.model.accepted(), expected);
    assert_eq!(
        (bench.transport.pairs(), bench.transport.control_queue()),
        (1, None)
    );
    assert_eq!(bench.pair(0).send.accepts(), Accepts::default());
}

#[test]
fn a_device_without_what_is_needed_is_refused_and_told() {
    for needed in [
        Features::VERSION_1,
        Features::ACCESS_PLATFORM,
        Features::RING_RESET,
    ] {
        let model = Model::new(Manners {
            offered: Features(Features::WANTED.0 & !needed.0),
            ..Manners::default()
        });
        let refused = open(&model)
            .expect("a device")
            .negotiate(Features::of_offer);
        assert_eq!(refused, Err(TransportError::Lacks(needed.to_string())));
        assert_ne!(model.status() & regs::FAILED, 0);
    }
}

#[test]
fn a_device_that_does_not_keep_to_its_offer_or_does_not_reset_is_refused() {
    let model = Model::new(Manners {
        refuses: true,
        ..Manners::default()
    });
    let refused = open(&model)
        .expect("a device")
        .negotiate(Features::of_offer);
    assert!(matches!(refused, Err(TransportError::Refuses(_))));
    let model = Model::new(Manners {
        resets: false,
        ..Manners::default()
    });
    let refused = open(&model)
        .expect("a device")
        .negotiate(Features::of_offer);
    assert_eq!(refused, Err(TransportError::Slow("reset")));
}

#[test]
fn structures_behind_their_bar_are_refused() {
    let model = Model::new(Manners::default());
    let space = capabilities::tests::usual();
    let opened = Transport::open("test", &space, |_| {
        Ok(BarView {
            registers: Arc::new(model.clone()),
            len: BAR - 1,
            file_offset: 0,
        })
    });
    let part = "notification";
    assert_eq!(opened.err(), Some(TransportError::Beyond { part, bar: 4 }));
    assert_eq!(Layout::find(&[0; 256]), Err(LayoutError::NoList));
}

#[test]
fn each_queue_has_a_doorbell_of_its_own() {
    // virtio 1.3 4.1.4.4
    let bench = Bench::new(Manners::default());
    for queue in 0..5 {
        let doorbell = bench.transport.doorbell(queue).expect("inside");
        assert_eq!((doorbell.bar, doorbell.queue), (4, queue));
        assert_eq!(doorbell.offset, 0x3000 + 0x1000 * u32::from(queue));
        assert_eq!(
            doorbell.file_offset,
            FILE_OFFSET + u64::from(doorbell.offset)
        );
    }
    bench.model.behave(|manners| manners.far = Some(0x400));
    let refused = bench.transport.doorbell(0);
    assert!(matches!(
        refused,
        Err(TransportError::Queue { queue: 0, .. })
    ));
    let mut send = bench.pair(0).send;
    send.start();
    assert_eq!(push(&mut send, &frame(60, 0)), Pushed::NoBuffer);
    assert!(!bench.model.queue(1).0, "not in use without a doorbell");
}

#[test]
fn vectors_that_are_not_given_are_seen() {
    // virtio 1.3 4.1.5.1.2.2
    let bench = Bench::new(Manners::default());
    assert_eq!(bench.transport.set_config_vector(0), Ok(()));
    bench.model.behave(|manners| manners.vectorless = true);
    assert_eq!(
        bench.transport.set_config_vector(0),
        Err(TransportError::Vector(0))
    );
    let mut send = bench.pair(0).send;
    send.start();
    assert!(!bench.model.queue(1).0);
}

#[test]
fn queues_with_too_few_descriptors_are_refused() {
    for size in [0, 1, 3, 32, 63] {
        let bench = Bench::new(Manners {
            size,
            ..Manners::default()
        });
        let allocate = |len| bench.allocate(len);
        assert!(Pair::new(&bench.transport, (0, 1), &allocate).is_err());
    }
    let bench = Bench::new(Manners {
        size: 100,
        ..Manners::default()
    });
    assert_eq!(bench.transport.most(0), 64, "a power of two");
    assert_eq!(bench.transport.most(9), 0, "no such queue");
}

#[test]
fn commands_are_done_or_refused_or_given_up() {
    // virtio 1.3 5.1.6.5
    let bench = Bench::new(Manners::default());
    let mut control = bench.control();
    bench.transport.drive();
    assert_eq!(control.promiscuous(true), Ok(()));
    assert_eq!(control.set_pairs(2), Ok(()));
    assert_eq!(bench.model.commands(), [vec![0, 0, 1], vec![4, 0, 2, 0]]);
    bench.model.behave(|manners| manners.answer = 1);
    let (class, command) = (4, 0);
    let refused = ControlError::Refused { class, command };
    assert_eq!(control.set_pairs(9), Err(refused));
    bench.model.behave(|manners| manners.answers = false);
    let slow = ControlError::Slow { class, command };
    assert_eq!(control.set_pairs(1), Err(slow.clone()));
    assert!(!bench.model.queue(4).0, "a late answer has nowhere to go");
    bench.model.behave(|manners| manners.answers = true);
    assert_eq!(control.set_pairs(1), Err(slow));
    bench.is_content();
}
