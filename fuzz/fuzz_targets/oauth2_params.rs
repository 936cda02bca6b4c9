//! What clients of OAuth 2.0 send: queries, forms, JSON, HTTP Basic, bearer fields. What is understood is bounded, holds
//! no controls and no name twice, and means the same when it is written down again.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The plugin's own parser, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/oauth2/params.rs"]
mod params;

use params::Params;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const NAMES: [&str; 4] = ["client_id", "client_secret", "a", "grant_type"];

fuzz_target!(|data: &[u8]| {
    let [choice, data @ ..] = data else { return };
    let kind = if choice & 1 == 0 { FORM } else { Some("application/json") };
    let (query, body) = data.split_at(usize::from(*choice).min(data.len()));
    if let Ok(params) = Params::read(std::str::from_utf8(query).ok(), kind, body) {
        check(&params);
    }
    if let Some(Ok((name, password))) = params::basic(data) {
        for text in [name.expose(), password.expose()] {
            assert!(!text.bytes().any(|byte| byte.is_ascii_control()));
        }
        assert!(!name.expose().contains(':') && !name.expose().is_empty());
    }
    if let Some(token) = params::bearer(data) {
        assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        for name in NAMES {
            assert!(params::values(text, name).all(|value| !value.expose().is_empty()));
        }
    }
});

fn check(params: &Params) {
    let mut again = String::new();
    for name in NAMES {
        let Some(value) = params.get(name) else { continue };
        assert!((1..=4096).contains(&value.len()) && !value.bytes().any(|byte| byte.is_ascii_control()));
        again.push_str(&format!("&{name}="));
        again.extend(value.bytes().map(|byte| format!("%{byte:02X}")));
    }
    let same = Params::read(None, FORM, again.as_bytes()).unwrap();
    assert!(NAMES.iter().all(|name| same.get(name) == params.get(name)));
}
