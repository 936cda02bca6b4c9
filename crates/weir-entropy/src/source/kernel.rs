//! What the kernel gathers by itself: listed, so that a reader finds it, and never a source.

use super::{Claim, Kind, Pace, SourceError, Use};

pub(super) const KIND: Kind = Kind {
    name: "kernel",
    summary: "times of interrupts, disks and input, which the kernel gathers by itself",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 0.0,
        reason: "the kernel has counted it already; to read it back and credit it would count it twice",
    },
    tested_bits: 0.0,
    timing: false,
    pace: Pace::Slow { patience_ms: 0 },
    default: Use::Never,
    open: |_| {
        Err(SourceError::Refused(
            "what the kernel gathers is in its pool and counted there; read back, it would count twice",
        ))
    },
};
