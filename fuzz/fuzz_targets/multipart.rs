//! Forms in parts: a field that was taken out is gone, the others are what they were, and twice is as good as once.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The parser itself, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/multipart.rs"]
mod multipart;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(boundary) = multipart::boundary(text)
    {
        assert!((1..=70).contains(&boundary.len()));
    }
    let Some(before) = multipart::fields(data, "e") else { return };
    let Some(name) = before.first().map(|field| field.name) else { return };
    let rest = multipart::without(data, "e", name).unwrap();
    assert!(rest.len() < data.len());
    let after = multipart::fields(&rest, "e").unwrap();
    let kept = before.iter().filter(|field| field.name != name).map(|field| (field.name, field.value));
    assert!(kept.eq(after.iter().map(|field| (field.name, field.value))));
    assert_eq!(multipart::without(&rest, "e", name).unwrap(), rest);
});
