//! The tests against published results and against the figures of other programs.

mod sp800_22;
