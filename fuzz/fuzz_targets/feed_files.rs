//! What weir-feed takes from outside: the hypervisor's word, its seed file, and the files that it publishes for others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::host::{FeedStatus, published};

fuzz_target!(|bytes: &[u8]| {
    weir_feed::fuzzing::word(bytes);
    weir_feed::fuzzing::seed_file(bytes);
    if let Some(generation) = published::parse(bytes) {
        assert_ne!(generation, 0);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(status) = FeedStatus::parse(text) {
        // What was understood is written and understood again.
        let written = status.to_string();
        let again = FeedStatus::parse(&written).expect("what is written is a status");
        assert_eq!(again.to_string(), written);
    }
});
