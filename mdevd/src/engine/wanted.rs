//! What a value should have been, in words for who wrote it.

use serde_json::Value;

use super::error::EngineError;

/// Why `value` cannot be `key`'s: it is of another kind.
pub(crate) fn other_kind(key: &str, value: &Value, error: &serde_json::Error) -> EngineError {
    let why = wanted(error);
    match value {
        Value::String(text) => EngineError::invalid(key, text, why),
        value => EngineError::invalid(key, value, why),
    }
}

/// What to write instead of a value that could not be read.
fn wanted(error: &serde_json::Error) -> String {
    let said = error.to_string();
    // serde says "invalid type: string \"x\", expected u64"; where it does not, it speaks of something else.
    let Some((_, expected)) = said.rsplit_once(", expected ") else {
        return said;
    };
    let what = match expected {
        "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number",
        "i64" | "i32" => "a whole number, which may be negative",
        "a string" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other => other,
    };
    format!("write {what}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::wanted;
    use crate::engine::CreateRequest;

    #[test]
    fn a_value_of_another_kind_is_answered_with_the_kind_that_it_should_be() {
        for (key, value, expected) in [
            ("mtu", json!("many"), "write a whole number"),
            ("mtu", json!(-1), "write a whole number"),
            ("mtu", json!(1.5), "write a whole number"),
            ("profile", json!(7), "write a text"),
            ("dry_run", json!("yes"), "write true or false"),
            (
                "order",
                json!("last"),
                "write a whole number, which may be negative",
            ),
        ] {
            let document = Value::Object([(key.to_owned(), value)].into_iter().collect());
            let error = serde_json::from_value::<CreateRequest>(document).expect_err(key);
            assert_eq!(wanted(&error), expected, "{key}: {error}");
        }
    }
}
