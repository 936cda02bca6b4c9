//! Tokens, ids, passwords and seeds minted from the kernel's generator.

mod digest;
mod uuid;

pub use digest::Digester;
pub use uuid::Uuid;
