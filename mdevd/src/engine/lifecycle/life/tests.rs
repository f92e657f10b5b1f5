use super::*;

fn boot(n: u128) -> BootId {
    uuid::Uuid::from_u128(n).to_string().parse().expect("an id")
}

#[test]
fn what_ran_comes_back_in_the_same_boot_and_what_is_auto_in_another() {
    let (here, later) = (boot(1), boot(2));
    for start in [Start::Auto, Start::Manual] {
        let defined = Life::persistent(start, 0);
        let auto = start == Start::Auto;
        assert_eq!(defined.comes_back(here), auto, "never started");
        assert!(defined.started(here).comes_back(here));
        assert_eq!(defined.started(here).comes_back(later), auto);
        assert!(!defined.stopped(here).comes_back(here));
        assert_eq!(defined.stopped(here).comes_back(later), auto);
        assert!(!defined.started(here).is_over(later));
    }
    assert!(
        Life::default().comes_back(here),
        "recorded before there was a life"
    );
    let transient = Life::transient(here);
    assert!(transient.comes_back(here) && !transient.is_over(here));
    assert!(!transient.comes_back(later) && transient.is_over(later));
}

#[test]
fn where_nobody_can_tell_the_boot_nothing_is_forgotten() {
    let unknown = boot(0);
    assert!(unknown.is_unknown());
    let transient = Life::transient(boot(1));
    assert!(transient.comes_back(unknown) && !transient.is_over(unknown));
    assert!(Life::transient(unknown).is_over(boot(1)), "known again");
}

#[test]
fn a_record_says_only_what_is_not_usual() {
    let text = |life: Life| serde_json::to_value(life).expect("JSON");
    assert_eq!(
        text(Life::default()),
        serde_json::json!({ "start": "auto" })
    );
    for life in [
        Life::transient(boot(7)),
        Life::persistent(Start::Manual, -3),
        Life::persistent(Start::Auto, 5).stopped(boot(9)),
    ] {
        let back: Life = serde_json::from_value(text(life)).expect("a life");
        assert_eq!(back, life);
    }
}

#[test]
fn an_order_is_a_small_number() {
    assert_eq!(order("-5"), Ok(-5));
    assert_eq!(check_order(1_000_000), Ok(1_000_000));
    for wrong in ["1000001", "-1000001", "first", "", "99999999999999999999"] {
        let error = order(wrong).expect_err("refused").to_string();
        assert!(
            error.contains("order") && error.contains("lower first"),
            "{error}"
        );
    }
}
