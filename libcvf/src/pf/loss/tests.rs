use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use parking_lot::Mutex;

use super::*;
use crate::dataplane::{
    Ask, Endpoint, FillLane, Filled, HardwareFill, HardwareLine, HardwareSend, LaneParts, Piece,
    Port, SendLane, Slots,
};
use crate::mem::OwnMemory;
use crate::offload::{Accepts, PackedMac};
use crate::pf::events::Listener;
use crate::pf::vfio::VectorEvents;
use crate::switch::{PortConfig, PortId};

const PATIENCE: Duration = Duration::from_secs(10);
const VECTORS: u16 = 2;

/// What was done to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Heard(usize),
    Quit,
    GivenBack,
    Link(bool),
}

struct Fake {
    address: PciAddress,
    alarms: Alarms,
    vanished: bool,
    done: Mutex<mpsc::Sender<Done>>,
}

impl Losable for Fake {
    fn address(&self) -> PciAddress {
        self.address
    }

    fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    fn has_vanished(&self) -> bool {
        self.vanished
    }

    fn quit(&self) -> Result<(), VfioError> {
        let _ = self.done.lock().send(Done::Quit);
        // What a function that has gone says to that.
        Err(VfioError::GivenBack(self.address))
    }

    fn give_back(&self) {
        let _ = self.done.lock().send(Done::GivenBack);
    }
}

/// Hardware that does nothing.
struct Idle;

impl HardwareSend for Idle {
    fn room(&self) -> usize {
        8
    }
    fn accepts(&self) -> Accepts {
        Accepts::default()
    }
    fn put(&mut self, _: &[Piece], _: &Ask) {}
    fn kick(&mut self) {}
    fn reap(&mut self) -> usize {
        0
    }
    fn stop(&mut self) {}
    fn start(&mut self) {}
}

impl HardwareFill for Idle {
    fn room(&self) -> usize {
        8
    }
    fn buffer(&self) -> u32 {
        2048
    }
    fn post(&mut self, _: u64) {}
    fn kick(&mut self) {}
    fn pending(&self) -> bool {
        false
    }
    fn next(&mut self) -> Option<Filled> {
        None
    }
    fn stop(&mut self) {}
    fn start(&mut self) {}
}

impl HardwareLine for Idle {
    fn arm(&self) {}
    fn disarm(&self) {}
}

struct Teller(mpsc::Sender<Done>);

impl Hearing for Teller {
    fn heard(&mut self, vector: usize) {
        let _ = self.0.send(Done::Heard(vector));
    }
}

/// A PF with a device that is on its hardware, and one that is not.
struct Bench {
    name: &'static str,
    function: Arc<Fake>,
    vectors: VectorEvents,
    sentry: Arc<Sentry>,
    hardware: Arc<Port>,
    software: Arc<Port>,
    link: Arc<LinkState>,
    done: mpsc::Receiver<Done>,
    _fabric: Arc<Fabric>,
    _listener: Listener,
}

impl Bench {
    fn new(name: &'static str, vanished: bool) -> Self {
        let (tell, done) = mpsc::channel();
        let function = Arc::new(Fake {
            address: "0000:03:00.0".parse().expect("an address"),
            alarms: Alarms::new().expect("events"),
            vanished,
            done: Mutex::new(tell.clone()),
        });
        let link = Arc::new(LinkState::new(name, true));
        let news = Mutex::new(tell.clone());
        link.watch(Box::new(move |up| {
            let _ = news.lock().send(Done::Link(up));
        }));
        let fabric = Fabric::start(name, 1).expect("workers");
        let slots = || {
            let memory = Arc::new(OwnMemory::new(4096).expect("memory"));
            Slots::new(memory, 0, 0, (2, 2048))
        };
        let lane = LaneParts {
            send: SendLane::new(Box::new(Idle), slots()),
            fill: FillLane::new(Box::new(Idle), slots()),
            line: Arc::new(Idle),
            outside: PortId(0),
            reaching: None,
            exact: Arc::new(AtomicBool::new(true)),
        };
        let seat = |last, lanes| {
            let mut port = Port::new(1, 3, false);
            port.equip(lanes);
            let port = Arc::new(port);
            port.set_running(true);
            let config = PortConfig::cvf(PackedMac::new([2, 0, 0, 0, 0, last]));
            let endpoint = Endpoint::Device(Arc::clone(&port));
            fabric.attach(endpoint, config).expect("a place");
            port
        };
        let (hardware, software) = (seat(1, vec![lane]), seat(2, Vec::new()));
        let vectors = VectorEvents::ours(VECTORS).expect("events");
        let sentry = Sentry::new(name, Arc::clone(&function) as _, &link, &fabric);
        let hearing = sentry.beside(VECTORS, move || Teller(tell));
        let listener = Listener::start(name, &vectors, VECTORS, hearing).expect("a thread");
        Self {
            name,
            function,
            vectors,
            sentry,
            hardware,
            software,
            link,
            done,
            _fabric: fabric,
            _listener: listener,
        }
    }

    fn error(&self) {
        self.function.alarms.error.write(1).expect("room");
    }

    fn request(&self) {
        self.function.alarms.request.write(1).expect("room");
    }

    /// What is done next, in this order.
    fn does(&self, expected: &[Done]) {
        for done in expected {
            let next = self.done.recv_timeout(PATIENCE);
            assert_eq!(next.as_ref(), Ok(done), "{}", self.name);
        }
    }

    /// Waits until the thread has done with what was told before.
    fn settles(&self) {
        self.vectors
            .get(1)
            .expect("an event")
            .write(1)
            .expect("room");
        self.does(&[Done::Heard(1)]);
    }

    /// The reason of who was stopped, which is nobody that does not need it.
    fn stopped(&self) -> String {
        assert!(self.hardware.stopped() && !self.hardware.running());
        let untouched = !self.software.stopped() && self.software.running();
        assert!(untouched, "it loses its way out only");
        let reason = self.hardware.fault().expect("a reason");
        assert_eq!(self.sentry.lost().as_ref(), Some(&reason));
        reason
    }

    fn is_untouched(&self) {
        self.settles();
        assert!(self.done.try_recv().is_err());
        assert!(!self.hardware.stopped() && self.hardware.running());
        assert!(self.link.is_up() && self.sentry.lost().is_none());
    }
}

#[test]
fn an_error_costs_the_pfs_devices_on_hardware_and_nobody_else() {
    let (one, other) = (Bench::new("one", false), Bench::new("other", false));
    one.settles();
    one.error();
    one.does(&[Done::Quit, Done::Link(false)]);
    one.settles();
    assert_eq!(
        one.stopped(),
        "the PF's function 0000:03:00.0 has reported an error that it cannot go on from (PCIe AER)"
    );
    assert!(!one.link.is_up());
    other.is_untouched();
}

#[test]
fn what_the_host_wants_back_is_given_back() {
    let (one, other) = (Bench::new("one", false), Bench::new("other", false));
    one.request();
    one.does(&[Done::Quit, Done::Link(false), Done::GivenBack]);
    one.settles();
    assert!(one.stopped().contains("was wanted back by the host"));
    // The kernel asks again until it has it.
    one.request();
    one.does(&[Done::GivenBack]);
    one.settles();
    other.is_untouched();
}

#[test]
fn what_is_wanted_back_after_an_error_is_given_back_and_the_reason_is_the_first() {
    let one = Bench::new("one", false);
    one.error();
    one.does(&[Done::Quit, Done::Link(false)]);
    // Told again, and nothing more is to be done.
    one.error();
    one.settles();
    one.request();
    one.does(&[Done::GivenBack]);
    one.settles();
    assert!(one.stopped().contains("PCIe AER"));
}

#[test]
fn registers_that_have_gone_are_told_as_such() {
    let one = Bench::new("one", true);
    one.error();
    one.does(&[Done::Quit, Done::Link(false)]);
    one.settles();
    assert!(one.stopped().contains("its registers do not answer"));
}
