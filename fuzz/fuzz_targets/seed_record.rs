//! What an operator's machine takes from hosts that were given a seed, and from a file of hosts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::Record;
use weir_seed::push::parse_hosts;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::parse(bytes) {
        // What was understood is written and understood again, and fit for a terminal.
        let written = record.to_string();
        assert!(written.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
        assert_eq!(Record::parse(written.as_bytes()), Ok(record));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for host in parse_hosts(text).unwrap_or_default() {
        // A host is an argument of ssh, and never an option.
        assert!(!host.name().starts_with('-') && !host.user().unwrap_or_default().starts_with('-'));
        assert!(!host.name().is_empty() && host.port() != Some(0));
        assert_eq!(host.to_string().parse(), Ok(host));
    }
});
