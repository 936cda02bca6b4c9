//! Keys in files and in the form of ssh: read or refused; what is read has a fingerprint and is found again in its own form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::verify::bundle::parse;
use weir_seed::verify::key::PublicKey;
use weir_seed::verify::rsa::weaknesses;

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = PublicKey::from_ssh(data) {
        assert!(key.fingerprint().starts_with("SHA256:") && !key.kind().is_empty());
    }
    for found in parse(data).found {
        assert!(found.line > 0);
        assert!(found.label.iter().all(|label| !label.chars().any(char::is_control)));
        if let Some((modulus, exponent)) = found.key.rsa_numbers() {
            let _ = weaknesses(&modulus, &exponent);
        }
    }
});
