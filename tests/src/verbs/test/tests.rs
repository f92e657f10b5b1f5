use super::*;

#[test]
fn both_harnesses_are_counted() {
    let line = "     Summary [   0.047s] 15 tests run: 12 passed (1 slow), 2 failed, 1 timed out, 0 skipped";
    assert_eq!(
        summary(line),
        Some(Counts {
            passed: 12,
            failed: 3
        })
    );
    let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out";
    assert_eq!(
        summary(line),
        Some(Counts {
            passed: 3,
            failed: 1
        })
    );
    assert_eq!(summary("running 3 tests"), None);
}

#[test]
fn a_command_without_tests_counts_as_one() {
    assert_eq!(counted("true", Command::new("true")).unwrap(), Counts::ONE);
    let failed = counted("false", Command::new("false")).unwrap();
    assert_eq!(
        failed,
        Counts {
            passed: 0,
            failed: 1
        }
    );
}
