//! The tests against published results and against the figures of other programs.

mod battery;
mod sp800_22;
mod sp800_90b;
