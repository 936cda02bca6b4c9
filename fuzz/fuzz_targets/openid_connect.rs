//! What openid-connect reads: tokens, cookies and callbacks that clients send, and what a provider says of itself.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| weir_plugins::fuzzing::openid_connect(data));
