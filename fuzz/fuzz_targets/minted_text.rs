//! Texts that people and clients give to the mint: sizes, ids, keys, alphabets, kinds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_mint::scannable::{Kind, recognise};
use weir_mint::{Alphabet, Uuid, parse_size};

fuzz_target!(|text: &str| {
    if let Ok(bytes) = parse_size(text) {
        assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
    }
    if let Ok(uuid) = text.parse::<Uuid>() {
        assert_eq!(uuid.to_string().replace('-', ""), text.replace('-', "").to_ascii_lowercase());
    }
    if let Some(kind) = recognise(text) {
        assert!(text.starts_with(&format!("weir_{}_", kind.as_str())));
    }
    if let Ok(alphabet) = Alphabet::custom(text) {
        assert_eq!(alphabet.size(), text.len());
    }
    let _ = Kind::new(text);
});
