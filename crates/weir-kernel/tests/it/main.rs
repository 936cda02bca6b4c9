//! What weir-kernel promises, held against this host's kernel and against kernels that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of this crate is a test, the scenarios that run in child processes too"
)]

mod child;
mod draws;
mod faults;
mod forks;
mod hosts;
mod pool;
mod seccomp;
mod vdso_elf;
