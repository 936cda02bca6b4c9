//! What the crate says, against published results.

mod sp800_90b;
