//! As much of JSON Schema (2020-12) as `docs/schema` uses; an unknown keyword is an error, so that nothing there is
//! silently not checked.

use serde_json::Value;

/// The published schema of `cvfctl --json`.
pub fn published() -> Value {
    let text = include_str!("../../../docs/schema/cvfctl.json");
    serde_json::from_str(text).expect("JSON")
}

/// Why `value` does not fit the definition `name` of `schema`.
pub fn check(schema: &Value, name: &str, value: &Value) -> Result<(), String> {
    let definition = &schema["$defs"][name];
    assert!(definition.is_object(), "no definition '{name}'");
    fits(schema, definition, value, name)
}

fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or(format!("{at}: not a schema"))?;
    for (keyword, rule) in rules {
        let ok = match keyword.as_str() {
            "description" | "required" | "additionalProperties" => true,
            "$ref" => {
                let name = rule.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
                let name = name.ok_or(format!("{at}: reference {rule}"))?;
                fits(root, &root["$defs"][name], value, at)?;
                true
            }
            "type" => is(rule, value),
            "const" => rule == value,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value.as_f64() >= rule.as_f64(),
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    fits(root, rule, item, &format!("{at}[{n}]"))?;
                }
                true
            }
            "anyOf" => {
                let any = rule.as_array().ok_or(format!("{at}: anyOf"))?;
                let tried = any.iter().map(|one| fits(root, one, value, at));
                let failed: Result<Vec<_>, _> = tried.map(|one| one.err().ok_or(())).collect();
                if let Ok(failed) = failed {
                    return Err(failed.join("; nor: "));
                }
                true
            }
            "properties" => {
                members(root, schema, rule, value, at)?;
                true
            }
            other => {
                return Err(format!(
                    "{at}: keyword '{other}' is not known to this check"
                ));
            }
        };
        if !ok {
            return Err(format!("{at}: {value} is against {keyword} {rule}"));
        }
    }
    if schema.get("properties").is_none() && schema.get("additionalProperties").is_some() {
        members(root, schema, &Value::Null, value, at)?;
    }
    Ok(())
}

fn members(
    root: &Value,
    schema: &Value,
    known: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or(format!("{at}: {value} is not an object"))?;
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !object.contains_key(name) {
            return Err(format!("{at}: '{name}' is missing in {value}"));
        }
    }
    for (name, member) in object {
        let at = format!("{at}.{name}");
        match (known.get(name), &schema["additionalProperties"]) {
            (Some(rule), _) | (None, rule @ Value::Object(_)) => fits(root, rule, member, &at)?,
            (None, Value::Bool(false)) => return Err(format!("{at} is not documented")),
            (None, _) => {}
        }
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
