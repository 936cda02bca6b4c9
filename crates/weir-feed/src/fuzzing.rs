//! What bytes from outside reach, for the fuzz targets.

use crate::seed_file;
use crate::word::Word;

/// The hypervisor's word. A line that is one has a nonce of a length that was promised.
pub fn word(line: &[u8]) {
    if let Ok(word) = Word::parse(line) {
        assert!((16..=64).contains(&word.nonce().len()));
    }
}

/// A seed file. No change of a file leaves it one.
pub fn seed_file(bytes: &[u8]) {
    assert!(!seed_file::is_whole(bytes) || bytes.len() == 144);
}
