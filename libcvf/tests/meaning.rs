//! Whatever is sent, and whatever its sender leaves to the device: what arrives is what was meant, in the form that its
//! receiver takes, and what the receiver is told of it is right. Frames go from virtio to adaptive virtual functions and on
//! from there, through the data plane as it is.

#[path = "avf/driver.rs"]
mod driver;
mod guest;
#[path = "meaning/mod.rs"]
mod model;

use std::sync::Arc;

use guest::{compose, pf, spec};
use libcvf::cvf::{Cvf, CvfSpec, Model};
use model::avf::{Avf, Extra, Settings};
use model::frames::{self, Frame, Spec, TCP, UDP};
use model::virtio::{Virtio, bits};
use model::{Arrived, Ask, Layout, Told, join};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What the four devices are.
#[derive(Clone, Debug)]
struct Setting {
    mtu: u16,
    /// Of the virtio driver at the end.
    features: u64,
    buffer: u32,
    functions: [Settings; 2],
}

/// One frame and what becomes of it on its way.
#[derive(Clone, Debug)]
struct Trip {
    spec: Spec,
    /// Bytes that a frame may carry, in thousandths of what it may at most.
    fill: u32,
    large: bool,
    checksum: bool,
    size: u16,
    layouts: [Layout; 3],
    extras: [Extra; 2],
    /// What arrives in pieces is sent on as one.
    joins: [bool; 2],
}

fn offloads() -> impl Strategy<Value = (u64, u32)> {
    let set = |bit: u64| any::<bool>().prop_map(move |on| if on { bit } else { 0 });
    let kinds = (
        set(bits::GUEST_TSO4),
        set(bits::GUEST_TSO6),
        set(bits::GUEST_ECN),
        set(bits::GUEST_UFO),
        set(bits::GUEST_USO4),
        set(bits::GUEST_USO6),
    );
    let buffers = select(vec![1526, 2048, 4096, 100_000]);
    (prop::bool::weighted(0.8), kinds, any::<bool>(), buffers).prop_map(
        |(checksum, kinds, merge, buffer)| {
            let mut features = 0;
            if checksum {
                features = bits::GUEST_CSUM | kinds.0 | kinds.1 | kinds.3 | kinds.4 | kinds.5;
                if features & (bits::GUEST_TSO4 | bits::GUEST_TSO6) != 0 {
                    features |= kinds.2;
                }
            }
            if merge {
                return (features | bits::MRG_RXBUF, buffer);
            }
            (features, 66_000)
        },
    )
}

fn settings() -> impl Strategy<Value = Settings> {
    let buffer = select(vec![1024u32, 1536, 2048, 4096]);
    let key = prop::option::of(any::<[u8; 32]>());
    let crc = prop::bool::weighted(0.2);
    (buffer, any::<bool>(), key, any::<bool>(), crc).prop_map(|(buffer, strip, key, flex, crc)| {
        Settings {
            buffer,
            strip: strip && !crc,
            key: key.map(|half| [&half[..], &half[..8]].concat().try_into().expect("40")),
            flex,
            crc,
        }
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let mtu = select(vec![1500u16, 1500, 4000, 9000]);
    (mtu, offloads(), settings(), settings()).prop_map(|(mtu, (features, buffer), a, b)| {
        let mut functions = [a, b];
        for function in &mut functions {
            // At most five buffers to a frame.
            if mtu > 4000 {
                function.buffer = function.buffer.max(2048);
            }
        }
        Setting {
            mtu,
            features,
            buffer,
            functions,
        }
    })
}

fn layout() -> impl Strategy<Value = Layout> {
    (vec(any::<u16>(), 0..8), any::<bool>(), any::<bool>()).prop_map(
        |(cuts, header_alone, indirect)| Layout {
            cuts,
            header_alone,
            indirect,
        },
    )
}

fn extra() -> impl Strategy<Value = Extra> {
    any::<(bool, bool, bool, bool)>().prop_map(|(insert, outer, ip, crc)| Extra {
        insert,
        outer,
        ip,
        crc,
    })
}

fn trip() -> impl Strategy<Value = Trip> {
    let fill = prop_oneof![3 => 0u32..=1000, 1 => Just(0), 1 => Just(1000)];
    (
        (frames::spec(), fill, any::<bool>(), any::<bool>()),
        600u16..9000,
        [layout(), layout(), layout()],
        [extra(), extra()],
        any::<[bool; 2]>(),
    )
        .prop_map(|(frame, size, layouts, extras, joins)| {
            let (spec, fill, large, checksum) = frame;
            Trip {
                spec,
                fill,
                large,
                checksum,
                size,
                layouts,
                extras,
                joins,
            }
        })
}

impl Trip {
    /// The frame, and what its sender leaves to the device. No segment is longer than the MTU.
    fn begin(&self, mtu: u16) -> (Spec, Ask) {
        let mut spec = self.spec.clone();
        let overhead = spec.overhead();
        let longest = usize::from(mtu) - overhead;
        let size = usize::from(self.size).min(longest);
        let fits = spec.can_be_partial() && size >= 64;
        let fill = |least: usize, most: usize| least + (most - least) * self.fill as usize / 1000;
        if self.large && fits {
            // A length is of 16 bits.
            spec.payload = fill(size + 1, 65_535 - overhead);
            // What is left to be computed cannot be without.
            spec.unchecked = false;
            // Extension headers are no hindrance to segments, but to fragments.
            let bare = match &spec.net {
                frames::Net::V6 { extensions } => extensions.is_empty(),
                _ => true,
            };
            let fragments = bare && spec.ident.is_multiple_of(3);
            if fragments && matches!(spec.net, frames::Net::V6 { .. }) {
                // Each fragment has a header of eight bytes more.
                spec.payload = spec.payload.min(65_535 - overhead - 8);
            }
            // The UDP header is a part of what is cut.
            let ask = match spec.protocol {
                TCP => Ask::Tcp(size as u16),
                _ if fragments => Ask::Fragments((size as u16 - 8) / 8 * 8),
                _ => Ask::Udp(size as u16),
            };
            return (spec, ask);
        }
        let least = if spec.headers() < 40 { 26 } else { 1 };
        spec.payload = fill(least, longest);
        if let Some((at, more)) = spec.fragment {
            // No packet ends beyond 65,535 bytes, and parts are of eight, but for the last.
            if more {
                spec.payload = (spec.payload / 8 * 8).max(8);
            }
            spec.fragment = Some((at, more));
        }
        if self.checksum && spec.can_be_partial() {
            spec.unchecked = false;
            return (spec, Ask::Checksum);
        }
        (spec, Ask::Nothing)
    }
}

fn device(pf: &Arc<libcvf::pf::SoftPf>, last: u8, model: Model, mtu: u16) -> Arc<Cvf> {
    let spec = CvfSpec {
        model,
        mtu,
        ..spec(last)
    };
    compose(pf, spec)
}

/// What one frame became is what was meant; returns it as it would be uncut.
fn judge(meant: &Frame, ask: Ask, arrived: &[Arrived], hears: bool) -> Frame {
    assert!(!arrived.is_empty(), "nothing arrived of {ask:?}");
    let whole = join(arrived, ask);
    assert_eq!(whole.meaning(), meant.meaning());
    let finished = ask != Ask::Nothing;
    let fragments = matches!(ask, Ask::Fragments(_));
    for arrived in arrived {
        let frame = &arrived.frame;
        // Of headers that are longer than what is looked at nothing is known, nor of those that hardware would not
        // look behind.
        let known = frame.end <= 128 && (!frame.v6 || frame.l4 == frame.l3 + 40);
        match arrived.told {
            Told::Nothing if known && hears && !fragments => {
                assert!(!finished, "a checksum that was computed here is right");
            }
            Told::Nothing => {}
            Told::Valid | Told::Partial => {
                assert!(finished && frame.field().is_some(), "nobody looked at that");
            }
        }
    }
    whole
}

/// What a frame becomes for a receiver that takes no large ones.
fn pieces(spec: &Spec, ask: Ask) -> usize {
    match ask {
        Ask::Nothing | Ask::Checksum => 1,
        Ask::Tcp(size) | Ask::Udp(size) => spec.payload.div_ceil(size.into()),
        Ask::Fragments(size) => (8 + spec.payload).div_ceil(size.into()),
    }
}

/// With its addresses replaced.
fn readdressed(frame: &Frame, to: u8, from: u8) -> Frame {
    let mut frame = frame.clone();
    (frame.bytes[5], frame.bytes[11]) = (to, from);
    frame
}

/// How an adaptive virtual function's driver sends on what arrived: as it came, or as one that is to be cut.
fn onward(arrived: &[Arrived], whole: &Frame, joins: bool, checksum: bool) -> Vec<(Frame, Ask)> {
    let first = &arrived[0].frame;
    if joins && arrived.len() > 1 && first.fragment.is_none() {
        let size = (first.bytes.len() - first.end) as u16;
        let ask = match whole.protocol {
            TCP => Ask::Tcp(size),
            _ => Ask::Udp(size),
        };
        return vec![(whole.clone(), ask)];
    }
    let each = arrived.iter().map(|arrived| {
        let frame = arrived.frame.clone();
        let has = frame
            .field()
            .is_some_and(|at| frames::get(&frame.bytes, at) != 0);
        let ask = if checksum && has {
            Ask::Checksum
        } else {
            Ask::Nothing
        };
        (frame, ask)
    });
    each.collect()
}

fn run(setting: &Setting, trips: &[Trip]) {
    let pf = pf(8);
    let mtu = setting.mtu;
    let cvfs = [
        device(&pf, 1, Model::VirtioNet, mtu),
        device(&pf, 2, Model::Avf, mtu),
        device(&pf, 3, Model::Avf, mtu),
        device(&pf, 4, Model::VirtioNet, mtu),
    ];
    let mut first = Virtio::start(&cvfs[0], bits::SENDS, 2048);
    let [second, third] = setting.functions.clone();
    let mut second = Avf::start(&cvfs[1], second);
    let mut third = Avf::start(&cvfs[2], third);
    let mut last = Virtio::start(&cvfs[3], setting.features, setting.buffer);
    let hears = setting.features & bits::GUEST_CSUM != 0;
    for trip in trips {
        let (spec, ask) = trip.begin(mtu);
        // From the virtio driver to a function, and for comparison to another virtio driver.
        let frame = spec.build(4, 1);
        first.send(&frame, ask, &trip.layouts[0]);
        judge(&frame, ask, &last.take(), hears);
        let frame = spec.build(2, 1);
        first.send(&frame, ask, &trip.layouts[0]);
        let arrived = second.take();
        let whole = judge(&frame, ask, &arrived, true);
        // From there to another function.
        let mut pieces = Vec::new();
        let [near, far] = trip.extras;
        for (frame, ask) in onward(&arrived, &whole, trip.joins[0], trip.checksum) {
            let frame = readdressed(&frame, 3, 2);
            second.send(&frame, ask, near, &trip.layouts[1]);
            let arrived = third.take();
            judge(&frame, ask, &arrived, true);
            pieces.extend(arrived);
        }
        let again = join(&pieces, ask);
        assert_eq!(again.meaning(), frame.meaning());
        // And to a virtio driver at the end.
        let mut ends = Vec::new();
        for (frame, ask) in onward(&pieces, &again, trip.joins[1], !trip.checksum) {
            let frame = readdressed(&frame, 4, 3);
            third.send(&frame, ask, far, &trip.layouts[2]);
            let arrived = last.take();
            judge(&frame, ask, &arrived, hears);
            ends.extend(arrived);
        }
        assert_eq!(join(&ends, ask).meaning(), frame.meaning());
    }
    // All of them at once, from either.
    let asked: Vec<_> = trips.iter().map(|trip| trip.begin(mtu)).collect();
    for (nth, (trip, (spec, ask))) in trips.iter().zip(&asked).enumerate() {
        first.place(nth, &spec.build(2, 1), *ask, &trip.layouts[0]);
    }
    first.kick();
    let mut all = second.take();
    for (spec, ask) in &asked {
        let mine: Vec<_> = all.drain(..pieces(spec, *ask).min(all.len())).collect();
        judge(&spec.build(2, 1), *ask, &mine, true);
    }
    assert!(all.is_empty());
    let done = |(spec, ask): &(Spec, Ask)| match ask {
        Ask::Fragments(_) => (spec.clone(), Ask::Checksum),
        _ => (spec.clone(), *ask),
    };
    let asked: Vec<_> = asked.iter().map(done).collect();
    let fits =
        |(spec, ask): &(Spec, Ask)| *ask != Ask::Checksum || spec.payload < usize::from(mtu) - 128;
    for (nth, (trip, one)) in trips.iter().zip(&asked).enumerate() {
        if fits(one) {
            second.place(
                nth,
                &one.0.build(3, 2),
                one.1,
                trip.extras[0],
                &trip.layouts[1],
            );
        }
    }
    second.kick();
    let mut all = third.take();
    for (spec, ask) in asked.iter().filter(|one| fits(one)) {
        let mine: Vec<_> = all.drain(..pieces(spec, *ask).min(all.len())).collect();
        judge(&spec.build(3, 2), *ask, &mine, true);
    }
    assert!(all.is_empty());
    for cvf in &cvfs {
        assert_eq!(cvf.health().reason, None);
    }
}

/// A frame that goes all ways, and nothing particular about them.
fn simple(spec: Spec, fill: u32, size: u16) {
    let settings = Settings {
        buffer: 2048,
        strip: false,
        key: Some([0x6d; 40]),
        flex: false,
        crc: false,
    };
    let setting = Setting {
        mtu: 1500,
        features: 0,
        buffer: 66_000,
        functions: [settings.clone(), settings],
    };
    let layout = Layout {
        cuts: Vec::new(),
        header_alone: false,
        indirect: false,
    };
    let extra = Extra {
        insert: false,
        outer: false,
        ip: false,
        crc: false,
    };
    let trip = Trip {
        spec,
        fill,
        large: size > 0,
        checksum: true,
        size,
        layouts: [layout.clone(), layout.clone(), layout],
        extras: [extra; 2],
        joins: [false; 2],
    };
    run(&setting, &[trip]);
}

fn bare(protocol: u8) -> Spec {
    Spec {
        tags: Vec::new(),
        net: frames::Net::V4 { options: 0 },
        fragment: None,
        protocol,
        options: 0,
        flags: 0x10,
        sequence: 7,
        ident: 0,
        unchecked: false,
        payload: 0,
        seed: 0,
    }
}

/// Its headers end behind what is copied of them: two tags were not found, and the second counted as payload.
#[test]
fn a_frame_with_two_tags_and_long_headers_may_be_as_long_as_any() {
    let spec = Spec {
        tags: vec![(0x8100, 5), (0x8100, 6)],
        net: frames::Net::V6 {
            extensions: vec![(60, 1), (60, 2)],
        },
        options: 3,
        ..bare(TCP)
    };
    simple(spec.clone(), 0, 9000);
    simple(spec, 1000, 0);
}

/// A datagram is hashed by its ports, which the fragments that it becomes do not show: they were given its hash.
#[test]
fn fragments_are_not_hashed_by_ports() {
    simple(bare(UDP), 100, 1400);
}

/// IP says lengths up to 65,535.
#[test]
fn the_longest_datagram_becomes_fragments() {
    simple(bare(UDP), 1000, 1400);
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_arrives_is_what_was_meant(setting in setting(), trips in vec(trip(), 1..6)) {
        run(&setting, &trips);
    }
}
