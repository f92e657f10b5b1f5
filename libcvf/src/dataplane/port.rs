//! A CVF's place at the switch, as the data plane sees it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::coalesce::Side;
use super::counters::Counter;
use super::group::{Membership, RateGroup};
use super::interrupts::Interrupts;
use super::lane::{Lane, LaneParts, Reach, Reaching};
use super::neighbours::Neighbours;
use super::pinned::Pinned;
use super::policed::Policed;
use super::queue::{ReceiveQueue, TransmitQueue, VectorCell};
use super::rates::{PortRates, Rates};
use super::stats::QueueStats;
use super::steer::Steering;
use super::stop::Stop;
use super::watch::Taps;
use super::wishes::Wishes;
use crate::control::Identity;
use crate::kept::Versioned;
use crate::mem::{GuestMemory, Regions};
use crate::offload::Accepts;
use crate::switch::PortId;
use crate::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use crate::sync::{ArcSwap, Mutex};

/// A device's data-plane state. Shared between the control side and workers.
pub struct Port {
    id: AtomicU32,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// The device's interrupt lines.
    pub interrupts: Interrupts,
    /// Transmit queues, one per pair.
    pub transmit: Box<[TransmitQueue]>,
    /// Receive queues, one per pair.
    pub receive: Box<[ReceiveQueue]>,
    /// Vector of configuration changes.
    pub config_vector: VectorCell,
    /// Doorbells never come: the worker polls as long as a ring is there.
    pub polled: bool,
    running: AtomicBool,
    active_pairs: AtomicU16,
    /// Which queue gets which frame, where that is a question.
    pub(super) steering: ArcSwap<Steering>,
    steers: AtomicBool,
    /// What the driver asked of its queues.
    pub(super) wishes: Mutex<Wishes>,
    accepts: AtomicU16,
    mtu: AtomicU32,
    policed: AtomicU16,
    /// What it may send and receive.
    pub(super) rates: Rates,
    /// The group that it is in.
    pub(super) group: ArcSwap<Membership>,
    /// What it may say about neighbours.
    pub(super) neighbours: ArcSwap<Neighbours>,
    /// Who looks at what passes here.
    pub(super) taps: Taps,
    /// Whether it was stopped, and why.
    pub(super) stop: Stop,
    away: AtomicBool,
    /// Who it is, in the log; unset where nobody asks.
    pub identity: OnceLock<Identity>,
    /// Hardware queues of its own, by queue pair.
    lanes: Box<[Lane]>,
    /// What of its memory hardware reaches.
    pinned: Pinned,
    /// Bytes of the longest frame that hardware may put into its buffers.
    longest: AtomicU32,
    /// Frames get or lose a tag on their way to and from it.
    edited: AtomicBool,
}

impl Port {
    /// A port that is not yet at a switch.
    pub fn new(pairs: u16, vectors: u16, polled: bool) -> Self {
        Self {
            id: AtomicU32::new(u32::MAX),
            memory: GuestMemory::default(),
            interrupts: Interrupts::new(vectors),
            transmit: (0..pairs).map(|_| TransmitQueue::default()).collect(),
            receive: (0..pairs).map(|_| ReceiveQueue::default()).collect(),
            config_vector: VectorCell::default(),
            polled,
            running: AtomicBool::new(false),
            active_pairs: AtomicU16::new(1),
            steering: ArcSwap::default(),
            steers: AtomicBool::new(false),
            wishes: Mutex::default(),
            accepts: AtomicU16::new(0),
            mtu: AtomicU32::new(u32::MAX),
            policed: AtomicU16::new(0),
            rates: Rates::default(),
            group: ArcSwap::default(),
            neighbours: ArcSwap::default(),
            taps: Taps::default(),
            stop: Stop::default(),
            away: AtomicBool::new(false),
            identity: OnceLock::new(),
            lanes: Box::default(),
            pinned: Pinned::default(),
            longest: AtomicU32::new(0),
            edited: AtomicBool::new(false),
        }
    }

    /// Gives it hardware queues of its own, from its first queue pair on.
    pub fn equip(&mut self, parts: Vec<LaneParts>) {
        let by = parts.iter().find_map(|parts| parts.reaching.clone());
        self.pinned.set_reaching(by);
        let parts = parts.into_iter().zip(&self.transmit);
        let lane = |(parts, queue): (LaneParts, &TransmitQueue)| {
            queue.state.lock().lane = Some(Box::new(parts.send));
            Lane::new(parts.fill, parts.line, parts.outside, parts.exact)
        };
        self.lanes = parts.map(lane).collect();
    }

    /// Hardware queues of its own.
    #[inline]
    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Bytes of the longest frame that hardware may put into its buffers.
    pub fn longest(&self) -> u32 {
        self.longest.load(Ordering::Relaxed)
    }

    /// Sets that; only while hardware has none of its buffers.
    pub(crate) fn set_longest(&self, longest: u32) {
        self.longest.store(longest, Ordering::Relaxed);
    }

    /// Frames get or lose a tag on their way.
    pub(super) fn edited(&self) -> bool {
        self.edited.load(Ordering::Relaxed)
    }

    /// Sets whether they do.
    pub(crate) fn set_edited(&self, edited: bool) {
        self.edited.store(edited, Ordering::Relaxed);
    }

    /// What of its memory they reach.
    pub(super) fn reach(&self) -> &Versioned<Reach> {
        self.pinned.reach()
    }

    /// Has its memory brought within reach of hardware that works its rings.
    pub(crate) fn equip_reaching(&mut self, by: Arc<dyn Reaching>) {
        self.pinned.set_reaching(Some(by));
    }

    /// Brings the memory that it has now within reach of its hardware, piece by piece. Pinning takes time: not for a
    /// thread for which a client waits.
    pub(crate) fn bring_within_reach(&self) {
        self.pinned.bring(&self.memory);
    }

    /// Takes all of its memory out of reach of hardware that worked its rings and has ended.
    pub(crate) fn release_reach(&self) {
        self.pinned.release();
    }

    /// Whether hardware reaches all of its memory.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn all_within_reach(&self) -> Result<bool, String> {
        self.pinned.covers(&self.memory)
    }

    /// The device has left its PF, whose hardware is somebody else's from here on. True for the first who says so.
    pub(crate) fn go(&self) -> bool {
        self.pinned.close()
    }

    /// Somebody brings memory within reach now: until that is done frames are copied.
    pub(super) fn is_pinning(&self) -> bool {
        self.pinned.is_busy()
    }

    /// Says that somebody does; false where somebody does already.
    pub(crate) fn begin_pinning(&self) -> bool {
        self.pinned.begin()
    }

    /// It is done.
    pub(crate) fn end_pinning(&self) {
        self.pinned.end();
    }

    /// Takes out of reach what is not mapped any more. What was there is returned: to be kept until nobody uses it,
    /// and let go before the client is told.
    pub(crate) fn narrow_reach(&self) -> Option<Arc<Reach>> {
        self.pinned.narrow(&self.memory)
    }

    /// Bytes of its memory that its hardware reaches, and why not more.
    pub fn reached(&self) -> (u64, Option<String>) {
        self.pinned.account()
    }

    /// Bytes of payload that were copied on their way to and from its hardware.
    pub fn copied(&self) -> [u64; 2] {
        let of = |counter: fn(&Lane) -> &Counter| {
            self.lanes.iter().map(|lane| counter(lane).get()).sum()
        };
        [of(|lane| &lane.copied_out), of(|lane| &lane.copied_in)]
    }

    /// How many.
    pub(crate) fn lane_count(&self) -> u16 {
        self.lanes.len() as u16
    }

    /// Its frames, or some of them, take hardware of its own: without it the device is nothing.
    pub(crate) fn is_on_hardware(&self) -> bool {
        !self.lanes.is_empty() || self.pinned.is_there()
    }

    /// Takes its hardware queues into use: its driver is ready.
    pub(crate) fn open_lanes(&self) {
        if self.pinned.is_closed() {
            return;
        }
        for (lane, queue) in self.lanes.iter().zip(&self.transmit) {
            if let Some(send) = &mut queue.state.lock().lane {
                send.start();
            }
            let mut inward = lane.inward.lock();
            inward.copies = !self.pinned.is_there();
            inward.fill.start();
        }
    }

    /// Takes its hardware queues into use in the caller's thread, with all of its memory within their reach, and may have
    /// frames of `longest` bytes put into its buffers. For whoever drives the data plane without a device, as with
    /// [`Fabric::serve_lane`](super::Fabric::serve_lane).
    pub fn take_lanes(&self, longest: u32) {
        self.set_longest(longest);
        self.bring_within_reach();
        self.open_lanes();
    }

    /// Ends what its hardware queues do: on return hardware neither reads nor writes for it, unless a worker was
    /// still at it at `until`.
    pub(crate) fn close_lanes(&self, until: Instant) {
        for pair in 0..self.lanes.len() {
            self.close_outward(pair, until);
            self.close_inward(pair, until);
        }
    }

    /// Ends what its hardware sends for a queue pair.
    pub(crate) fn close_outward(&self, pair: usize, until: Instant) {
        if let Some(queue) = self.transmit.get(pair)
            && let Some(mut state) = queue.state.try_lock_until(until)
            && let Some(send) = &mut state.lane
        {
            send.stop();
        }
    }

    /// Ends what its hardware receives for a queue pair.
    pub(crate) fn close_inward(&self, pair: usize, until: Instant) {
        if let Some(lane) = self.lanes.get(pair)
            && let Some(mut inward) = lane.inward.try_lock_until(until)
        {
            lane.line.disarm();
            inward.armed = false;
            inward.again.clear();
            inward.fill.stop();
        }
    }

    /// What came in by its hardware queues.
    pub fn outside_received(&self) -> QueueStats {
        let mut all = QueueStats::default();
        for lane in &self.lanes {
            all.add(&QueueStats::of(&lane.counters));
        }
        all
    }

    /// Its number at the switch.
    pub fn id(&self) -> PortId {
        PortId(self.id.load(Ordering::Relaxed))
    }

    pub(super) fn set_id(&self, id: PortId) {
        self.id.store(id.0, Ordering::Relaxed);
    }

    /// A driver runs, so frames may be delivered.
    pub fn running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Sets whether frames may be delivered.
    pub fn set_running(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Queue pairs in use.
    pub fn active_pairs(&self) -> u16 {
        self.active_pairs.load(Ordering::Relaxed)
    }

    /// At least one, at most what there is.
    pub(super) fn store_active_pairs(&self, pairs: u16) -> u16 {
        let pairs = pairs.clamp(1, self.receive.len() as u16);
        self.active_pairs.store(pairs, Ordering::Relaxed);
        pairs
    }

    /// False: every frame goes to queue 0 and has no hash, whoever asks [`Self::steering`].
    #[inline]
    pub(super) fn steers(&self) -> bool {
        self.steers.load(Ordering::Relaxed)
    }

    /// Steers frames from here on.
    pub(super) fn steer(&self, steering: Steering) {
        let steers = !steering.is_trivial();
        self.steering.store(Arc::new(steering));
        self.steers.store(steers, Ordering::Relaxed);
    }

    /// What its driver takes as it is.
    pub fn accepts(&self) -> Accepts {
        Accepts(self.accepts.load(Ordering::Relaxed))
    }

    /// Sets what its driver takes.
    pub fn set_accepts(&self, accepts: Accepts) {
        self.accepts.store(accepts.0, Ordering::Relaxed);
    }

    /// The MTU its driver agreed to, in bytes; `u32::MAX` where it agreed to none.
    pub fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// Sets the MTU that frames to the driver keep to; `None`: no limit.
    pub fn set_mtu(&self, mtu: Option<u16>) {
        self.mtu
            .store(mtu.map_or(u32::MAX, u32::from), Ordering::Relaxed);
    }

    /// What of its frames has to be looked at.
    #[inline]
    pub(super) fn policed(&self) -> Policed {
        Policed(self.policed.load(Ordering::Acquire))
    }

    /// Puts it into a group with a share of so many bits a second, or takes it out of any. It counts once it is
    /// policed anew.
    pub(crate) fn join(&self, group: Option<Arc<RateGroup>>, share: Option<u64>) {
        self.rates.share.set(share);
        self.group.store(Arc::new(Membership(group)));
    }

    /// Sets how much it may send and receive, and what it may say about neighbours, from the next burst on. One
    /// caller at a time.
    pub fn police(&self, rates: &PortRates, neighbours: Neighbours) {
        let policed = Policed::by(rates, &neighbours, self.group.load().0.is_some());
        self.rates.set(rates);
        self.neighbours.store(Arc::new(neighbours));
        // Whoever sees that there is a check finds what it is.
        self.set_policed(!Policed::TAPPED.0, policed);
    }

    /// Sets that somebody looks at what passes here.
    pub(super) fn watch(&self, watched: bool) {
        let policed = if watched {
            Policed::TAPPED
        } else {
            Policed::default()
        };
        self.set_policed(Policed::TAPPED.0, policed);
    }

    /// Sets those of `bits`.
    fn set_policed(&self, bits: u16, policed: Policed) {
        let set = |before: u16| Some((before & !bits) | policed.0);
        let _ = self
            .policed
            .fetch_update(Ordering::Release, Ordering::Relaxed, set);
    }

    /// Interrupts the driver for a queue and counts it there. It may be a system call: [`Due`](super::due::Due) has it done where no
    /// queue's lock is held.
    pub(super) fn interrupt(&self, side: Side) {
        let receive = |number| self.receive.get(usize::from(number));
        let transmit = |number| self.transmit.get(usize::from(number));
        let found = match side {
            Side::Receive(number) => receive(number).map(|q| (&q.vector, &q.counters)),
            Side::Transmit(number) => transmit(number).map(|q| (&q.vector, &q.counters)),
        };
        if let Some((vector, counters)) = found
            && self.interrupts.queue(vector.get())
        {
            counters.interrupts.add_shared(1);
        }
    }

    /// Notes that a ring's memory is not mapped, so that its queue left the worker's list.
    pub(super) fn set_away(&self) {
        // A swap, so that what was mapped before somebody's vain `take_away` is seen from here on.
        self.away.swap(true, Ordering::AcqRel);
    }

    /// True once after `set_away`: with memory mapped anew the queues want to be scheduled.
    pub fn take_away(&self) -> bool {
        self.away.swap(false, Ordering::AcqRel)
    }

    /// Passes queue `number` (transmit queues first, then receive queues, then lanes): takes and releases its lock, so
    /// that any burst that was inside has ended, and lets go of the memory that the queue kept. False when it is still
    /// busy at `until`.
    fn pass(&self, number: usize, until: Instant) -> bool {
        let queues = self.transmit.len() + self.receive.len();
        if let Some(lane) = number.checked_sub(queues) {
            let inward = self.lanes[lane].inward.try_lock_until(until);
            return inward.is_some_and(|mut inward| {
                inward.reach.forget_if_old(self.pinned.reach());
                self.memory.release(&mut inward.memory);
                true
            });
        }
        match number.checked_sub(self.transmit.len()) {
            None => {
                let state = self.transmit[number].state.try_lock_until(until);
                state.map(|mut state| {
                    self.memory.release(&mut state.memory);
                    state.reach.forget_if_old(self.pinned.reach());
                })
            }
            Some(number) => {
                let state = self.receive[number].state.try_lock_until(until);
                state.map(|mut state| self.memory.release(&mut state.memory))
            }
        }
        .is_some()
    }
}

/// A change that counts once nobody can be using the state before it: a burst holds the locks of
/// its queues from its first access to its last, so every queue has to be passed once.
pub struct Quiescing {
    port: Arc<Port>,
    /// Queues passed so far.
    passed: usize,
    /// Kept until then: dropping it unmaps.
    _before: Option<Arc<Regions>>,
    /// Let go of as soon as that is so: hardware reaches it until then.
    reach: Option<Arc<Reach>>,
}

/// Somebody was still using the old state at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker was still using the device's memory after {0:?}")]
pub struct Stalled(Duration);

impl Quiescing {
    pub(crate) fn new(port: Arc<Port>, before: Option<Arc<Regions>>) -> Self {
        let reach = before.as_ref().and_then(|_| port.narrow_reach());
        Self {
            port,
            passed: 0,
            _before: before,
            reach,
        }
    }

    fn advance(&mut self, until: Instant) -> bool {
        let port = &self.port;
        let queues = port.transmit.len() + port.receive.len() + port.lanes.len();
        while self.passed < queues {
            if !self.port.pass(self.passed, until) {
                return false;
            }
            self.passed += 1;
        }
        // Nobody names it to hardware any more, and what hardware was told before ends here.
        self.reach = None;
        true
    }

    /// Waits at most `deadline`; usually returns at once, for a burst takes microseconds.
    ///
    /// # Errors
    /// [`Stalled`].
    pub fn wait(&mut self, deadline: Duration) -> Result<(), Stalled> {
        if self.advance(Instant::now() + deadline) {
            Ok(())
        } else {
            Err(Stalled(deadline))
        }
    }

    /// True when nobody uses the old state any more. Blocks for about a millisecond at most: a
    /// worker that polls gives its lock away only to somebody who waits for it.
    pub fn try_finish(&mut self) -> bool {
        self.advance(Instant::now() + Duration::from_millis(1))
    }
}
