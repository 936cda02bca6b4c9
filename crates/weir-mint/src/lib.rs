//! Tokens, ids, passwords and seeds minted from the kernel's generator.
