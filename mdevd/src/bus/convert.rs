//! Between serde's values and D-Bus's `a{sv}`.
//!
//! Objects are `a{sv}`, texts `s`, truth values `b`, whole numbers `t` (negative: `x`), lists of texts
//! `as`, of objects `aa{sv}`, of numbers `at`. What is null or an empty list is absent.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Number, Value as Json};
use zbus::zvariant::{OwnedValue, Value};

/// `a{sv}`.
pub type Dict = HashMap<String, OwnedValue>;

/// A value whose serde form is an object, as `a{sv}`.
///
/// # Errors
/// It is not an object, or cannot be expressed.
pub fn to_dict(value: &impl Serialize) -> Result<Dict, String> {
    json_dict(serde_json::to_value(value).map_err(|error| error.to_string())?)
}

/// An object as `a{sv}`.
///
/// # Errors
/// It is not an object, or cannot be expressed.
pub(super) fn json_dict(value: Json) -> Result<Dict, String> {
    match value {
        Json::Object(map) => object(map)
            .into_iter()
            .map(|(key, value)| Ok((key, value.try_into_owned()?)))
            .collect::<Result<_, zbus::zvariant::Error>>()
            .map_err(|error| error.to_string()),
        _ => Err("not an object".to_owned()),
    }
}

fn object(map: Map<String, Json>) -> HashMap<String, Value<'static>> {
    map.into_iter()
        .filter_map(|(key, value)| Some((key, variant(value)?)))
        .collect()
}

fn variant(value: Json) -> Option<Value<'static>> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => value.into(),
        Json::String(text) => text.into(),
        Json::Number(number) => scalar(&number),
        Json::Object(map) => object(map).into(),
        Json::Array(items) => list(items)?,
    })
}

fn scalar(number: &Number) -> Value<'static> {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => number.into(),
        (None, Some(number)) => number.into(),
        (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
    }
}

fn list(items: Vec<Json>) -> Option<Value<'static>> {
    let texts = || {
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    let numbers = || items.iter().map(Json::as_u64).collect();
    let objects = || {
        items
            .iter()
            .map(|item| item.as_object().map(|map| object(map.clone())))
            .collect()
    };
    if items.is_empty() {
        None
    } else if let Some(texts) = texts() {
        Some(Vec::<String>::into(texts))
    } else if let Some(numbers) = numbers() {
        Some(Vec::<u64>::into(numbers))
    } else if let Some(objects) = objects() {
        Some(Vec::<HashMap<String, Value<'static>>>::into(objects))
    } else {
        let variants: Vec<Value<'static>> = items.into_iter().filter_map(variant).collect();
        Some(variants.into())
    }
}

/// `a{sv}` as an object. File descriptors are left out; texts of every kind become texts.
pub fn dict_to_json(dict: &Dict) -> Json {
    Json::Object(
        dict.iter()
            .filter_map(|(key, value)| Some((key.clone(), json(value)?)))
            .collect(),
    )
}

fn json(value: &Value<'_>) -> Option<Json> {
    Some(match value {
        Value::U8(n) => (*n).into(),
        Value::Bool(b) => (*b).into(),
        Value::I16(n) => (*n).into(),
        Value::U16(n) => (*n).into(),
        Value::I32(n) => (*n).into(),
        Value::U32(n) => (*n).into(),
        Value::I64(n) => (*n).into(),
        Value::U64(n) => (*n).into(),
        Value::F64(n) => (*n).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Signature(text) => text.to_string().into(),
        Value::ObjectPath(path) => path.as_str().into(),
        Value::Value(inner) => json(inner)?,
        Value::Array(items) => Json::Array(items.iter().filter_map(json).collect()),
        Value::Structure(fields) => Json::Array(fields.fields().iter().filter_map(json).collect()),
        Value::Dict(dict) => Json::Object(
            dict.iter()
                .filter_map(|(key, value)| match json(key)? {
                    Json::String(key) => Some((key, json(value)?)),
                    key => Some((key.to_string(), json(value)?)),
                })
                .collect(),
        ),
        Value::Fd(_) => return None,
    })
}
