//! Certificates that clients show and operators configure: read or refused, and read again to the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_model::x509::{Subject, check_authority, digest, one};

fuzz_target!(|data: &[u8]| {
    if let Some(subject) = Subject::read(data) {
        assert_eq!(Subject::read(data), Some(subject));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = one(text);
    assert_eq!(read.is_ok(), digest(text).is_some());
    if check_authority(text, 0).is_ok() {
        assert!(read.is_ok());
    }
});
