//! file and fifo: bytes of another device or program, mixed in and never credited.
//!
//! Whoever names a file cannot prove where its bytes come from: an image may hold it, a network may have filled it. So
//! both count for nothing, whatever they are; hardware that deserves credit belongs behind the kernel's hwrng
//! framework, where its driver vouches for it. To mix such bytes in harms nobody.
//!
//! A regular file is read from its start to its end, and is at its end then, until it is opened anew after a pause.
//! A fifo waits for writers as long as it likes; it never ends, and it never makes anybody wait.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::time::Instant;

use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use, waiting};

const UNKNOWN: Claim = Claim {
    min_entropy_bits: 0.0,
    reason: "nobody can tell where its bytes come from: an image or a network could know them",
};

/// Kinds that are worth nothing are tested for whether they stand still.
pub(super) const STANDSTILL_BITS: f64 = 0.125;

pub(super) const FILE: Kind = Kind {
    name: "file",
    summary: "a file or a character device",
    argument: Some("PATH"),
    bits_per_sample: 8,
    claim: UNKNOWN,
    tested_bits: STANDSTILL_BITS,
    timing: false,
    pace: Pace::Slow { patience_ms: 5 },
    default: Use::Named,
    open: |spec| open(spec, false),
};

pub(super) const FIFO: Kind = Kind {
    name: "fifo",
    summary: "a named pipe that another program writes to",
    argument: Some("PATH"),
    bits_per_sample: 8,
    claim: UNKNOWN,
    tested_bits: STANDSTILL_BITS,
    timing: false,
    pace: Pace::Slow { patience_ms: 5 },
    default: Use::Named,
    open: |spec| open(spec, true),
};

struct Device {
    spec: Spec,
    file: File,
}

fn open(spec: &Spec, fifo: bool) -> Result<Box<dyn Source>, SourceError> {
    // A fifo that is open for writing too has no end when its writers go.
    let file = waiting::open(spec.argument(), fifo)?;
    let meta = file.metadata().map_err(|error| SourceError::Os { what: "looking at it", error })?;
    let kind = meta.file_type();
    if kind.is_fifo() != fifo {
        return Err(SourceError::Refused(if fifo {
            "it is not a fifo"
        } else {
            "it is a fifo: name it fifo:"
        }));
    }
    if !fifo && !kind.is_file() && !kind.is_char_device() {
        return Err(SourceError::Refused("it is neither a file nor a character device"));
    }
    Ok(Box::new(Device { spec: spec.clone(), file }))
}

impl Source for Device {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        waiting::read(&mut self.file, out, deadline)
    }
}
