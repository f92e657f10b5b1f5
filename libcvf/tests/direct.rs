//! Devices whose rings hardware works itself: when it begins and ends, what it reaches, whom its interrupts tell.

mod guest;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use guest::{Guest, eventually, frame, memory, spec};
use libcvf::control::Permit;
use libcvf::cvf::{
    ComposeError, Cvf, CvfSpec, DataPath, DmaFaults, Interrupts, IrqAction, IrqData, IrqRequest,
    MapRequest, RingFormats, TapError, Wanted,
};
use libcvf::dataplane::{Endpoint, Fabric, Hold, QueueCounters, Reaching, Route, Scratch, Uplink};
use libcvf::ledger::{Ledger, Slice};
use libcvf::offload::{FrameMeta, PackedMeta};
use libcvf::pf::direct::{DirectQueues, DirectRing, DoorbellPages};
use libcvf::pf::{Capabilities, PhysicalFunction, SoftPf, UplinkState};
use libcvf::ring::{BurstBuffers, Payload};
use libcvf::switch::PortConfig;
use nix::sys::eventfd::{EfdFlags, EventFd};

const PATIENCE: Duration = Duration::from_secs(5);
const IN_ORDER: u64 = 1 << 35;

#[derive(Default)]
struct State {
    running: Option<u64>,
    rings: Vec<DirectRing>,
    wired: [Option<OwnedFd>; 2],
    rung: Vec<u16>,
    reach: Vec<(u64, u64, bool)>,
    refuses: Option<&'static str>,
    unreachable: bool,
    stuck: bool,
    stops: usize,
    left: usize,
    asides: Vec<bool>,
    /// What was within reach when it began, in bytes.
    began_with: u64,
}

#[derive(Clone, Default)]
struct Hardware(Arc<Mutex<State>>);

impl Hardware {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }

    fn running(&self) -> bool {
        self.state().running.is_some()
    }

    /// Interrupts as hardware does, if anybody is told.
    fn interrupt(&self, queue: usize) -> bool {
        let state = self.state();
        let told = state.wired[queue].as_ref();
        told.is_some_and(|fd| nix::unistd::write(fd, &1u64.to_ne_bytes()).is_ok())
    }
}

impl DirectQueues for Hardware {
    fn features(&self) -> u64 {
        IN_ORDER | 1 << 5 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 32 | 1 << 40
    }

    fn ring_size(&self) -> u16 {
        guest::SIZE
    }

    fn most_mtu(&self) -> Option<u16> {
        Some(1500)
    }

    fn doorbells(&self) -> Result<DoorbellPages, String> {
        Ok(DoorbellPages {
            fd: memory(0x10_0000),
            offset: 0x3000,
        })
    }

    fn reaching(&self) -> Arc<dyn Reaching> {
        Arc::new(self.clone())
    }

    fn start(&self, features: u64, rings: &[DirectRing]) -> Result<(), String> {
        let mut state = self.state();
        assert_eq!(state.running, None, "it is begun once");
        if let Some(why) = state.refuses {
            return Err(why.into());
        }
        state.running = Some(features);
        state.rings = rings.to_vec();
        state.began_with = state.reach.iter().map(|(_, size, _)| size).sum();
        Ok(())
    }

    fn enable(&self, ring: &DirectRing) -> Result<(), String> {
        let mut state = self.state();
        state.rings.retain(|other| other.queue != ring.queue);
        state.rings.push(*ring);
        Ok(())
    }

    fn disable(&self, queue: u16) -> Result<(), String> {
        let mut state = self.state();
        if state.stuck {
            state.running = None;
            return Err("it does not end".into());
        }
        state.rings.retain(|ring| ring.queue != queue);
        Ok(())
    }

    fn stop(&self) {
        let mut state = self.state();
        state.running = None;
        state.rings.clear();
        state.wired = [None, None];
        state.stops += 1;
    }

    fn ring(&self, queue: u16) {
        self.state().rung.push(queue);
    }

    fn wire(&self, queue: u16, event: Option<BorrowedFd<'_>>) -> Result<(), String> {
        let event = event.map(|event| event.try_clone_to_owned().expect("dup"));
        self.state().wired[usize::from(queue)] = event;
        Ok(())
    }

    fn dma_faults(&self) -> DmaFaults {
        DmaFaults::default()
    }
}

/// Keeps a range within reach.
struct Within(Hardware, u64);

impl Drop for Within {
    fn drop(&mut self) {
        let at = self.1;
        self.0.state().reach.retain(|(guest, ..)| *guest != at);
    }
}

impl Reaching for Hardware {
    fn reach(
        &self,
        guest: u64,
        (_, size): (usize, u64),
        writable: bool,
        _: Hold,
    ) -> Result<(u64, Hold), String> {
        let mut state = self.state();
        if state.unreachable {
            return Err("the IOMMU does not know such addresses".into());
        }
        state.reach.push((guest, size, writable));
        Ok((guest, Arc::new(Within(self.clone(), guest))))
    }
}

struct WholePf {
    soft: Arc<SoftPf>,
    hardware: Hardware,
    handed: AtomicUsize,
}

impl WholePf {
    fn start() -> Arc<Self> {
        Arc::new(Self {
            soft: guest::pf(8),
            hardware: Hardware::default(),
            handed: AtomicUsize::new(0),
        })
    }
}

impl PhysicalFunction for WholePf {
    fn name(&self) -> &str {
        self.soft.name()
    }

    fn kind(&self) -> &'static str {
        "whole"
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.soft.ledger()
    }

    fn fabric(&self) -> &Arc<Fabric> {
        self.soft.fabric()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            direct: true,
            ..Capabilities::default()
        }
    }

    fn direct(&self, _: &Slice) -> Result<Arc<dyn DirectQueues>, String> {
        self.handed.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(self.hardware.clone()))
    }

    fn stand_aside(&self, _: &Slice, aside: bool) -> Result<(), String> {
        let mut state = self.hardware.state();
        assert!(
            state.running.is_none() && state.reach.is_empty(),
            "it has let go of everything"
        );
        state.asides.push(aside);
        Ok(())
    }

    fn leave(&self, _: &Slice) {
        self.hardware.state().left += 1;
    }

    fn uplink(&self) -> Option<UplinkState> {
        None
    }

    fn workers(&self) -> u16 {
        1
    }
}

fn direct(last: u8) -> CvfSpec {
    CvfSpec {
        data_path: DataPath::Direct,
        ..spec(last)
    }
}

fn try_compose(pf: &Arc<WholePf>, spec: CvfSpec) -> Result<Arc<Cvf>, ComposeError> {
    Cvf::compose(Arc::clone(pf) as _, spec, Arc::new(Permit))
}

fn device(pf: &Arc<WholePf>) -> Guest {
    let cvf = try_compose(pf, direct(1)).expect("it is composed");
    Guest::new(&cvf)
}

/// Gives the device its vectors, and the queues theirs, as drivers do before they are ready: queue `n` has `n + 1`.
fn wire(guest: &Guest) -> Vec<EventFd> {
    let flags = EfdFlags::EFD_NONBLOCK;
    let events: Vec<EventFd> = (0..3)
        .map(|_| EventFd::from_flags(flags).expect("an event"))
        .collect();
    let dup = |event: &EventFd| Some(event.as_fd().try_clone_to_owned().expect("dup"));
    set_irqs(
        guest,
        0,
        IrqAction::Trigger,
        IrqData::Events(events.iter().map(dup).collect()),
    );
    for queue in 0..2u16 {
        guest.set(22, &queue.to_le_bytes());
        guest.set(26, &(queue + 1).to_le_bytes());
    }
    events
}

fn set_irqs(guest: &Guest, start: u32, action: IrqAction, data: IrqData) {
    let count = match &data {
        IrqData::Events(events) => events.len() as u32,
        IrqData::Bools(bools) => bools.len() as u32,
        IrqData::None => 1,
    };
    let request = IrqRequest {
        index: 2,
        start,
        count,
        action,
        data,
    };
    guest.cvf.set_irqs(request).expect("it is taken");
}

fn told(event: &EventFd) -> u64 {
    event.read().unwrap_or_default()
}

/// Another piece of memory, at 1 GiB.
fn map_more(guest: &Guest, write: bool) {
    let more = MapRequest {
        iova: 1 << 30,
        size: 0x10000,
        fd: Some(memory(0x10000)),
        fd_offset: 0,
        read: true,
        write,
    };
    guest.cvf.map(more).expect("mapped");
}

fn runs(hardware: &Hardware) {
    eventually(|| hardware.running().then_some(())).expect("hardware begins");
}

#[test]
fn hardware_begins_with_the_rings_and_all_memory_within_reach() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    let taken = guest.start(IN_ORDER | 1 << 17 | 1 << 18);
    runs(&pf.hardware);
    let state = pf.hardware.state();
    assert_eq!(state.running, Some(taken));
    assert_eq!(
        taken & IN_ORDER,
        IN_ORDER,
        "hardware that has no lanes keeps the order"
    );
    let queues: Vec<u16> = state.rings.iter().map(|ring| ring.queue).collect();
    assert_eq!(queues, [0, 1], "the control queue is ours");
    assert_eq!(state.began_with, guest.cvf.health().mapped_bytes);
    drop(state);
    let health = guest.cvf.health();
    assert_eq!((health.driver, health.data_path), ("running", "direct"));
    assert!(!health.worker_polls && health.unenforced.contains(&"rates"));
    assert!(!guest.cvf.counts());
    assert_eq!(
        guest.command(2, &[0, 0, 1]),
        0,
        "commands are answered by us"
    );
    guest.kick(1);
    assert_eq!(
        pf.hardware.state().rung,
        [1],
        "who does not map doorbells is heard"
    );

    guest.set(20, &[0]);
    assert!(
        !pf.hardware.running(),
        "a reset ends it before it is answered"
    );
    guest.start(0);
    runs(&pf.hardware);
}

#[test]
fn doorbells_are_the_hardwares_pages() {
    let pf = WholePf::start();
    let guest = device(&pf);
    let map = guest.cvf.regions()[2]
        .map
        .as_ref()
        .expect("doorbells are mapped");
    assert_eq!(
        (map.fd_offset, &map.areas[..]),
        (0x3000, &[(0, 0x2000)][..])
    );
    assert!(guest.cvf.doorbell_registers().is_empty());
}

#[test]
fn interrupts_tell_the_client_and_follow_it() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    // The queues' vectors survive no reset: the driver sets them while it comes up.
    guest.start(0);
    runs(&pf.hardware);
    assert!(!pf.hardware.interrupt(0), "nobody is told without a vector");
    let events = wire(&guest);
    assert!(
        told(&events[1]) >= 1 && told(&events[2]) >= 1,
        "what came before is made up for"
    );
    assert!(pf.hardware.interrupt(0));
    assert_eq!(told(&events[1]), 1);

    set_irqs(&guest, 1, IrqAction::Mask, IrqData::None);
    assert!(!pf.hardware.interrupt(0));
    set_irqs(&guest, 1, IrqAction::Unmask, IrqData::None);
    assert_eq!(
        told(&events[1]),
        1,
        "what came while it was masked may have been lost"
    );
    assert!(pf.hardware.interrupt(0) && told(&events[1]) == 1);

    // Another event in its place.
    let other = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an event");
    let dup = other.as_fd().try_clone_to_owned().expect("dup");
    set_irqs(
        &guest,
        2,
        IrqAction::Trigger,
        IrqData::Events(vec![Some(dup)]),
    );
    assert_eq!(told(&other), 1);
    assert!(pf.hardware.interrupt(1));
    assert_eq!((told(&other), told(&events[2])), (1, 0));
    set_irqs(&guest, 2, IrqAction::Trigger, IrqData::Events(vec![None]));
    assert!(!pf.hardware.interrupt(1));
}

#[test]
fn memory_comes_and_goes_while_hardware_runs() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    let before = pf.hardware.state().reach.len();
    map_more(&guest, false);
    let reach = pf.hardware.state().reach.clone();
    assert_eq!(
        reach.len(),
        before + 1,
        "within reach before the client is told"
    );
    assert!(reach.contains(&(1 << 30, 0x10000, false)));
    let mut gone = guest.cvf.unmap(1 << 30, 0x10000).expect("unmapped");
    gone.wait(PATIENCE).expect("nobody uses it");
    assert_eq!(
        pf.hardware.state().reach.len(),
        before,
        "out of reach before the client is told"
    );
}

#[test]
fn memory_that_comes_later_and_cannot_be_reached_stops_the_device() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    pf.hardware.state().unreachable = true;
    map_more(&guest, true);
    let reason = guest.cvf.health().reason.expect("it is stopped");
    assert!(reason.contains("does not reach all"), "{reason}");
}

#[test]
fn rings_whose_memory_is_gone_are_not_given_to_hardware() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    guest.set(20, &[0]);
    // Rings are placed while there is memory, which is gone when the driver is ready.
    guest.set(20, &[3]);
    guest.set(8, &1u32.to_le_bytes());
    guest.set(12, &1u32.to_le_bytes());
    guest.set(20, &[11]);
    guest.set(22, &1u16.to_le_bytes());
    guest.set(32, &0x1000u64.to_le_bytes());
    guest.set(40, &0x5000u64.to_le_bytes());
    guest.set(48, &0x9000u64.to_le_bytes());
    guest.set(28, &1u16.to_le_bytes());
    guest
        .cvf
        .unmap_all()
        .wait(PATIENCE)
        .expect("nobody uses it");
    guest.set(20, &[15]);
    assert!(guest.cvf.health().reason.is_some(), "it is stopped");
    assert!(!pf.hardware.running());
}

#[test]
fn a_queue_that_is_reset_after_a_takeover_brings_no_memory_within_reach() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(IN_ORDER | 1 << 40);
    runs(&pf.hardware);
    guest.cvf.stand_aside().expect("a worker takes over");
    guest.set(22, &1u16.to_le_bytes());
    guest.set(58, &1u16.to_le_bytes());
    guest.set(22, &1u16.to_le_bytes());
    guest.set(28, &1u16.to_le_bytes());
    assert_eq!(guest.cvf.health().reason, None);
    assert!(
        pf.hardware.state().reach.is_empty(),
        "ours is within reach now"
    );
}

#[test]
fn memory_out_of_reach_stops_the_device_and_says_so() {
    let pf = WholePf::start();
    pf.hardware.state().unreachable = true;
    let mut guest = device(&pf);
    guest.start(0);
    let reason = eventually(|| guest.cvf.health().reason).expect("it is stopped");
    assert!(
        reason.contains("the IOMMU does not know such addresses"),
        "{reason}"
    );
    assert!(!pf.hardware.running());
    pf.hardware.state().unreachable = false;
    guest.start(0);
    runs(&pf.hardware);
}

#[test]
fn hardware_that_refuses_stops_the_device() {
    let pf = WholePf::start();
    pf.hardware.state().refuses = Some("it refuses");
    let mut guest = device(&pf);
    guest.start(0);
    let reason = eventually(|| guest.cvf.health().reason).expect("it is stopped");
    assert_eq!(reason, "it refuses");
    assert_eq!(guest.status() & 64, 64, "DEVICE_NEEDS_RESET");
}

#[test]
fn what_hardware_lacks_is_not_offered_later_either() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.cvf.reconsider();
    let taken = guest.start(u64::MAX);
    assert_eq!(taken & !pf.hardware.features(), 0, "{taken:#x}");
    runs(&pf.hardware);
}

#[test]
fn a_device_that_is_stopped_has_its_hardware_ended() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    guest.cvf.stop("the operator says so".into());
    assert!(
        !pf.hardware.running(),
        "its driver need not reset it for that"
    );
    guest.start(0);
    runs(&pf.hardware);
}

#[test]
fn a_queue_alone_is_reset_and_comes_back() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(1 << 40);
    runs(&pf.hardware);
    guest.set(22, &1u16.to_le_bytes());
    guest.set(58, &1u16.to_le_bytes());
    assert_eq!(pf.hardware.state().rings.len(), 1);
    guest.set(22, &1u16.to_le_bytes());
    guest.set(28, &1u16.to_le_bytes());
    assert_eq!(pf.hardware.state().rings.len(), 2);
    pf.hardware.state().stuck = true;
    guest.set(22, &0u16.to_le_bytes());
    guest.set(58, &1u16.to_le_bytes());
    let reason = guest.cvf.health().reason.expect("it is stopped");
    assert!(reason.contains("queue 0: it does not end"), "{reason}");
}

#[test]
fn a_device_has_the_pf_alone_and_gives_it_back() {
    let pf = WholePf::start();
    let other = try_compose(&pf, spec(2)).expect("an ordinary one");
    let refused = try_compose(&pf, direct(1))
        .err()
        .expect("somebody is there");
    assert!(
        matches!(refused, ComposeError::NotAlone { owners: 1, .. }),
        "{refused}"
    );
    drop(other);
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    let refused = try_compose(&pf, spec(2))
        .err()
        .expect("it is whole in one hand");
    assert!(
        matches!(refused, ComposeError::Exclusive { .. }),
        "{refused}"
    );
    let left = pf.hardware.state().left;
    let _ = guest.cvf.dismantle().wait(PATIENCE);
    let state = pf.hardware.state();
    assert_eq!((state.left, state.stops), (left + 1, 1));
    assert!(state.running.is_none() && state.reach.is_empty());
    drop(state);
    try_compose(&pf, spec(2)).expect("it is free");
}

#[test]
fn what_fails_later_gives_the_function_back() {
    let pf = WholePf::start();
    let mtu = CvfSpec {
        mtu: 9000,
        ..direct(1)
    };
    let refused = try_compose(&pf, mtu).err().expect("hardware has less");
    assert!(
        matches!(refused, ComposeError::MostMtu { most: 1500, .. }),
        "{refused}"
    );
    assert_eq!(pf.handed.load(Ordering::Relaxed), 1);
    assert_eq!(pf.hardware.state().left, 1);
    assert_eq!(pf.ledger().whole_of(), None);
}

#[test]
fn what_hardware_cannot_do_is_refused() {
    let pf = WholePf::start();
    let wide = CvfSpec {
        queue_pairs: 2,
        ..direct(1)
    };
    let pin = CvfSpec {
        interrupts: Interrupts::Intx,
        ..direct(1)
    };
    let tagged = CvfSpec {
        vlan: Some(7),
        ..direct(1)
    };
    let packed = CvfSpec {
        ring_formats: RingFormats::Packed,
        ..direct(1)
    };
    for spec in [wide, pin, tagged, packed] {
        let refused = try_compose(&pf, spec).err().expect("it is refused");
        assert!(
            matches!(refused, ComposeError::DirectNeeds { .. }),
            "{refused}"
        );
    }
    let soft = Cvf::compose(Arc::clone(&pf.soft) as _, direct(1), Arc::new(Permit));
    let refused = soft.err().expect("a soft PF has no hardware");
    assert!(
        matches!(refused, ComposeError::NoDirect { .. }),
        "{refused}"
    );
    let guest = device(&pf);
    let tap = guest.cvf.tap(Wanted::default());
    assert!(matches!(tap, Err(TapError::Unseen)));
}

/// What is outside.
#[derive(Default)]
struct Outside {
    got: Mutex<Vec<Vec<u8>>>,
    counters: QueueCounters,
}

impl Uplink for Outside {
    fn send(&self, _: &FrameMeta, head: &[u8], tail: Payload<'_>) {
        let mut bytes = vec![0; head.len() + tail.len()];
        bytes[..head.len()].copy_from_slice(head);
        tail.read(&mut bytes[head.len()..]);
        self.got.lock().expect("nobody panics with it").push(bytes);
    }

    fn counters(&self) -> &QueueCounters {
        &self.counters
    }
}

/// Where the guest's used ring of a queue is.
const fn used_ring(queue: u64) -> u64 {
    0x1000 + queue * 0x10000 + 0x8000
}

/// Works a ring as hardware does, in order: `count` entries from `from` on, each with `bytes` in its buffer.
fn work(guest: &Guest, queue: u16, from: u16, count: u16, bytes: &[u8]) {
    for at in from..from + count {
        let slot = at % guest::SIZE;
        let mut entry = u32::from(slot).to_le_bytes().to_vec();
        entry.extend((bytes.len() as u32).to_le_bytes());
        let place = used_ring(queue.into()) + 4 + 8 * u64::from(slot);
        guest.ram.write_all_at(&entry, place).expect("ram");
        let buffer = Guest::buffer(queue, slot);
        guest.ram.write_all_at(bytes, buffer).expect("ram");
    }
    let index = (from + count).to_le_bytes();
    guest
        .ram
        .write_all_at(&index, used_ring(queue.into()) + 2)
        .expect("ram");
}

#[test]
fn a_worker_takes_rings_over_where_hardware_is_and_gives_them_back_at_a_reset() {
    let pf = WholePf::start();
    let outside = Arc::new(Outside::default());
    let endpoint = Endpoint::Uplink(Arc::clone(&outside) as _);
    let port = pf
        .fabric()
        .attach(endpoint, PortConfig::uplink())
        .expect("a port");
    let mut guest = device(&pf);
    guest.start(IN_ORDER);
    runs(&pf.hardware);
    // Hardware fills 40 buffers and sends 40 frames, so that the rings are about to turn over.
    let mut filled = vec![0; 12];
    filled[10] = 1;
    filled.extend(frame(1, 9, 90));
    for round in 0..4u16 {
        work(&guest, 0, round * 10, 10, &filled);
        for _ in 0..10 {
            assert_eq!(guest.poll().expect("a frame").1, frame(1, 9, 90));
            guest.place([0; 12], &frame(9, 1, 70));
        }
        work(&guest, 1, round * 10, 10, &[]);
    }
    // Three more that hardware has not come to.
    for number in 0..3 {
        guest.place([0; 12], &frame(9, 1, 100 + number));
    }
    guest.cvf.stand_aside().expect("a worker takes over");
    let got = || outside.got.lock().expect("nobody panics with it").clone();
    eventually(|| (got().len() == 3).then_some(())).expect("what was waiting is sent");
    assert_eq!(
        got(),
        [frame(9, 1, 100), frame(9, 1, 101), frame(9, 1, 102)]
    );
    for number in 0..200 {
        guest.send(&frame(9, 1, 60 + number));
        eventually(|| (got().len() == 4 + number).then_some(())).expect("it is sent");
    }
    let health = guest.cvf.health();
    assert_eq!((health.data_path, health.unenforced.len()), ("copied", 0));
    assert!(guest.cvf.counts());

    let (buffers, counters) = (BurstBuffers::default(), QueueCounters::default());
    let (mut buffers, mut route, mut scratch) = (buffers, Route::default(), Scratch::default());
    for number in 0..200 {
        let bytes = frame(1, 9, 60 + number);
        let mut burst = buffers.lend();
        burst.push(PackedMeta::PLAIN, &bytes);
        pf.fabric()
            .forward(port, &mut burst, &counters, &mut route, &mut scratch);
        assert_eq!(guest.receive(), Some(bytes), "frame {number} in");
    }
    assert_eq!(pf.hardware.state().asides, [true]);
    assert!(guest.cvf.stand_aside().is_err(), "it has been done");

    guest.start(IN_ORDER);
    runs(&pf.hardware);
    assert_eq!(pf.hardware.state().asides, [true, false]);
    assert_eq!(guest.cvf.health().data_path, "direct");
}

#[test]
fn without_order_nobody_can_take_rings_over() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    guest.start(0);
    runs(&pf.hardware);
    let why = guest
        .cvf
        .stand_aside()
        .expect_err("nobody knows where hardware is");
    assert!(why.contains("IN_ORDER"), "{why}");
    assert!(pf.hardware.running(), "nothing has changed");
    guest.start(IN_ORDER);
    runs(&pf.hardware);
    pf.hardware.state().stuck = true;
    assert!(guest.cvf.stand_aside().is_err());
    assert!(
        guest.cvf.health().reason.is_some(),
        "its driver has to reset it"
    );
    pf.hardware.state().stuck = false;
    guest.start(0);
    runs(&pf.hardware);
}

#[test]
fn who_asks_before_hardware_works_stops_nothing() {
    let pf = WholePf::start();
    let mut guest = device(&pf);
    let refused = |guest: &Guest| {
        let why = guest.cvf.stand_aside().expect_err("no driver is ready");
        assert!(why.contains("does not work its rings yet"), "{why}");
        assert_eq!(guest.cvf.health().reason, None);
    };
    refused(&guest);
    guest.start(IN_ORDER);
    runs(&pf.hardware);
    let _ = guest.cvf.reset();
    refused(&guest);
    guest.start(IN_ORDER);
    runs(&pf.hardware);
    guest.cvf.stand_aside().expect("taken over");
}
