//! Texts of weir.conf: every line is a comment, an entry or refused with its number, and every name is looked up.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The program's own modules, which no crate offers.
#[allow(dead_code)]
#[path = "../../crates/weir/src/config/file.rs"]
mod file;
#[allow(dead_code)]
#[path = "../../crates/weir/src/config/keys.rs"]
mod keys;

fuzz_target!(|text: &str| {
    let lines = text.trim_start_matches('\u{feff}').lines().count();
    match file::parse(text) {
        Err((line, why)) => assert!((1..=lines).contains(&line) && !why.is_empty()),
        Ok(entries) => {
            assert!(entries.windows(2).all(|pair| pair[0].line < pair[1].line));
            for entry in entries {
                assert!((1..=lines).contains(&entry.line));
                assert!(entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
                assert!(!entry.value.contains(['\n', '\r']) || text.contains('\r'));
                match keys::find(&entry.key) {
                    keys::Key::Ours(definition) => {
                        assert!(
                            definition.name == entry.key || definition.also.contains(&entry.key.as_str())
                        );
                    }
                    keys::Key::Unknown(Some(meant)) => assert!(!keys::definition(meant).name.is_empty()),
                    keys::Key::Unknown(None) | keys::Key::KongsOnly => {}
                }
                // Written down again it says the same, unless quotes or spaces would be taken off again.
                let plain = entry.value == entry.value.trim() && !entry.value.contains(['"', '\'', '\r']);
                if plain && !entry.value.ends_with('\\') {
                    let again = format!("{} = {}", entry.key, entry.value.replace('#', "\\#"));
                    let [said] = &file::parse(&again).unwrap()[..] else { panic!("{again:?}") };
                    assert_eq!((&said.key, &said.value), (&entry.key, &entry.value));
                }
            }
        }
    }
});
