//! Tar archives of any bytes for `weir seed lint`: read within bounds, and what can be read is copied byte for byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::lint::{check_archive, check_content};

fuzz_target!(|data: &[u8]| {
    check_content(data);
    if let Err(error) = check_archive(data) {
        assert_ne!(error.kind(), std::io::ErrorKind::Other, "{error}");
    }
});
