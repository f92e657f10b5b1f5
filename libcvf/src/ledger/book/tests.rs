use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Slice;
use super::*;

fn totals() -> Request {
    Request {
        queue_pairs: 64,
        rss_domains: 16,
        vectors: 128,
        doorbell_pages: 129,
        filters: 256,
    }
}

fn pairs(queue_pairs: u32) -> Request {
    Request {
        queue_pairs,
        ..Request::default()
    }
}

fn short(error: CutError) -> Shortage {
    match error {
        CutError::Short(shortage) => shortage,
        other => panic!("{other}"),
    }
}

fn numbers(slice: &Slice) -> Vec<u32> {
    slice.queue_pairs().iter().map(u32::from).collect()
}

#[test]
fn a_slice_holds_what_was_asked_for_lowest_first() {
    let ledger = Ledger::new("soft0", &totals());
    let request = Request {
        queue_pairs: 4,
        rss_domains: 1,
        vectors: 10,
        doorbell_pages: 9,
        filters: 3,
    };
    let a = ledger.cut("a", &request).unwrap();
    let b = ledger.cut("b", &request).unwrap();
    assert_eq!(numbers(&a), [0, 1, 2, 3]);
    assert_eq!(numbers(&b), [4, 5, 6, 7]);
    assert_eq!(a.counts(), request);
    assert_eq!(b.vectors().to_string(), "10-19");
    assert_eq!(b.doorbell_pages().first().map(u32::from), Some(9));
    assert_eq!((a.owner(), b.owner()), ("a", "b"));

    a.release();
    let c = ledger.cut("c", &pairs(6)).unwrap();
    assert_eq!(numbers(&c), [0, 1, 2, 3, 8, 9]);
    assert_eq!(c.queue_pairs().to_string(), "0-3,8-9");
    assert!(c.vectors().is_empty());
}

#[test]
fn a_refusal_names_the_first_short_resource_and_takes_nothing() {
    let ledger = Ledger::new("soft0", &totals());
    let _held = ledger.cut("a", &pairs(62)).unwrap();
    let before = ledger.inventory();
    let asked = Request {
        queue_pairs: 4,
        vectors: 1000,
        ..Request::default()
    };
    let refused = ledger.cut("b", &asked).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "PF soft0 has 2 of 64 queue pairs free, 4 were asked for"
    );
    let refused = ledger
        .cut(
            "b",
            &Request {
                vectors: 129,
                filters: 1,
                ..pairs(2)
            },
        )
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "PF soft0 has 128 of 128 vectors free, 129 were asked for"
    );
    assert_eq!(ledger.inventory(), before);
    assert_eq!(ledger.owners(None, 10).len(), 1);

    let empty = Ledger::new("none", &Request::default());
    let one = Request {
        rss_domains: 1,
        ..Request::default()
    };
    let refused = empty.cut("a", &one).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "PF none has 0 of 0 RSS domains free, 1 was asked for"
    );
}

#[test]
fn who_has_the_whole_is_alone_and_gets_it_only_alone() {
    let ledger = Ledger::new("nic0", &totals());
    let part = ledger.cut("a", &pairs(1)).unwrap();
    let refused = ledger.cut_whole("b", &pairs(1)).unwrap_err();
    assert!(
        matches!(&refused, CutError::NotAlone { owners: 1, first, .. } if first == "a"),
        "{refused}"
    );
    drop(part);
    let whole = ledger.cut_whole("b", &pairs(1)).unwrap();
    assert_eq!(ledger.whole_of().as_deref(), Some("b"));
    for refused in [
        ledger.cut("c", &pairs(1)).unwrap_err(),
        ledger.cut_whole("c", &pairs(1)).unwrap_err(),
    ] {
        assert!(
            matches!(&refused, CutError::Exclusive { owner, .. } if owner == "b"),
            "{refused}"
        );
    }
    drop(whole);
    assert_eq!(ledger.whole_of(), None);
    ledger.cut("c", &pairs(64)).unwrap();
    let too_much = ledger.cut_whole("d", &pairs(65)).unwrap_err();
    assert_eq!(short(too_much).resource, Resource::QueuePairs);
    assert_eq!(ledger.whole_of(), None, "what was refused took nothing");
}

#[test]
fn the_last_unit_can_be_had_and_one_more_cannot() {
    let ledger = Ledger::new("soft0", &totals());
    let all = ledger.cut("a", &totals()).unwrap();
    assert!(ledger.inventory().iter().all(|(_, _, free)| free == 0));
    for resource in Resource::ALL {
        let mut counts = [0; 5];
        counts[resource as usize] = 1;
        let [queue_pairs, rss_domains, vectors, doorbell_pages, filters] = counts;
        let one = Request {
            queue_pairs,
            rss_domains,
            vectors,
            doorbell_pages,
            filters,
        };
        assert_eq!(short(ledger.cut("b", &one).unwrap_err()).resource, resource);
    }
    assert!(ledger.cut("nothing", &Request::default()).is_ok());
    drop(all);
    assert!(
        ledger
            .inventory()
            .iter()
            .all(|(_, total, free)| total == free)
    );
}

#[test]
fn inventory_lists_every_kind_by_its_name() {
    let ledger = Ledger::new("soft0", &totals());
    let _a = ledger
        .cut(
            "a",
            &Request {
                filters: 6,
                ..pairs(4)
            },
        )
        .unwrap();
    let listed: Vec<_> = ledger
        .inventory()
        .iter()
        .map(|(r, total, free)| (r.name(), total, free))
        .collect();
    assert_eq!(
        listed,
        [
            ("queue-pairs", 64, 60),
            ("rss-domains", 16, 16),
            ("vectors", 128, 128),
            ("doorbell-pages", 129, 129),
            ("filters", 256, 250),
        ]
    );
}

#[test]
fn owners_are_paged_in_the_order_in_which_they_came() {
    let ledger = Ledger::new("soft0", &totals());
    let names = ["a", "b", "c", "d"];
    let mut slices: Vec<_> = names
        .iter()
        .map(|n| ledger.cut(n, &pairs(1)).unwrap())
        .collect();
    slices.remove(1).release();
    let first = ledger.owners(None, 2);
    let second = ledger.owners(first.last().map(|owner| owner.slice), 2);
    let name = |page: &[Owner]| page.iter().map(|o| o.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (name(&first), name(&second)),
        (vec!["a".into(), "c".into()], vec!["d".into()])
    );
    assert!(
        ledger
            .owners(second.last().map(|owner| owner.slice), 2)
            .is_empty()
    );
    assert_eq!(first[0].holds, pairs(1));
    assert_eq!(first[1].slice, slices[1].id());
}

#[test]
fn a_slice_outlives_every_other_handle_on_its_ledger() {
    let ledger = Ledger::new("soft0", &totals());
    let slice = ledger.cut("a", &pairs(2)).unwrap();
    drop(ledger);
    assert_eq!(slice.ledger().inventory().free(Resource::QueuePairs), 62);
    assert_eq!(slice.ledger().pf(), "soft0");
}

#[test]
fn sixty_five_thousand_slices_fit_and_return() {
    const N: u32 = 65_536;
    let each = Request {
        queue_pairs: 1,
        rss_domains: 1,
        vectors: 4,
        doorbell_pages: 3,
        filters: 8,
    };
    let totals = Request {
        queue_pairs: N,
        rss_domains: N,
        vectors: 4 * N,
        doorbell_pages: 3 * N,
        filters: 8 * N,
    };
    let ledger = Ledger::new("big", &totals);
    let mut slices: Vec<_> = (0..N)
        .map(|_| Some(ledger.cut("x", &each).unwrap()))
        .collect();
    assert!(ledger.cut("x", &each).is_err());
    // Every other one first: as fragmented as it gets.
    for slice in slices.iter_mut().step_by(2) {
        *slice = None;
    }
    let scattered = ledger.cut("y", &pairs(100)).unwrap();
    assert_eq!(
        numbers(&scattered),
        (0..100).map(|i| 2 * i).collect::<Vec<_>>()
    );
    drop((scattered, slices));
    assert_eq!(ledger.inventory().free, totals.counts());
    let whole = ledger.cut("z", &totals).unwrap();
    assert_eq!(whole.queue_pairs().ranges().len(), 1, "joined again");
}

#[test]
fn many_threads_never_share_a_unit() {
    let ledger = Ledger::new("soft0", &pairs(64));
    std::thread::scope(|scope| {
        let rounds = |who: &'static str| {
            let ledger = &ledger;
            move || {
                for i in 0..2000u32 {
                    let Ok(slice) = ledger.cut(who, &pairs(i % 40 + 1)) else {
                        continue;
                    };
                    assert_eq!(slice.queue_pairs().len(), i % 40 + 1);
                    let all = ledger.owners(None, 64);
                    assert!(all.iter().map(|o| o.holds.queue_pairs).sum::<u32>() <= 64);
                }
            }
        };
        scope.spawn(rounds("a"));
        scope.spawn(rounds("b"));
        scope.spawn(rounds("c"));
    });
    assert_eq!(ledger.inventory().free(Resource::QueuePairs), 64);
    assert!(ledger.owners(None, 1).is_empty());
}

#[derive(Clone, Debug)]
enum Op {
    Cut(Request),
    Release(usize),
}

fn small() -> Request {
    Request {
        queue_pairs: 24,
        rss_domains: 5,
        vectors: 40,
        doorbell_pages: 33,
        filters: 20,
    }
}

fn op() -> impl Strategy<Value = Op> {
    let cut = (0u32..9, 0u32..3, 0u32..12, 0u32..12, 0u32..8).prop_map(|(q, r, v, d, f)| {
        Op::Cut(Request {
            queue_pairs: q,
            rss_domains: r,
            vectors: v,
            doorbell_pages: d,
            filters: f,
        })
    });
    prop_oneof![3 => cut, 2 => any::<usize>().prop_map(Op::Release)]
}

/// The identifiers of a slice, per resource, and its filters as that many anonymous units.
fn held(slice: &Slice) -> [BTreeSet<u32>; 4] {
    [
        slice.queue_pairs().iter().map(u32::from).collect(),
        slice.rss_domains().iter().map(u32::from).collect(),
        slice.vectors().iter().map(u32::from).collect(),
        slice.doorbell_pages().iter().map(u32::from).collect(),
    ]
}

proptest! {
    /// Against sets of identifiers: exact refusals, lowest first, no overlap, no leak.
    #[test]
    fn it_behaves_as_sets_of_free_identifiers(ops in proptest::collection::vec(op(), 0..80)) {
        let totals = small().counts();
        let ledger = Ledger::new("model", &small());
        let mut free: [BTreeSet<u32>; 4] = std::array::from_fn(|i| (0..totals[i]).collect());
        let mut filters = totals[4];
        let mut slices = Vec::new();
        for op in ops {
            match op {
                Op::Cut(request) => {
                    let asked = request.counts();
                    let has: [u32; 5] =
                        std::array::from_fn(|i| free.get(i).map_or(filters, |s| s.len() as u32));
                    let short = Resource::ALL.into_iter().find(|&r| asked[r as usize] > has[r as usize]);
                    match (ledger.cut("owner", &request), short) {
                        (Ok(slice), None) => {
                            for (i, ids) in held(&slice).into_iter().enumerate() {
                                let lowest: BTreeSet<u32> =
                                    free[i].iter().copied().take(asked[i] as usize).collect();
                                prop_assert_eq!(&ids, &lowest);
                                free[i].retain(|id| !ids.contains(id));
                            }
                            filters -= slice.filters();
                            prop_assert_eq!(slice.counts(), request);
                            slices.push(slice);
                        }
                        (Err(shortage), Some(resource)) => {
                            let i = resource as usize;
                            prop_assert_eq!(self::short(shortage), Shortage {
                                pf: "model".into(),
                                resource,
                                asked: asked[i],
                                free: has[i],
                                total: totals[i],
                            });
                        }
                        (got, short) => prop_assert!(false, "{:?} although {:?}", got, short),
                    }
                }
                Op::Release(_) if slices.is_empty() => {}
                Op::Release(which) => {
                    let slice: Slice = slices.swap_remove(which % slices.len());
                    for (i, ids) in held(&slice).into_iter().enumerate() {
                        free[i].extend(ids);
                    }
                    filters += slice.filters();
                }
            }
            for (resource, total, now) in ledger.inventory().iter() {
                let i = resource as usize;
                prop_assert_eq!(now, free.get(i).map_or(filters, |s| s.len() as u32));
                let held: u32 =
                    ledger.owners(None, usize::MAX).iter().map(|o| o.holds.counts()[i]).sum();
                prop_assert_eq!(now + held, total);
            }
        }
        drop(slices);
        prop_assert_eq!(ledger.inventory().free, totals);
    }
}
