//! A PF whose hardware gives one device less than it has.

mod guest;

use std::sync::Arc;

use guest::{pf, spec};
use libcvf::control::Permit;
use libcvf::cvf::{ChangeError, ComposeError, Cvf, CvfSpec};
use libcvf::dataplane::Fabric;
use libcvf::ledger::Ledger;
use libcvf::pf::{Capabilities, PhysicalFunction, SoftPf, UplinkState};

/// A soft PF that says of itself what hardware does.
struct Narrow(Arc<SoftPf>);

impl PhysicalFunction for Narrow {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &'static str {
        "narrow"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.0.ledger()
    }

    fn fabric(&self) -> &Arc<Fabric> {
        self.0.fabric()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            most_pairs: Some(1),
            filters: Some(3),
            most_mtu: Some(2030),
            direct: false,
        }
    }

    fn uplink(&self) -> Option<UplinkState> {
        None
    }

    fn workers(&self) -> u16 {
        self.0.workers()
    }
}

fn compose(spec: CvfSpec) -> Result<Arc<Cvf>, ComposeError> {
    Cvf::compose(Arc::new(Narrow(pf(8))), spec, Arc::new(Permit))
}

#[test]
fn no_device_has_more_queue_pairs_than_one_gets() {
    let two = CvfSpec {
        queue_pairs: 2,
        ..spec(1)
    };
    let error = compose(two).err().expect("refused").to_string();
    assert_eq!(
        error,
        "2 queue pairs refused: PF test gives a device 1 at most"
    );
}

#[test]
fn no_device_has_frames_that_the_buffers_do_not_hold() {
    let mtu = |mtu| CvfSpec { mtu, ..spec(1) };
    let error = compose(mtu(2031)).err().expect("refused").to_string();
    assert_eq!(error, "MTU 2031 refused: PF test can have 2030 at most");
    let cvf = compose(mtu(2030)).expect("composed");
    assert_eq!(cvf.set_mtu(1500), Ok(true));
    let most = ChangeError::MostMtu {
        pf: "test".into(),
        asked: 2031,
        most: 2030,
    };
    assert_eq!(cvf.set_mtu(2031), Err(most));
    assert_eq!(cvf.mtu(), (1500, 1500), "nothing has changed");
    assert_eq!(cvf.set_mtu(2030), Ok(true));
}
