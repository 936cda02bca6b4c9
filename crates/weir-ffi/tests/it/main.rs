//! What libweir promises, held against programs in C and Lua, and against nginx.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this crate is a test"
)]

mod abi;
mod c;
mod install;
mod lua;
mod nginx;
mod support;
