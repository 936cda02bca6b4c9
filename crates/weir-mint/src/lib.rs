//! Tokens, ids, passwords and seeds minted from the kernel's generator.
//!
//! ```
//! let credential = weir_mint::key()?; // 32 characters, 190.5 bits
//! let id = weir_mint::Uuid::v4()?;
//! let port = weir_mint::uniform(49_152..=65_535)?;
//! # Ok::<(), weir_mint::Error>(())
//! ```
//!
//! - [`key`]: the default credential. [`Token`]: any other, by alphabet, length or bits, prefix and checksum.
//! - [`scannable`]: keys that a secret scanner recognises (`weir_…`).
//! - [`Alphabet::fill`], [`Characters::fill`], [`scannable::fill`]: the same into memory of the caller, without an allocation.
//! - [`Uuid`] versions 4 and 7, [`uniform`] integers, [`shuffle`], [`Password`]s of characters or words, [`Seed`]s.
//! - [`Secret`]: how a minted credential is held. It does not print, compares in constant time and erases itself.
//! - [`erase`]: what becomes of memory that held a secret.
//! - [`Digester`]: how a credential is looked up without being kept.
//!
//! Invariants: every value is uniform over what its type says it can be (by rejection, never by a remainder); nothing
//! drawn is kept for the next value; whatever was drawn and is not returned is erased; an error of the kernel is
//! the caller's error, unchanged.
//!
//! Absent on purpose: I/O, ids of requests (they need no secrecy and are the gateway's), and, but for the feature `slow`, slow hashes of passwords.

mod alphabet;
mod crc32;
mod digest;
pub mod hex;
mod integer;
mod password;
pub mod scannable;
mod secret;
mod seed;
mod size;
#[cfg(feature = "slow")]
pub mod slow;
mod token;
mod uuid;

pub use alphabet::{Alphabet, AlphabetError, Characters};
pub use digest::{Digester, is_digest};
pub use integer::{choose, shuffle, uniform, uniform_signed};
pub use password::{CharacterClass, Password, PasswordError};
#[cfg(feature = "serde")]
pub use secret::expose;
pub use secret::{Secret, erase};
pub use seed::{Seed, seed, seeds};
pub use size::{SizeError, parse_size};
pub use token::{Token, TokenError, key};
pub use uuid::{Uuid, UuidError};
pub use weir_kernel::Error;
