//! What a recorded tree says about its files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::host::Record;

fuzz_target!(|text: &[u8]| {
    let text = String::from_utf8_lossy(text);
    if Record::parse(&text).is_ok() {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert!(lines.into_iter().all(|line| line.starts_with('/')));
    }
});
