//! Cookies of sessions: found in a request, opened, read. Nothing opens that the gateway did not seal, and what it did seal
//! opens in its place.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The plugin's own parsers, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/session/cookie.rs"]
mod cookie;
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/session/seal.rs"]
mod seal;
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-plugins/src/session/ticket.rs"]
mod ticket;

use seal::Seal;
use ticket::Ticket;

fuzz_target!(|data: &[u8]| {
    let seal = Seal::new(b"the fuzzer does not know this", "default");
    for value in cookie::values([data].into_iter(), "session") {
        assert!((1..=cookie::LONGEST).contains(&value.len()) && !value.contains(';'));
        assert_eq!(seal.open("session", value), None);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(seal.open("session", text), None);
    }
    let sealed = seal.seal("session", data).unwrap();
    assert_eq!(seal.open("session", &sealed).as_deref(), Some(data));
    let field = format!("a=b; session={sealed}");
    if sealed.len() <= cookie::LONGEST {
        assert_eq!(cookie::values([field.as_bytes()].into_iter(), "session").next(), Some(sealed.as_str()));
    }
    if let Ok(ticket) = serde_json::from_slice::<Ticket>(data) {
        let text = serde_json::to_vec(&ticket).unwrap();
        assert_eq!(serde_json::from_slice::<Ticket>(&text).unwrap(), ticket);
    }
});
