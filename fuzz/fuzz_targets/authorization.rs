//! What clients write into Authorization and Cookie: read without panic, and nothing comes out that was not in it.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The parsers themselves, which their crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/authorization.rs"]
mod authorization;

fuzz_target!(|data: &[u8]| {
    let holds = |text: &str| data.windows(text.len()).any(|window| window == text.as_bytes());
    if let Some(token) = authorization::bearer(data) {
        assert!(!token.is_empty() && holds(token));
    }
    if let Some(pair) = authorization::basic(data) {
        assert!(!pair.username().is_empty() && !pair.username().contains(':'));
        assert!(!pair.password().is_empty() && pair.password().len() < data.len());
    }
    if let Some(signed) = authorization::hmac(data) {
        assert!((1..=64).contains(&signed.names().count()));
        for name in signed.names() {
            assert!(holds(name) && signed.signs(&name.to_ascii_uppercase()) && !name.contains('"'));
        }
        // In the order in which they are mostly written, they say the same.
        let again = format!(
            r#"hmac username="{}", algorithm="{}", headers="{}", signature="{}""#,
            signed.username, signed.algorithm, signed.headers, signed.signature
        );
        assert_eq!(authorization::hmac(again.as_bytes()), Some(signed));
    }
    authorization::cookies(data, "jwt").for_each(|value| assert!(value.is_empty() || holds(value)));
});
