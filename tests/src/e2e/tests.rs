use super::*;

fn names(only: &[&str], nested: bool) -> Result<Vec<&'static str>> {
    let only: Vec<String> = only.iter().map(|o| (*o).to_owned()).collect();
    Ok(choose(&only, nested)?.iter().map(|t| t.name).collect())
}

#[test]
fn nested_tests_are_left_out_unless_they_are_asked_for() {
    let plain = names(&[], false).unwrap();
    assert!(!plain.is_empty() && !plain.iter().any(|name| name.starts_with(NESTED)));
    let with = names(&[], true).unwrap();
    assert_eq!(with.len(), all().len());
    assert!(with.len() > plain.len());
}

#[test]
fn a_nested_tests_name_implies_them_and_a_part_that_others_could_have_does_not() {
    assert_eq!(names(&["nested-soft"], false).unwrap(), ["nested-soft"]);
    assert_eq!(names(&["soft"], true).unwrap(), ["nested-soft"]);
    let refused = names(&["vfio-ready"], false).unwrap_err().to_string();
    assert!(
        refused.contains("vfio-ready") && refused.contains("--nested"),
        "{refused}"
    );
    let refused = names(&["no-such-test"], true).unwrap_err().to_string();
    assert!(refused.contains("no-such-test"), "{refused}");
}

#[test]
fn a_whole_name_means_that_test_only() {
    assert_eq!(names(&["nested-guest"], false).unwrap(), ["nested-guest"]);
    let part = names(&["nested-gues"], false).unwrap();
    assert!(part.contains(&"nested-guest-direct"), "{part:?}");
}

#[test]
fn names_are_unique_and_nested_ones_say_so() {
    let mut seen = std::collections::BTreeSet::new();
    for test in all() {
        assert!(seen.insert(test.name), "{} twice", test.name);
        assert_eq!(test.nested, test.name.starts_with(NESTED), "{}", test.name);
    }
}
