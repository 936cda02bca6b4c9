//! Documents that a seed is merged into, of every kind: an answer with a place in the text, or a document that has the seed
//! and all that was there before.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::Seed;
use weir_seed::document::{MergeError, Options, Template, ignition, meta_data, user_data};

fuzz_target!(|document: &[u8]| {
    let Ok(seed) = Seed::from_bytes((0..64).collect()) else { return };
    let kinds: [fn(&[u8], Options) -> Result<Template, MergeError>; 4] =
        [user_data::merge, ignition::merge, meta_data::merge_nocloud, meta_data::merge_openstack];
    for merge in kinds {
        for replace in [false, true] {
            let options = Options { replace, reseed: document.len() % 2 == 0 };
            match merge(document, options) {
                Err(error) => {
                    let lines = 1 + document.iter().filter(|byte| **byte == b'\n').count();
                    let lines = lines + document.iter().filter(|byte| **byte == b'\r').count();
                    assert!(
                        error.place().is_none_or(|place| (1..=lines + 1).contains(&place.line)),
                        "{error:?}"
                    );
                    assert!(!error.to_string().is_empty());
                }
                Ok(template) => check(merge, document, &template.fill(&seed), replace),
            }
        }
    }
});

/// The seed is there once, and a second one is not let in.
fn check(
    merge: fn(&[u8], Options) -> Result<Template, MergeError>,
    document: &[u8],
    filled: &[u8],
    replace: bool,
) {
    assert!(replace || filled.len() > document.len());
    let again = merge(filled, Options::default());
    let long = filled.len() > weir_seed::document::MAX_BYTES;
    assert!(long || matches!(again, Err(MergeError::Present { .. })), "{again:?}");
}
