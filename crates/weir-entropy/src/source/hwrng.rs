//! hwrng: the generator behind /dev/hwrng, whichever driver the kernel has chosen.
//!
//! Its driver states a quality, in 1024ths of a bit of entropy a bit. That bounds the claim; where it is zero, nobody
//! vouches for the generator: what it gives is mixed in and counts for nothing. Under a hypervisor the generator is
//! most often virtio-rng, which hands on what the host gives. The host reads all of this machine's memory, so
//! trusting it with this adds nothing to what it is trusted with anyway.
//!
//! The quality is read from sysfs when the device is opened. A kernel that does not show it (before 6.2) gets none
//! assumed.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use, waiting};

pub(super) const KIND: Kind = Kind {
    name: "hwrng",
    summary: "the hardware generator behind /dev/hwrng: virtio-rng, a TPM's, a chipset's",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: MOST_BITS,
        reason: "what its driver vouches for (rng_quality), at most half a bit a bit; nothing where it vouches for \
                 nothing",
    },
    // Drivers give conditioned bytes, so that faults show against more than is credited.
    tested_bits: MOST_BITS,
    timing: false,
    pace: Pace::Slow { patience_ms: 30 },
    default: Use::Always,
    open: |spec| HwRng::open(spec, "/dev/hwrng", "/sys/class/misc/hw_random"),
};

/// Bits a byte that are believed at most.
const MOST_BITS: f64 = 4.0;

struct HwRng {
    spec: Spec,
    device: File,
    claim: f64,
}

impl HwRng {
    fn open(spec: &Spec, device: &str, folder: &str) -> Result<Box<dyn Source>, SourceError> {
        let current = line(&format!("{folder}/rng_current"));
        if matches!(current.as_deref(), Some("none" | "")) {
            return Err(SourceError::Absent("no driver is behind /dev/hwrng (rng_current is none)"));
        }
        let quality = line(&format!("{folder}/rng_quality")).and_then(|line| line.parse().ok());
        let device = waiting::open(device, false)?;
        Ok(Box::new(Self { spec: spec.clone(), device, claim: quality.map_or(0.0, claim) }))
    }
}

/// Bits a byte for a driver's quality.
fn claim(quality: u32) -> f64 {
    (f64::from(quality) / 1024.0 * 8.0).min(MOST_BITS)
}

/// The first line of a small file.
fn line(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(256).read_to_string(&mut text).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

impl Source for HwRng {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn claim(&self) -> f64 {
        self.claim
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        waiting::fill(&mut self.device, out, deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn quality_bounds_the_claim() {
        assert_eq!([0, 1, 512, 1000, 1024, u32::MAX].map(claim), [0.0, 1.0 / 128.0, 4.0, 4.0, 4.0, 4.0]);
    }

    /// A folder as sysfs has it, and a file for the device.
    fn opened(name: &str, current: &str, quality: Option<&str>) -> Result<f64, String> {
        let folder = std::env::temp_dir().join(format!("weir-hwrng-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rng_current"), current).unwrap();
        fs::write(folder.join("device"), [1, 2, 3]).unwrap();
        if let Some(quality) = quality {
            fs::write(folder.join("rng_quality"), quality).unwrap();
        }
        let device = folder.join("device");
        let source =
            HwRng::open(&"hwrng".parse().unwrap(), device.to_str().unwrap(), folder.to_str().unwrap());
        fs::remove_dir_all(&folder).unwrap();
        source.map(|source| source.claim()).map_err(|error| error.to_string())
    }

    #[test]
    fn no_quality_is_no_claim_and_no_driver_is_no_source() {
        assert_eq!(opened("full", "virtio_rng.0\n", Some("1000\n")), Ok(4.0));
        assert_eq!(opened("zero", "intel\n", Some("0\n")), Ok(0.0));
        assert_eq!(opened("old", "intel\n", None), Ok(0.0));
        assert_eq!(opened("odd", "intel\n", Some("-5\n")), Ok(0.0));
        assert!(opened("none", "none\n", Some("0\n")).is_err_and(|error| error.contains("rng_current")));
    }
}
