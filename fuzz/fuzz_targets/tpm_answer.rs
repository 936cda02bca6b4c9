//! What a TPM answers to TPM2_GetRandom.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_entropy::source::tpm::parse_answer;

fuzz_target!(|input: (u16, &[u8])| {
    let (asked, answer) = input;
    if let Ok(bytes) = parse_answer(answer, asked) {
        assert!((1..=usize::from(asked)).contains(&bytes.len()));
        assert_eq!(bytes.len() + 12, answer.len());
        assert!(answer.starts_with(&[0x80, 0x01]) && answer.ends_with(bytes));
    }
});
