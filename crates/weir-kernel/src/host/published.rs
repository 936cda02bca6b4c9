//! The generation number that weir-feed publishes: which life of the machine this is, as the daemon counted.
//!
//! A file of 64 bytes: the eight bytes `WEIRGEN1`, then the number as eight bytes, little-endian and aligned, then zeros.

/// Where it is.
pub const PATH: &str = "/run/weir-feed/generation";
/// The length of the file.
pub const BYTES: usize = 64;
/// Where in it the number begins.
pub const AT: usize = 8;

const MAGIC: &[u8; AT] = b"WEIRGEN1";

/// The file that says `generation`.
#[must_use]
pub fn format(generation: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let said = MAGIC.iter().copied().chain(generation.to_le_bytes());
    bytes.iter_mut().zip(said).for_each(|(byte, said)| *byte = said);
    bytes
}

/// What the file says; `None` if it is another kind of file. Zero is never published.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<u64> {
    let number = bytes.strip_prefix(MAGIC)?.first_chunk()?;
    (bytes.len() == BYTES).then(|| u64::from_le_bytes(*number)).filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(parse(&format(1)), Some(1));
        assert_eq!(parse(&format(u64::MAX)), Some(u64::MAX));
        assert_eq!(parse(&format(0)), None);
        let bytes = format(7);
        (0..BYTES).for_each(|length| assert_eq!(parse(&bytes[..length]), None));
        assert_eq!(parse(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(parse(&[0; BYTES]), None);
    }
}
