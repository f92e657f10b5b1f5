use super::*;
use crate::engine::{GroupShare, Reloaded};

fn definition(name: &str, group: &str, tx_share: Option<u32>) -> Definition {
    let mut definition =
        super::super::policy::tests::definition(None, crate::engine::RateLimits::default());
    definition.name = name.to_owned();
    definition.uuid = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes());
    definition.share = GroupShare {
        group: Some(group.to_owned()),
        tx_share,
    };
    definition
}

fn groups(text: &str) -> Arc<Groups> {
    Groups::new(text.parse().expect("groups"))
}

fn config(text: &str) -> Config {
    let args = crate::config::Args::default();
    let mut config = Config::load(&args).expect("a configuration");
    config.rate_groups = text.parse().expect("groups");
    config
}

/// A device that is there, as libcvf has it.
struct Member(Arc<libcvf::cvf::Cvf>);

fn member(groups: &Groups, definition: &Definition) -> Result<Member, String> {
    let pf = libcvf::pf::SoftPf::start(libcvf::pf::SoftPfConfig::new("soft0")).expect("a PF");
    let mut spec = definition.spec();
    spec.policy.group = groups
        .place(&definition.pf, &definition.share)
        .map_err(|error| error.to_string())?;
    let gate = Arc::new(libcvf::control::Permit);
    libcvf::cvf::Cvf::compose(pf, spec, gate)
        .map(Member)
        .map_err(|error| error.to_string())
}

#[test]
fn who_asks_for_more_than_is_left_is_told_what_is() {
    let groups = groups("web=1000");
    let error = groups
        .fits(&definition("vm1", "wbe", None))
        .expect_err("unknown");
    assert!(error.to_string().contains("did you mean 'web'?"), "{error}");
    let one = definition("vm1", "web", Some(800));
    let first = member(&groups, &one).expect("composed");
    let two = definition("vm2", "web", Some(300));
    let error = groups.fits(&two).expect_err("too much").to_string();
    assert!(
        error.contains("800 are guaranteed to other devices"),
        "{error}"
    );
    let error = member(&groups, &two).err().expect("too much");
    assert!(error.contains("ask for no more than 200"), "{error}");
    let view = &groups.view("soft0")[0];
    assert_eq!(
        (view.tx_mbit, view.guaranteed_mbit, view.devices),
        (1000, 800, 1)
    );
    assert_eq!(groups.view("soft1")[0].devices, 0, "each PF has its own");
    assert!(
        groups.fits(&definition("vm1", "web", Some(900))).is_ok(),
        "its own share"
    );
    drop(first);
    assert_eq!(
        groups.view("soft0")[0].devices,
        0,
        "who goes takes its share along"
    );
    let second = member(&groups, &two).expect("there is enough now");
    let mut policy = second.0.policy();
    policy.group = None;
    second.0.set_policy(policy).expect("it leaves");
    assert_eq!(groups.view("soft0")[0].devices, 0);
}

#[test]
fn a_reload_takes_from_nobody_what_he_is_defined_with_and_names_him() {
    let book = Book {
        rates: "web=1000,db=5".parse().expect("groups"),
        ..Book::default()
    };
    let sharer = |name: &str, group: &str, tx_share, runs| Sharer {
        name: name.to_owned(),
        pf: "soft0".to_owned(),
        share: GroupShare {
            group: Some(group.to_owned()),
            tx_share,
        },
        runs,
    };
    let all = [
        sharer("a", "web", Some(800), false),
        sharer("b", "web", Some(900), false),
        sharer("c", "web", Some(900), true),
        sharer("d", "db", None, false),
        sharer("e", "gone", Some(7), true),
    ];
    let check = |text: &str| book.check(&text.parse().expect("groups"), &all);
    assert_eq!(check("web=1000,db=5"), Ok(()), "nothing changes");
    assert_eq!(check("web=900,db=1"), Ok(()), "each alone has enough");
    for (text, expected) in [
        ("web=899,db=5", "is to be guaranteed to 'b', which"),
        ("web=1,db=5", "to 'a', 'b', which could not be started"),
        ("web=1000", "group 'db' is gone, and 'd' is defined in it"),
        ("db=5", "'a', 'b', 'c' are defined in it, started or not"),
        ("db=5", "'cvfctl set a group=none'"),
    ] {
        let why = check(text).expect_err(text);
        assert!(why.contains(expected), "{text}: {why}");
    }
}

#[test]
fn a_reload_takes_other_rates_and_refuses_what_would_break_a_promise() {
    let groups = groups("web=1000,db=5");
    let part = GroupRates(groups.clone(), Weak::new());
    let first = member(&groups, &definition("vm1", "web", Some(800))).expect("composed");
    for (text, expected) in [
        ("web=799", "guarantees 800 to its devices"),
        (
            "db=5",
            "group 'web' is gone, and 1 device on PF soft0 is in it",
        ),
    ] {
        let why = part.prepare(&config(text)).err().expect(text);
        assert!(why.contains(expected), "{why}");
        assert_eq!(groups.view("soft0").len(), 2, "nothing has changed");
    }
    let prepared = part.prepare(&config("web=900,new=7")).expect("good");
    prepared.commit(&mut Reloaded::default());
    let shown: Vec<_> = groups
        .view("soft0")
        .into_iter()
        .map(|g| (g.name, g.tx_mbit))
        .collect();
    assert_eq!(shown, [("new".to_owned(), 7), ("web".to_owned(), 900)]);
    assert_eq!(
        first.0.policy().group.expect("in it").group.census().0,
        900_000_000
    );
    drop(first);
    part.prepare(&config("none"))
        .expect("nobody is in it")
        .commit(&mut Reloaded::default());
    assert!(groups.fits(&definition("vm1", "web", None)).is_err());
}

/// Who joined a group while it was taken away keeps it; nobody joins it after him.
#[test]
fn a_group_that_is_gone_takes_nobody_in() {
    let groups = groups("web=1000");
    let one = definition("vm1", "web", None);
    let first = member(&groups, &one).expect("composed");
    groups.0.lock().adopt("none".parse().expect("no groups"));
    let error = groups.fits(&definition("vm2", "web", None));
    assert!(
        error
            .expect_err("gone")
            .to_string()
            .contains("no such group")
    );
    drop(first);
}
