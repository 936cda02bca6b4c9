//! The kernel as the daemon sees it: a door to feed it through, behind a trait so that tests can stand in for any kernel.

use weir_kernel::host::{Accounting, EntropyPool, Root};
use weir_kernel::ioctl::{Pool, PoolError, Sample};

use crate::privilege::Privilege;

/// What a feeder asks of a kernel.
pub(crate) trait Kernel {
    /// Whether its generator has been seeded.
    fn is_ready(&self) -> bool;
    /// How it counts.
    fn accounting(&self) -> Accounting;
    /// What it says it holds, in bits.
    fn count_bits(&self) -> Result<u32, PoolError>;
    /// Mixes in, and credits.
    fn add(&self, sample: Sample<'_>) -> Result<(), PoolError>;
    /// Has it take a new key from its pool.
    fn reseed(&self) -> Result<(), PoolError>;
}

/// The running kernel.
#[derive(Debug)]
pub(crate) struct Live {
    pool: Pool,
    accounting: Accounting,
    /// Once the rights were reduced.
    privilege: Option<Privilege>,
}

impl Live {
    /// Opens the pool, and tries whether it may be fed: in a container CAP_SYS_ADMIN can be there and mean nothing to it.
    ///
    /// # Errors
    /// [`PoolError::Denied`] without the right, or why there is no pool.
    pub(crate) fn open() -> Result<Self, PoolError> {
        let live = Self { pool: Pool::open()?, accounting: accounting(), privilege: None };
        let nothing = Sample::uncredited(&[]).map_err(|_| PoolError::Unsupported)?;
        live.add(nothing)?;
        Ok(live)
    }

    /// Gives up all rights but this one, which from now on is in effect only while it is used.
    ///
    /// # Errors
    /// That the kernel does not let them go.
    pub(crate) fn reduce(&mut self) -> Result<(), PoolError> {
        let reduced = Privilege::reduce().map_err(|error| PoolError::Os(error.raw_os_error()))?;
        self.privilege = Some(reduced.ok_or(PoolError::Denied)?);
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&Pool) -> T) -> T {
        match &self.privilege {
            Some(privilege) => privilege.with(|| work(&self.pool)),
            None => work(&self.pool),
        }
    }
}

/// How the running kernel counts. A pool size that no kernel is known to have is taken for the newest.
pub(crate) fn accounting() -> Accounting {
    EntropyPool::read(&Root::live()).accounting.unwrap_or(Accounting::Full256)
}

impl Kernel for Live {
    fn is_ready(&self) -> bool {
        weir_kernel::is_ready()
    }

    fn accounting(&self) -> Accounting {
        self.accounting
    }

    fn count_bits(&self) -> Result<u32, PoolError> {
        self.pool.count_bits()
    }

    fn add(&self, sample: Sample<'_>) -> Result<(), PoolError> {
        self.with(|pool| pool.add(sample))
    }

    fn reseed(&self) -> Result<(), PoolError> {
        self.with(Pool::reseed)
    }
}
