//! Feeding: what sources gather goes into the kernel's pool, credited with what it earned and not more.
//!
//! Three things are done, each within a budget of time: a kernel that is not ready is made ready ([`Feeder::seed`]), an
//! estimate that went down is brought up again ([`Feeder::top_up`]), and a running generator takes a new key
//! ([`Feeder::refresh`]). None of them waits for a source beyond its budget, and none goes round without getting anywhere.

use std::time::{Duration, Instant};

use weir_entropy::Gatherer;
use weir_kernel::ioctl::{PoolError, Sample};

use crate::kernel::Kernel;

/// One block's worth: what makes a kernel ready that counts to 256, and one that wants 128.
const BLOCK_BITS: u32 = 256;
/// From an empty pool of 4096 bits to a full one, with as much again to spare.
const MOST_ROUNDS: u32 = 32;

/// What gathers, behind a trait so that tests can stand in for sources.
pub(crate) trait Gather {
    /// Gathers until `want_bits` are earned or the budget is over, and gives each block with its credit. Answers the credit in
    /// all.
    fn gather(&mut self, want_bits: u32, budget: Duration, give: Give<'_>) -> Result<u32, PoolError>;
}

/// Takes a block.
pub(crate) type Give<'a> = &'a mut dyn FnMut(Sample<'_>) -> Result<(), PoolError>;

impl Gather for Gatherer {
    fn gather(&mut self, want_bits: u32, budget: Duration, give: Give<'_>) -> Result<u32, PoolError> {
        let batch = Self::gather(self, want_bits, budget);
        for block in batch.blocks() {
            // A block's credit is bounded by its length; were it not, it would be worth nothing.
            let sample = Sample::credited(block.bytes(), block.credit_bits());
            let sample =
                sample.or_else(|_| Sample::uncredited(block.bytes())).map_err(|_| PoolError::Unsupported)?;
            give(sample)?;
        }
        Ok(batch.credit_bits())
    }
}

/// Sources, and the kernel that they feed.
#[derive(Debug)]
pub(crate) struct Feeder<K, G> {
    pub(crate) kernel: K,
    pub(crate) sources: G,
    /// How often the kernel was given something.
    pub(crate) rounds: u64,
    /// Bits credited in all.
    pub(crate) credited_bits: u64,
    /// How often it was made to take a new key.
    pub(crate) reseeds: u64,
}

impl<K: Kernel, G: Gather> Feeder<K, G> {
    pub(crate) fn new(kernel: K, sources: G) -> Self {
        Self { kernel, sources, rounds: 0, credited_bits: 0, reseeds: 0 }
    }

    /// Makes a kernel ready, then has it take a key from all that it was given. Answers whether it is ready.
    pub(crate) fn seed(&mut self, budget: Duration) -> Result<bool, PoolError> {
        let until = Instant::now() + budget;
        while !self.kernel.is_ready() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.give(BLOCK_BITS, left)? == 0 {
                return Ok(self.kernel.is_ready());
            }
        }
        self.reseed()
    }

    /// Brings the estimate up to `target_bits`. Answers whether it got there.
    pub(crate) fn top_up(&mut self, target_bits: u32, budget: Duration) -> Result<bool, PoolError> {
        let until = Instant::now() + budget;
        for _ in 0..MOST_ROUNDS {
            let have = self.kernel.count_bits()?;
            if have >= target_bits {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.give((target_bits - have).min(BLOCK_BITS), left)? == 0 {
                break;
            }
        }
        Ok(self.kernel.count_bits()? >= target_bits)
    }

    /// Gives a block and has the kernel take a new key. Answers whether it did.
    pub(crate) fn refresh(&mut self, budget: Duration) -> Result<bool, PoolError> {
        self.give(BLOCK_BITS, budget)?;
        self.reseed()
    }

    /// Mixes in what nobody vouches for.
    pub(crate) fn mix(&mut self, bytes: &[u8]) -> Result<(), PoolError> {
        for piece in bytes.chunks(Sample::MAX_BYTES) {
            self.kernel.add(Sample::uncredited(piece).map_err(|_| PoolError::Unsupported)?)?;
        }
        Ok(())
    }

    /// Gives a sample with a credit that its caller has a reason for.
    pub(crate) fn add(&mut self, sample: Sample<'_>) -> Result<(), PoolError> {
        self.kernel.add(sample)?;
        self.rounds += 1;
        self.credited_bits += u64::from(sample.credit_bits());
        Ok(())
    }

    /// Has the kernel take a new key: false from one that is not ready, true from one too old to be told, which takes its
    /// keys by the clock.
    pub(crate) fn reseed(&mut self) -> Result<bool, PoolError> {
        match self.kernel.reseed() {
            Ok(()) => {
                self.reseeds += 1;
                Ok(true)
            }
            Err(PoolError::Unsupported) => Ok(true),
            Err(PoolError::NotReady) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn give(&mut self, want_bits: u32, budget: Duration) -> Result<u32, PoolError> {
        let kernel = &self.kernel;
        let credited = self.sources.gather(want_bits, budget, &mut |sample| kernel.add(sample))?;
        self.rounds += 1;
        self.credited_bits += u64::from(credited);
        Ok(credited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use weir_kernel::host::Accounting;

    const TIME: Duration = Duration::from_secs(60);

    /// A kernel that is ready at so many bits, and holds no more than its pool.
    struct Pretend {
        bits: Cell<u32>,
        ready_at: u32,
        ready: Cell<bool>,
        reseed: Result<(), PoolError>,
    }

    impl Pretend {
        fn holding(bits: u32) -> Self {
            Self { bits: Cell::new(bits), ready_at: 256, ready: Cell::new(bits >= 256), reseed: Ok(()) }
        }
    }

    impl Kernel for Pretend {
        fn is_ready(&self) -> bool {
            self.ready.get()
        }

        fn accounting(&self) -> Accounting {
            Accounting::Estimate4096
        }

        fn count_bits(&self) -> Result<u32, PoolError> {
            Ok(self.bits.get())
        }

        fn add(&self, sample: Sample<'_>) -> Result<(), PoolError> {
            // As the old kernels count: what is credited fills only a part of what is missing.
            let missing = 4096 - self.bits.get();
            self.bits.set(self.bits.get() + sample.credit_bits().min(missing * 3 / 4));
            self.ready.set(self.ready.get() || self.bits.get() >= self.ready_at);
            Ok(())
        }

        fn reseed(&self) -> Result<(), PoolError> {
            if self.ready.get() { self.reseed } else { Err(PoolError::NotReady) }
        }
    }

    /// Sources that are worth so many bits a block.
    struct Worth(u32, u32);

    impl Gather for Worth {
        fn gather(&mut self, want_bits: u32, _: Duration, give: Give<'_>) -> Result<u32, PoolError> {
            self.1 += 1;
            let credit = self.0.min(want_bits);
            give(Sample::credited(&[7; 64], credit).unwrap())?;
            Ok(credit)
        }
    }

    #[test]
    fn a_kernel_is_made_ready_with_as_much_as_it_takes_and_then_takes_a_key() {
        let mut feeder = Feeder::new(Pretend::holding(0), Worth(200, 0));
        assert_eq!(feeder.seed(TIME), Ok(true));
        assert_eq!((feeder.rounds, feeder.credited_bits, feeder.reseeds), (2, 400, 1));
    }

    #[test]
    fn sources_that_earn_nothing_are_mixed_in_once_and_do_not_go_round() {
        let mut feeder = Feeder::new(Pretend::holding(0), Worth(0, 0));
        assert_eq!(feeder.seed(TIME), Ok(false));
        assert_eq!(feeder.top_up(1024, TIME), Ok(false));
        assert_eq!((feeder.sources.1, feeder.credited_bits, feeder.reseeds), (2, 0, 0));
        assert_eq!(feeder.refresh(TIME), Ok(false), "a kernel that is not ready has no key to take");
    }

    #[test]
    fn nothing_is_begun_without_time() {
        let mut feeder = Feeder::new(Pretend::holding(0), Worth(256, 0));
        assert_eq!(feeder.seed(Duration::ZERO), Ok(false));
        assert_eq!(feeder.top_up(4096, Duration::ZERO), Ok(false));
        assert_eq!(feeder.sources.1, 0);
    }

    #[test]
    fn an_estimate_is_brought_up_and_a_full_one_left_alone() {
        let mut feeder = Feeder::new(Pretend::holding(300), Worth(256, 0));
        assert_eq!(feeder.top_up(4000, TIME), Ok(true));
        assert!(feeder.kernel.count_bits().unwrap() >= 4000);
        let rounds = feeder.rounds;
        assert_eq!(feeder.top_up(4000, TIME), Ok(true));
        assert_eq!(feeder.rounds, rounds);
        // One that cannot be reached ends all the same.
        assert_eq!(feeder.top_up(4097, TIME), Ok(false));
        assert!(feeder.rounds <= rounds + u64::from(MOST_ROUNDS));
    }

    #[test]
    fn a_kernel_too_old_to_be_told_is_no_failure_and_one_that_refuses_is() {
        let old = Pretend { reseed: Err(PoolError::Unsupported), ..Pretend::holding(256) };
        assert_eq!(Feeder::new(old, Worth(256, 0)).refresh(TIME), Ok(true));
        let strict = Pretend { reseed: Err(PoolError::Denied), ..Pretend::holding(256) };
        assert_eq!(Feeder::new(strict, Worth(256, 0)).refresh(TIME), Err(PoolError::Denied));
    }
}
