//! What a gatekeeper is asked and told.

#[path = "avf/driver.rs"]
mod driver;
mod guest;

use std::sync::Arc;

use driver::Driver;
use guest::{Guest, pf, spec};
use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};
use libcvf::cvf::{Cvf, CvfSpec, Model};
use parking_lot::Mutex;

const CTRL: u64 = 1 << 17 | 1 << 18 | 1 << 19;

/// Refuses to listen to everything; keeps record.
#[derive(Default)]
struct Keeper(Mutex<Record>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    asked: u32,
    denied: Vec<(ControlRequest, &'static str)>,
    resets: u32,
}

impl Gatekeeper for Keeper {
    fn decide(&self, _: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        match request {
            ControlRequest::AllMulticast(true) | ControlRequest::FilterVlans(true) => Err(Denial {
                rule: "test",
                reason: "it is a test".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn asked(&self) -> Result<(), Denial> {
        self.0.lock().asked += 1;
        Ok(())
    }

    fn denied(&self, request: &ControlRequest, denial: &Denial) {
        self.0.lock().denied.push((request.clone(), denial.rule));
    }

    fn was_reset(&self) {
        self.0.lock().resets += 1;
    }
}

fn kept() -> (Guest, Arc<Keeper>) {
    let keeper = Arc::new(Keeper::default());
    let cvf = Cvf::compose(pf(2) as _, spec(1), keeper.clone()).expect("composed");
    (Guest::new(&cvf), keeper)
}

#[test]
fn what_a_driver_did_not_ask_for_is_no_request_of_the_guest() {
    // Without control queue every group is to be heard; with it and VLANs, only VLANs that are joined.
    for features in [0, CTRL] {
        let (mut guest, keeper) = kept();
        guest.start(features);
        let record = keeper.0.lock().clone();
        assert_eq!((record.asked, record.denied.len()), (0, 0), "{features:#x}");
        assert_eq!(guest.cvf.health().last_refusal, None);
    }
}

#[test]
fn a_denial_is_told_with_its_request_and_rule() {
    let (mut guest, keeper) = kept();
    guest.start(CTRL);
    assert_eq!(
        guest.command(2, &[0, 1, 1]),
        1,
        "all groups: VIRTIO_NET_ERR"
    );
    let record = keeper.0.lock().clone();
    assert_eq!(record.asked, 1);
    assert_eq!(
        record.denied,
        [(ControlRequest::AllMulticast(true), "test")]
    );
}

#[test]
fn a_client_that_leaves_does_not_count_as_a_driver_that_resets() {
    let (mut guest, keeper) = kept();
    guest.start(0);
    let before = keeper.0.lock().resets;
    guest.start(0);
    assert!(keeper.0.lock().resets > before, "a driver does");
    let before = keeper.0.lock().resets;
    drop(guest.cvf.disconnected());
    drop(guest.cvf.dismantle());
    assert_eq!(keeper.0.lock().resets, before);
}

/// Lets a guest have two VLANs; notes how many others it had when it asked.
#[derive(Default)]
struct Counting(Mutex<Vec<u16>>);

impl Gatekeeper for Counting {
    fn decide(&self, facts: &DeviceFacts, request: &ControlRequest) -> Result<(), Denial> {
        let ControlRequest::AddVlan(vid) = request else {
            return Ok(());
        };
        self.0.lock().push(facts.joined_vlans);
        if *vid == 0 || facts.joined_vlans < 2 {
            return Ok(());
        }
        Err(Denial {
            rule: "test",
            reason: "it is a test".to_owned(),
        })
    }
}

#[test]
fn vlans_are_counted_for_either_kind_of_driver() {
    // One that it has, none, one more, one too many, one left, and then there is room.
    let asked = [
        (true, 5),
        (true, 5),
        (true, 0),
        (true, 6),
        (true, 7),
        (false, 5),
        (true, 7),
    ];
    let done = [true, true, true, true, false, true, true];

    let keeper = Arc::new(Counting::default());
    let cvf = Cvf::compose(pf(2) as _, spec(1), keeper.clone()).expect("composed");
    let mut guest = Guest::new(&cvf);
    guest.start(CTRL);
    for ((joins, vid), done) in asked.into_iter().zip(done) {
        let answer = guest.command(2, &[2, u8::from(!joins), vid, 0]);
        assert_eq!(answer == 0, done, "{joins} {vid}");
    }
    // VLAN 0 is among those that are joined, and not counted.
    assert_eq!(*keeper.0.lock(), [0, 0, 1, 1, 2, 1]);
    assert_eq!(cvf.joined_vlans(&ControlRequest::FilterVlans(true)), 2);

    let keeper = Arc::new(Counting::default());
    let avf = CvfSpec {
        model: Model::Avf,
        ..spec(2)
    };
    let cvf = Cvf::compose(pf(2) as _, avf, keeper.clone()).expect("composed");
    let mut driver = Driver::of(cvf.clone());
    driver.resources();
    for ((joins, vid), done) in asked.into_iter().zip(done) {
        // `struct virtchnl_vlan_filter_list_v2` with one inner tag.
        let mut list = vec![1, 0, 1, 0, 0, 0, 0, 0, vid, 0, 0, 0, 0, 0x81];
        list.resize(8 + 32, 0);
        let operation = if joins { 52 } else { 53 };
        let (status, _) = driver.ask(operation, &list);
        // VIRTCHNL_STATUS_ERR_PARAM.
        assert_eq!(status, if done { 0 } else { -5 }, "{joins} {vid}");
    }
    // What it has, and 0, is not asked for again.
    assert_eq!(*keeper.0.lock(), [0, 1, 2, 1]);
    assert_eq!(cvf.joined_vlans(&ControlRequest::FilterVlans(true)), 2);
}
