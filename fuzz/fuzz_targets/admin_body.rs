//! Bodies of requests to the Admin API: JSON, forms, forms in parts. Whatever they hold, what comes out is bounded, and
//! a form holds nothing but texts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// The decoder itself, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-admin/src/args/mod.rs"]
mod args;

const TYPES: [&str; 4] = [
    "application/json",
    "application/x-www-form-urlencoded; charset=utf-8",
    "multipart/form-data; boundary=edge",
    "multipart/form-data; boundary=\"-\"; x=y",
];
/// Seventeen steps into a value, and the value.
const DEEPEST: usize = 18;

fuzz_target!(|data: &[u8]| {
    let [choice, body @ ..] = data else { return };
    let kind = TYPES[usize::from(*choice) % TYPES.len()];
    let Ok(read) = args::read(Some(kind), body) else { return };
    assert_eq!(read.untyped, kind != TYPES[0]);
    if read.untyped {
        read.fields.values().for_each(|value| check(value, 1));
        return;
    }
    let again = Value::Object(read.fields.clone()).to_string();
    assert_eq!(args::read(Some(kind), again.as_bytes()).unwrap().fields, read.fields);
});

fn check(value: &Value, depth: usize) {
    assert!(depth <= DEEPEST);
    match value {
        Value::String(_) => {}
        Value::Array(items) => items.iter().for_each(|item| check(item, depth + 1)),
        Value::Object(map) => map.values().for_each(|member| check(member, depth + 1)),
        other => panic!("{other} in a form"),
    }
}
