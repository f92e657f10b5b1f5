use super::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

#[test]
fn what_is_kept_is_replaced_with_its_source_and_let_go() {
    let (source, other) = (Versioned::new(1), Versioned::new(10));
    let mut kept = Kept::default();
    assert_eq!(**source.keep(&mut kept), 1);
    let first = source.load_full();
    assert_eq!(Arc::strong_count(&first), 3, "source, kept, here");
    assert_eq!(*source.swap(Arc::new(2)), 1);
    kept.forget_if_old(&source);
    assert_eq!(Arc::strong_count(&first), 1, "let go");
    assert_eq!(**source.keep(&mut kept), 2);
    let (_, second) = source.keep_named(&mut kept);
    source.swap(Arc::new(2));
    let (_, third) = source.keep_named(&mut kept);
    assert_ne!(third, second, "equal, but not the same");
    kept.forget_if_old(&source);
    assert_eq!(Arc::strong_count(&source.load_full()), 3);
    assert_eq!(**other.keep(&mut kept), 10, "never taken for another's");
    kept.forget_if_old(&source);
    assert_eq!(Arc::strong_count(&other.load_full()), 2, "another's is old");
}

/// A reader that has seen what a writer said afterwards sees what it wrote before.
#[test]
fn a_replacement_is_seen_by_whoever_hears_of_it() {
    let source = Versioned::new(0u64);
    let told = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=20_000 {
                source.swap(Arc::new(n));
                told.store(n, Ordering::Release);
            }
        });
        let mut kept = Kept::default();
        let mut names = HashMap::new();
        loop {
            let heard = told.load(Ordering::Acquire);
            let (seen, name) = source.keep_named(&mut kept);
            assert!(**seen >= heard, "{seen} after {heard}");
            if name != CHANGING {
                assert_eq!(names.insert(name, **seen).unwrap_or(**seen), **seen);
            }
            if heard == 20_000 {
                break;
            }
        }
    });
}
