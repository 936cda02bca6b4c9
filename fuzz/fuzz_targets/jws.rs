//! JSON Web Tokens, keys in PEM and in JSON, from anywhere: read without panic and within bounds, and verified by nobody's
//! key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_plugins::jws::{Algorithm, Compact, Jwk, Key, KeySet, Times};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Key::from_pem(text);
    if let Ok(set) = KeySet::parse(data) {
        assert_eq!(set.candidates(None, Algorithm::Hs256).count(), 0);
    }
    if let Ok(json) = serde_json::from_str(text) {
        let _ = Jwk::parse(&json);
    }
    let Ok(token) = Compact::parse(text) else { return };
    assert!(token.payload().len() + token.signature().len() <= text.len());
    if let Ok(header) = token.header() {
        assert!(!header.members().contains("crit"));
        if let Some(algorithm) = header.algorithm() {
            assert_eq!(header.members().text("alg"), Some(algorithm.name()));
            // Whoever guesses 256 bits may have the panic.
            let key = Key::from_secret(b"\x5a\x01 a secret of 32 bytes for fuzzing");
            assert!(token.verify(&key, algorithm).is_err());
        }
    }
    if let Ok(claims) = token.claims() {
        let _ = claims.build();
        if let Ok(times) = Times::of(&claims) {
            let _ = times.check(1.7e9, 60.0);
        }
    }
});
