//! Servers, clients and fixtures for the workspace's tests.
//!
//! Purpose: what an integration test of a gateway needs around the gateway: the [`Gateway`] process itself, an upstream
//! to send requests to ([`Echo`]), one that misbehaves byte for byte ([`Scripted`]), a client that sends exactly the
//! bytes it is told to ([`Client`]), directories that vanish ([`TempDir`]), a network of its own ([`netns`]), guests
//! with other kernels ([`lab`]), and a way to be skipped that nobody overlooks ([`skip!`]).
//!
//! Contract: everything listens on loopback, on ports that the kernel picks, and ends with its guard. Nothing waits
//! without a deadline. What goes wrong in here is the test's failure: helpers that have no useful error to hand back
//! panic with what happened.
//!
//! Deliberately absent: an async runtime (threads and blocking sockets are enough to test one, and have no bugs in common
//! with it), leniency in parsing (an answer that is not HTTP/1.1 is an error to see), pools and retries.

#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "used by tests only: a failure here is the test's failure"
)]

mod client;
mod echo;
mod gateway;
mod http1;
pub mod lab;
pub mod netns;
mod scripted;
mod skip;
mod temp;
#[cfg(feature = "tls")]
mod tls;
mod websocket;

/// A program that runs another on a kernel whose random number generator seems never to become ready: give it to
/// [`Launch::under`] after `python3`.
pub const NEVER_READY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/never_ready.py");

pub use client::{Answer, Client};
pub use echo::{Echo, Received, Reply, Then};
pub use gateway::{Gateway, Launch, Listeners};
pub use http1::Headers;
pub use scripted::{Peer, Scripted};
pub use skip::{__name_of, report_skip};
pub use temp::TempDir;
pub use websocket::{Message, WebSocket};
