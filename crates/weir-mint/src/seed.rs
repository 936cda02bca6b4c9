//! Seeds for generators whose output need not be secret: load balancing, jitter, sampling.

use std::fmt;

use weir_kernel::{Error, Purpose};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 256 bits for one pseudorandom generator.
///
/// One a worker, never shared: two generators with one seed give one stream. A process that forks seeds again in the child.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// A seed.
///
/// # Errors
/// Those of the draw.
pub fn seed() -> Result<Seed, Error> {
    let mut seed = Seed([0; 32]);
    weir_kernel::fill_for(Purpose::Seed, &mut seed.0)?;
    Ok(seed)
}

/// A seed for each of `workers`.
///
/// # Errors
/// Those of the draws.
pub fn seeds(workers: usize) -> Result<Vec<Seed>, Error> {
    (0..workers).map(|_| seed()).collect()
}
