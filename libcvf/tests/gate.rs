//! What a gatekeeper is asked and told.

mod guest;

use std::sync::Arc;

use guest::{Guest, pf, spec};
use libcvf::control::{ControlRequest, Denial, DeviceFacts, Gatekeeper};
use libcvf::cvf::Cvf;
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
