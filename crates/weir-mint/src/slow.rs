//! Slow hashes: how passwords are kept, which people choose, reuse, and which therefore can be guessed.
//!
//! - [`hash_password`] and [`verify_password`]: argon2id (RFC 9106) with 19 MiB, two passes and one lane, as OWASP's
//!   Password Storage Cheat Sheet has it, over a salt of 128 random bits; kept in PHC's form. What Kong kept
//!   (`sha1(password + consumer id)`, 40 hexadecimal digits) is verified too, so that it can be replaced.
//! - [`hash_client_secret`] and [`verify_client_secret`]: PBKDF2 with HMAC-SHA-512 (RFC 8018), 10,000 rounds and a salt of
//!   128 random bits, in the form in which Kong shows the hashes of client secrets. These secrets are minted or ought to be:
//!   the work of guessing is in their strength.
//!
//! A hash takes tens of milliseconds of a processor: never on a thread that serves others.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha1_smol::Sha1;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use weir_kernel::{Error, Purpose};
use zeroize::Zeroizing;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// What a hash from elsewhere may cost at most, so that verifying it cannot stop a gateway.
const MOST: (u32, u32, u32) = (256 * 1024, 16, 16);
const ROUNDS: u32 = 10_000;
const MOST_ROUNDS: u32 = 1_000_000;

/// The argon2id hash of a password, in PHC's form.
///
/// # Errors
/// Those of drawing the salt.
pub fn hash_password(password: &[u8]) -> Result<String, Error> {
    let mut salt = [0; SALT_BYTES];
    weir_kernel::fill_for(Purpose::Token, &mut salt)?;
    let hash = argon2id(password, &salt, COST).unwrap_or_else(|| unreachable!());
    let ((m, t, p), encode) = (COST, |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes));
    Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${}${}", encode(&salt), encode(&*hash)))
}

/// Whether this is the password of a hash: of [`hash_password`], or of Kong with `kong_salt`, the consumer's id.
/// Compares in constant time.
pub fn verify_password(hash: &str, password: &[u8], kong_salt: &str) -> bool {
    if is_kong_hash(hash) {
        let mut sha1 = Sha1::new();
        sha1.update(password);
        sha1.update(kong_salt.as_bytes());
        return sha1.digest().to_string().as_bytes().ct_eq(hash.to_ascii_lowercase().as_bytes()).into();
    }
    let Some((cost, salt, want)) = parse_argon2id(hash) else { return false };
    argon2id(password, &salt, cost).is_some_and(|hash| hash.as_slice().ct_eq(&want).into())
}

/// Whether a text is the hash of a password that [`verify_password`] knows.
pub fn is_password_hash(text: &str) -> bool {
    is_kong_hash(text) || parse_argon2id(text).is_some()
}

/// Whether a hash is Kong's: 40 hexadecimal digits, of a hash function that is too fast and not salted by chance.
pub fn is_kong_hash(hash: &str) -> bool {
    hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The PBKDF2 hash of a client's secret: `$pbkdf2-sha512$i=10000,l=32$salt$hash`.
///
/// # Errors
/// Those of drawing the salt.
pub fn hash_client_secret(secret: &[u8]) -> Result<String, Error> {
    let mut salt = [0; SALT_BYTES];
    weir_kernel::fill_for(Purpose::Token, &mut salt)?;
    let mut text = format!("$pbkdf2-sha512$i={ROUNDS},l={HASH_BYTES}$");
    let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    let _ = write!(text, "{}${}", encode(&salt), encode(&*pbkdf2(secret, &salt, ROUNDS)));
    Ok(text)
}

/// Whether this is the secret of a hash of [`hash_client_secret`]. Compares in constant time.
pub fn verify_client_secret(hash: &str, secret: &[u8]) -> bool {
    let parsed = || {
        let rest = hash.strip_prefix("$pbkdf2-sha512$i=")?;
        let (rounds, rest) = rest.split_once(",l=32$")?;
        let (salt, want) = rest.split_once('$')?;
        let rounds = rounds.parse().ok().filter(|rounds| (1..=MOST_ROUNDS).contains(rounds))?;
        Some((rounds, decode(salt)?, decode(want)?))
    };
    let Some((rounds, salt, want)) = parsed() else { return false };
    pbkdf2(secret, &salt, rounds).ct_eq(want.as_slice()).into()
}

/// Whether a text has the form of [`hash_client_secret`].
pub fn is_client_secret_hash(text: &str) -> bool {
    text.starts_with("$pbkdf2-sha512$i=")
}

type Cost = (u32, u32, u32);

fn argon2id(password: &[u8], salt: &[u8], (m, t, p): Cost) -> Option<Zeroizing<[u8; HASH_BYTES]>> {
    let params = Params::new(m, t, p, Some(HASH_BYTES)).ok()?;
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = Memory::take(blocks);
    argon2.hash_password_into_with_memory(password, salt, hash.as_mut(), &mut memory.0).ok()?;
    Some(hash)
}

/// So many pieces of memory wait for the next hash; more hashes than this at once allocate theirs.
const SPARE: usize = 8;

/// The memory of hashes that are over. An allocator that is given 19 MiB by one thread and asked for them by another keeps both.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Memory for one hash.
struct Memory(Vec<Block>);

impl Memory {
    fn take(blocks: usize) -> Self {
        let mut spare = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        let at = spare.iter().position(|memory| memory.len() == blocks);
        let found = at.map(|at| spare.swap_remove(at));
        drop(spare);
        Self(found.unwrap_or_else(|| vec![Block::new(); blocks]))
    }
}

impl Drop for Memory {
    /// What the password was worked into is erased.
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.0);
        memory.fill(Block::new());
        let mut spare = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.len() == COST.0 as usize && spare.len() < SPARE {
            spare.push(memory);
        }
    }
}

/// The cost, the salt and the hash in PHC's form of argon2id.
fn parse_argon2id(text: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let rest = text.strip_prefix("$argon2id$v=19$m=")?;
    let (m, rest) = rest.split_once(",t=")?;
    let (t, rest) = rest.split_once(",p=")?;
    let (p, rest) = rest.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    let cost @ (m, t, p): Cost = (m.parse().ok()?, t.parse().ok()?, p.parse().ok()?);
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    let bounded = m <= MOST.0 && t <= MOST.1 && p <= MOST.2;
    (bounded && (8..=64).contains(&salt.len()) && hash.len() == HASH_BYTES).then_some((cost, salt, hash))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    (text.len() <= 128).then(|| STANDARD_NO_PAD.decode(text).ok()).flatten()
}

/// PBKDF2 with HMAC-SHA-512, the first 32 bytes.
fn pbkdf2(secret: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; HASH_BYTES]> {
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    pbkdf2::pbkdf2_hmac::<Sha512>(secret, salt, rounds, hash.as_mut());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_verified_by_its_hash() {
        let hash = hash_password(b"hunter2").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password_hash(&hash) && !is_kong_hash(&hash));
        assert!(verify_password(&hash, b"hunter2", ""));
        assert!(!verify_password(&hash, b"hunter3", ""));
        assert_ne!(hash_password(b"hunter2").unwrap(), hash);
    }

    /// From github.com/P-H-C/phc-winner-argon2, src/test.c; `echo -n password | argon2 somesalt -id -m 16 -t 2 -p 1 -l 32 -e`
    /// of that program prints it.
    #[test]
    fn the_reference_implementation_agrees() {
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify_password(hash, b"password", ""));
        assert!(!verify_password(hash, b"passwore", ""));
    }

    /// `printf 'hunter26d0b2b1e-0000-4000-8000-000000000001' | sha1sum`
    #[test]
    fn kongs_hashes_are_verified() {
        let mut sha1 = Sha1::new();
        sha1.update(b"hunter26d0b2b1e-0000-4000-8000-000000000001");
        let hash = sha1.digest().to_string();
        assert!(is_kong_hash(&hash) && is_password_hash(&hash));
        let salt = "6d0b2b1e-0000-4000-8000-000000000001";
        assert!(verify_password(&hash, b"hunter2", salt));
        assert!(verify_password(&hash.to_uppercase(), b"hunter2", salt));
        assert!(!verify_password(&hash, b"hunter2", "6d0b2b1e-0000-4000-8000-000000000002"));
    }

    #[test]
    fn what_costs_too_much_or_is_no_hash_is_refused() {
        for text in [
            "",
            "hunter2",
            "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=99,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$AAAA",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert!(!is_password_hash(text) && !verify_password(text, b"hunter2", ""), "{text}");
        }
        assert!(!verify_client_secret("$pbkdf2-sha512$i=4000000000,l=32$AAAA$AAAA", b"x"));
    }

    #[test]
    fn a_client_secret_is_verified_by_its_hash() {
        let hash = hash_client_secret(b"s3").unwrap();
        assert!(hash.starts_with("$pbkdf2-sha512$i=10000,l=32$") && is_client_secret_hash(&hash));
        assert!(verify_client_secret(&hash, b"s3"));
        assert!(!verify_client_secret(&hash, b"s4"));
        assert!(!verify_client_secret("$pbkdf2-sha512$", b"s3"));
    }
}
