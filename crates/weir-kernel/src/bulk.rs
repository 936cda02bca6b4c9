//! Long draws: a key from the kernel, expanded by a stream cipher.
//!
//! The kernel's own generator gives a few hundred megabytes a second; a cipher with hardware help gives gigabytes. For
//! [`THRESHOLD_BYTES`] and more, each mebibyte of the buffer is the key stream of a key that was drawn for it alone and
//! is erased with the cipher's state right after. An attacker who cannot break the cipher cannot tell that from the
//! kernel's bytes, and who reads this process's memory later finds no key.
//!
//! The cipher is AES-256 in counter mode (SP 800-38A 6.5) where the CPU has instructions for it, else ChaCha20
//! (RFC 8439), which needs none. A fresh key each 2^16 AES blocks also keeps the block cipher's distance from a random
//! function below 2^-97.
//!
//! Absent on purpose: reusing a key for the next call, which would be a generator of our own with state to fork.

use aes::Aes256;
use chacha20::ChaCha20;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use crate::Error;

/// From this length on a buffer is expanded. Measured (`examples/draws.rs`): the ways break even at some 300 bytes
/// against the vDSO; up to here the kernel's own bytes are no slower than users of them would notice.
pub const THRESHOLD_BYTES: usize = 2048;

/// What one key expands to.
const BYTES_PER_KEY: usize = 1 << 20;

const KEY_BYTES: usize = 32;

/// Fills `buf`, taking each key from `draw`.
pub(crate) fn fill(buf: &mut [u8], draw: impl Fn(&mut [u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for piece in buf.chunks_mut(BYTES_PER_KEY) {
        draw(&mut key[..])?;
        expand(&key, piece);
    }
    Ok(())
}

/// Overwrites `piece` with the key stream of `key`. The nonces are zero because the key is used once.
fn expand(key: &[u8; KEY_BYTES], piece: &mut [u8]) {
    if cpu_has_aes() { aes_stream(key, piece) } else { chacha_stream(key, piece) }
}

fn aes_stream(key: &[u8; KEY_BYTES], piece: &mut [u8]) {
    ctr::Ctr64LE::<Aes256>::new(key.into(), &[0; 16].into()).write_keystream(piece);
}

fn chacha_stream(key: &[u8; KEY_BYTES], piece: &mut [u8]) {
    ChaCha20::new(key.into(), &[0; 12].into()).write_keystream(piece);
}

#[cfg(target_arch = "x86_64")]
fn cpu_has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn cpu_has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_has_aes() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const AES_STREAM: &str = "f29000b62a499fd0a9f39a6add2e7780c7b519846a11411cd6ac07cb03f801a8\
                              4ef4b88bebd54953c37ffaf66efaca7b80c3017e8f89ab315ede32b11e48ab50";
    const CHACHA_STREAM: &str = "39fd2b7dd9c5196a8dbd0377b8dc4a498a35d86fbcde6accb2cc7d4cd8ea2492\
                                 2b23cce7a26023ab3f0eef693ac87f64258235eab1f7a32dc22762a0485b410c";

    /// Hexadecimal digits as bytes.
    fn hex(digits: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn the_key_streams_are_those_of_the_ciphers() {
        let key: [u8; 32] = std::array::from_fn(|at| at as u8);
        let mut piece = [0; 64];
        // AES-256 of the little-endian counters 0 to 3, from OpenSSL 3:
        // openssl enc -aes-256-ecb -nopad -K 000102..1f < counters
        aes_stream(&key, &mut piece);
        assert_eq!(piece[..], hex(AES_STREAM));
        // RFC 8439 2.3 with counter 0 and a nonce of zeros, from OpenSSL 3:
        // head -c 64 /dev/zero | openssl enc -chacha20 -K 000102..1f -iv 0
        chacha_stream(&key, &mut piece);
        assert_eq!(piece[..], hex(CHACHA_STREAM));
    }

    #[test]
    fn each_mebibyte_has_a_key_of_its_own() {
        let drawn = std::cell::Cell::new(0);
        let draw = |key: &mut [u8]| {
            drawn.set(drawn.get() + 1);
            key.fill(drawn.get());
            Ok(())
        };
        let mut buffer = vec![0; 2 * BYTES_PER_KEY + 1];
        fill(&mut buffer, draw).expect("keys were given");
        assert_eq!(drawn.get(), 3);
        let mut expected = vec![0; BYTES_PER_KEY];
        expand(&[2; KEY_BYTES], &mut expected);
        assert_eq!(buffer[BYTES_PER_KEY..2 * BYTES_PER_KEY], expected);
    }

    #[test]
    fn a_missing_key_is_an_error() {
        assert_eq!(fill(&mut [0; 4096], |_| Err(Error::NotReady)), Err(Error::NotReady));
    }
}
