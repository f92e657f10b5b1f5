use super::*;

fn read(text: &str) -> Result<Value, String> {
    let read = serde_json::from_str::<Unique>(text);
    read.map(|unique| unique.0)
        .map_err(|error| error.to_string())
}

#[test]
fn what_has_no_key_twice_is_read_as_it_is() {
    for text in [
        "null",
        "[true, -3, 18446744073709551615, 1.5, \"x\"]",
        r#"{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}"#,
    ] {
        assert_eq!(read(text), Ok(serde_json::from_str(text).expect("JSON")));
    }
    assert!(read("{").is_err());
}

#[test]
fn a_key_that_stands_twice_is_named_wherever_it_is() {
    for text in [
        r#"{"mtu": 1, "mtu": 2}"#,
        r#"{"a": [{"mtu": 1, "b": 2, "mtu": 1}]}"#,
    ] {
        let why = read(text).expect_err(text);
        assert!(why.contains("'mtu' stands twice"), "{why}");
    }
}

#[test]
fn what_is_told_of_a_key_steers_no_terminal() {
    let key = r"\u001b[31m\u0007";
    let why = read(&format!(r#"{{"{key}": 1, "{key}": 2}}"#)).expect_err("twice");
    assert!(!why.contains(char::is_control), "{why:?}");
    assert!(why.contains("[31m"), "{why:?}");
}
