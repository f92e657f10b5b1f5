use libcvf::personality::virtio_net::bits;

use super::*;

fn profile(text: &str) -> Profile {
    Profile::parse("test", text).unwrap_or_else(|error| panic!("{error}"))
}

/// What the default profile admits.
fn small() -> Shape {
    Shape {
        queue_pairs: 1,
        vectors: 4,
        rss_table: 0,
        mtu: 1500,
        doorbells: Doorbells::Trapped,
        data_path: DataPath::Auto,
        ring_formats: RingFormats::Split,
        access_vlan: None,
        features: None,
    }
}

fn keys(profile: &Profile, shape: &Shape) -> Vec<&'static str> {
    let refusals = profile.admit(shape).err().unwrap_or_default();
    refusals.iter().map(|refusal| refusal.key).collect()
}

#[test]
fn each_limit_is_kept_at_its_edge() {
    let default = profile("");
    type Case = (fn(&mut Shape), &'static [&'static str]);
    let changed: [Case; 13] = [
        (|_| (), &[]),
        (|s| s.queue_pairs = 2, &["shape.max-queue-pairs"]),
        (|s| s.vectors = 5, &["shape.max-vectors"]),
        (|s| s.rss_table = 128, &[]),
        (|s| s.rss_table = 129, &["shape.max-rss-table"]),
        (|s| s.mtu = 1280, &[]),
        (|s| s.mtu = 1279, &["shape.min-mtu"]),
        (|s| s.mtu = 1501, &["shape.max-mtu"]),
        (
            |s| s.doorbells = Doorbells::Mapped,
            &["shape.mapped-doorbells"],
        ),
        (|s| s.data_path = DataPath::Direct, &["shape.direct"]),
        (
            |s| s.ring_formats = RingFormats::Packed,
            &["shape.ring-formats"],
        ),
        (
            |s| s.ring_formats = RingFormats::Any,
            &["shape.ring-formats"],
        ),
        (|s| s.access_vlan = Some(7), &[]),
    ];
    for (change, refused) in changed {
        let mut shape = small();
        change(&mut shape);
        assert_eq!(keys(&default, &shape), refused, "{shape:?}");
    }
}

/// A worker polls mapped doorbells, and has nothing to do with those of hardware.
#[test]
fn who_may_be_direct_need_not_be_polled() {
    let direct = Shape {
        doorbells: Doorbells::Mapped,
        data_path: DataPath::Direct,
        ..small()
    };
    let trusting = profile("[shape]\ndirect = true");
    assert_eq!(trusting.admit(&direct), Ok(()));
    let polled = Shape {
        data_path: DataPath::Auto,
        ..direct.clone()
    };
    assert_eq!(keys(&trusting, &polled), ["shape.mapped-doorbells"]);
    let refusals = profile("").admit(&direct).expect_err("not trusted");
    assert_eq!(
        refusals[0].reason,
        "data path 'direct' was asked for, which hands the VM and its VMM the whole function, profile 'test' has \
         shape.direct = false"
    );
}

#[test]
fn access_vlans_are_required_or_forbidden() {
    let tagged = Shape {
        access_vlan: Some(7),
        ..small()
    };
    let required = profile("[shape]\naccess-vlan = \"required\"");
    assert_eq!(keys(&required, &small()), ["shape.access-vlan"]);
    assert!(required.admit(&tagged).is_ok());
    let forbidden = profile("[shape]\naccess-vlan = \"forbidden\"");
    assert_eq!(keys(&forbidden, &tagged), ["shape.access-vlan"]);
    assert!(forbidden.admit(&small()).is_ok());
}

#[test]
fn ring_formats_are_those_listed() {
    let both = profile("[shape]\nring-formats = [\"packed\", \"split\"]");
    for ring_formats in [RingFormats::Split, RingFormats::Packed, RingFormats::Any] {
        assert!(
            both.admit(&Shape {
                ring_formats,
                ..small()
            })
            .is_ok()
        );
    }
    let packed = profile("[shape]\nring-formats = [\"packed\"]");
    assert_eq!(keys(&packed, &small()), ["shape.ring-formats"]);
}

#[test]
fn features_asked_for_are_refused_by_the_key_that_withholds_them() {
    let asked = |features| Shape {
        features: Some(features),
        ..small()
    };
    let profile = profile(
        "[control]\nqueue-count = \"allow\"\n[shape]\nmax-queue-pairs = 2\n\
         features-withheld = [\"CSUM\", \"GUEST_UFO\"]",
    );
    assert!(profile.admit(&asked(bits::MQ | bits::GUEST_CSUM)).is_ok());
    let all = profile.admit(&asked(u64::MAX)).expect_err("withheld");
    let keys: Vec<_> = all.iter().map(|refusal| refusal.key).collect();
    assert_eq!(
        keys,
        [
            "shape.features-withheld",
            "control.rss",
            "control.hash-report",
            "control.coalescing"
        ]
    );
    assert_eq!(
        all[0].reason,
        "offering CSUM, GUEST_UFO was asked for, profile 'test' has \
         shape.features-withheld = [\"CSUM\", \"GUEST_UFO\"]"
    );
    assert!(
        profile.admit(&asked(profile.feature_mask())).is_ok(),
        "the mask is what is left"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let greedy = Shape {
        queue_pairs: 64,
        vectors: 130,
        rss_table: 256,
        mtu: 9000,
        doorbells: Doorbells::Mapped,
        data_path: DataPath::Auto,
        ring_formats: RingFormats::Any,
        access_vlan: Some(1),
        features: Some(bits::RSS),
    };
    let profile = profile("[shape]\naccess-vlan = \"forbidden\"");
    let refusals = profile.admit(&greedy).expect_err("greedy");
    assert_eq!(refusals.len(), 10, "{refusals:#?}");
    for refusal in &refusals {
        let (key, said) = (refusal.key, refusal.to_string());
        assert!(
            said.contains("profile 'test'") && said.contains(key),
            "{said}"
        );
    }
}
