//! Lines of the kernel log, into which every program can put its name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_kernel::host::LogFacts;

fuzz_target!(|log: &[u8]| {
    let text = String::from_utf8_lossy(log);
    let facts = LogFacts::parse(&text);
    assert!(facts.early_readers.len() <= 32 && facts.forks.len() <= 1024 && facts.resumptions.len() <= 1024);
    for reader in &facts.early_readers {
        assert!(reader.reads > 0 && reader.program.chars().count() <= 15);
        assert!(!reader.program.chars().any(char::is_control));
    }
    // Reading it line by line is the same.
    let mut again = LogFacts::default();
    text.lines().for_each(|line| again.add(line));
    assert_eq!(facts, again);
});
