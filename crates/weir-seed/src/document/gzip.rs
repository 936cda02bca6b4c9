//! User-data made shorter: cloud-init unpacks what gzip packed, by itself.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use zeroize::Zeroizing;

/// The bytes packed, as `gzip -9n` would: no name and no time in it, so that the same bytes make the same.
///
/// # Errors
/// None that is known: it goes from memory to memory.
pub fn gzip(bytes: &[u8]) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut packed = GzBuilder::new().write(Vec::with_capacity(bytes.len() + 64), Compression::best());
    packed.write_all(bytes)?;
    packed.finish().map(Zeroizing::new)
}
