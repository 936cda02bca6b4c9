//! The test kit, tested on itself: client against server, guard against a stand-in for the gateway.

mod echo;
mod gateway;
mod netns;
#[cfg(feature = "tls")]
mod tls;
