//! Tokens, ids, passwords and seeds minted from the kernel's generator.

mod digest;
mod secret;
mod uuid;

pub use digest::Digester;
pub use secret::{Secret, key};
pub use uuid::Uuid;
