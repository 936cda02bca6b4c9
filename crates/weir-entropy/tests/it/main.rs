//! The crate as a daemon uses it.

mod live;
