//! Jitter: how long the same work takes, again and again.
//!
//! SP 800-90B's model of a noise source (section 2.2): the *noise* is in when caches, translation buffers, memory
//! controller, bus, clock domains and everything else that runs on the machine let a chain of memory accesses end; the
//! *digitisation* is a reading of the finest clock after each round of work.
//!
//! A round is a fixed number of reads and writes in a buffer larger than the first-level cache. Each address depends
//! on what the access before it read, so that they cannot overlap, and on the time of the last round. **The path of
//! instructions between two readings is always the same**: no branch and no loop count depends on data. So on a
//! machine whose clock counts instructions, an emulator run deterministically for one, rounds take the same time, and
//! the start-up test sees a constant, rather than a lively stream that is a function of the program.
//!
//! A raw sample is the low eight bits of the difference, in steps of the clock. [`Jitter::deltas`] hands out the
//! differences themselves.
//!
//! Opening finds out the clock's step, and makes rounds longer until their times differ enough; a clock too coarse for
//! that is refused. Memory is given back when the source is dropped.

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use super::timer::{granularity, ticks};
use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use};

pub(super) const KIND: Kind = Kind {
    name: "jitter",
    summary: "how long memory accesses take, by the CPU's own clock",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 1.0,
        reason: "less than half of the lowest that SP 800-90B's estimators gave for raw samples of an idle machine, \
                 a busy one and a single shared core; measured again at every start-up, and refused below it",
    },
    tested_bits: 1.0,
    timing: true,
    pace: Pace::Fast,
    default: Use::Always,
    open: |spec| Ok(Box::new(Jitter::open(spec.clone())?)),
};

/// Larger than first-level data caches (32 to 64 KiB, rarely 128), small beside the daemon's own memory.
const BUFFER_BYTES: usize = 128 * 1024;

/// Accesses a round to begin with: where a CPU counts its own cycles, some hundred nanoseconds.
const FEWEST_ACCESSES: u32 = 64;

/// Accesses a round at most: a quarter of a millisecond or so, for clocks that count microseconds.
const MOST_ACCESSES: u32 = 64 << 8;

/// Rounds by which a clock and a length of rounds are judged.
const TRIAL_ROUNDS: usize = 128;

/// Different times among [`TRIAL_ROUNDS`] rounds, after the step was divided out, without which the clock is refused.
const FEWEST_TIMES: usize = 8;

/// How long the search for a length of rounds may take. An emulated CPU takes a millisecond for a trial.
const TRIAL_TIME: Duration = Duration::from_millis(100);

/// The jitter source.
#[derive(Debug)]
pub struct Jitter {
    spec: Spec,
    memory: Memory,
    accesses: u32,
    /// The clock's step, in ticks.
    step: u64,
    /// Determines the next address. Noise flows into it, and it is erased with the rest.
    state: u64,
    last: u64,
}

impl Jitter {
    fn open(spec: Spec) -> Result<Self, SourceError> {
        let memory = Memory::map()?;
        let mut jitter = Self { spec, memory, accesses: FEWEST_ACCESSES, step: 1, state: ticks(), last: 0 };
        let until = Instant::now() + TRIAL_TIME;
        loop {
            let mut deltas = [0; TRIAL_ROUNDS];
            jitter.deltas(&mut deltas, until);
            jitter.step = granularity(&deltas);
            deltas.iter_mut().for_each(|delta| *delta /= jitter.step);
            deltas.sort_unstable();
            let times = 1 + deltas.windows(2).filter(|pair| pair[0] != pair[1]).count();
            if times >= FEWEST_TIMES {
                return Ok(jitter);
            }
            if jitter.accesses >= MOST_ACCESSES || Instant::now() >= until {
                return Err(SourceError::Refused(
                    "the clock is too coarse, or this machine too regular, to show jitter",
                ));
            }
            jitter.accesses *= 2;
        }
    }

    /// Fills the start of `out` with the times of successive rounds, in ticks of the clock, whole and undivided; stops
    /// at the deadline, which it looks at every sixteen rounds. Says how many they are.
    pub fn deltas(&mut self, out: &mut [u64], deadline: Instant) -> usize {
        let mut done = 0;
        for some in out.chunks_mut(16) {
            // Time between two calls, and for looking at the deadline, is no round's.
            self.last = ticks();
            for delta in &mut *some {
                *delta = self.round();
            }
            done += some.len();
            if Instant::now() >= deadline {
                break;
            }
        }
        done
    }

    /// One round of work, and how many ticks it took. No branch in here depends on data.
    #[inline(always)]
    fn round(&mut self) -> u64 {
        let mut state = self.state;
        for _ in 0..self.accesses {
            // Multiplier and increment of Knuth's MMIX generator; the high bits are its best.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state = state.wrapping_add(u64::from(self.memory.touch((state >> 40) as usize)));
        }
        let now = ticks();
        let delta = now.wrapping_sub(self.last);
        self.last = now;
        self.state = state ^ delta;
        delta
    }
}

impl Source for Jitter {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        let mut done = 0;
        let mut deltas = [0; 16];
        for some in out.chunks_mut(deltas.len()) {
            let count = self.deltas(&mut deltas[..some.len()], deadline);
            for (symbol, delta) in some.iter_mut().zip(&deltas[..count]) {
                *symbol = (delta / self.step) as u8;
            }
            done += count;
            if Instant::now() >= deadline {
                break;
            }
        }
        deltas.zeroize();
        Ok(done)
    }
}

impl Drop for Jitter {
    fn drop(&mut self) {
        self.state.zeroize();
        self.last.zeroize();
    }
}

/// A private mapping that goes back to the kernel whole, which an allocator would not promise.
#[derive(Debug)]
struct Memory(NonNull<u8>);

// SAFETY: the mapping belongs to this value alone, and to no thread.
unsafe impl Send for Memory {}

impl Memory {
    fn map() -> Result<Self, SourceError> {
        let (access, how) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
        );
        // SAFETY: asks for new pages anywhere; nothing of this process is touched.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), BUFFER_BYTES, access, how, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(SourceError::last_os("mapping the buffer"));
        }
        NonNull::new(start.cast()).map(Self).ok_or(SourceError::Malformed("a mapping at address zero"))
    }

    /// Reads a cell and writes it, and says what was read.
    #[inline(always)]
    fn touch(&mut self, at: usize) -> u8 {
        // SAFETY: the mask keeps the offset below the mapping's length, which is a power of two. Volatile, so that
        // the access takes place.
        unsafe {
            let cell = self.0.as_ptr().add(at & (BUFFER_BYTES - 1));
            let value = cell.read_volatile();
            cell.write_volatile(value.wrapping_add(1));
            value
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: start and length of what `map` mapped; nothing refers to it any more. The kernel erases pages
        // before it gives them to anybody else.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BUFFER_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Jitter {
        Jitter::open("jitter".parse().expect("a kind")).expect("this machine's clock is fine enough")
    }

    #[test]
    fn rounds_differ_and_samples_are_their_low_bits() {
        let mut jitter = opened();
        let mut samples = [0; 1000];
        let until = Instant::now() + Duration::from_secs(10);
        assert_eq!(jitter.sample(&mut samples, until).expect("samples"), 1000);
        let mut seen = [false; 256];
        samples.iter().for_each(|&symbol| seen[usize::from(symbol)] = true);
        assert!(seen.iter().filter(|&&seen| seen).count() >= FEWEST_TIMES);
        let mut deltas = [0; 100];
        assert_eq!(jitter.deltas(&mut deltas, until), 100);
        assert!(deltas.iter().all(|&delta| delta > 0 && delta.is_multiple_of(jitter.step)));
    }

    #[test]
    fn a_deadline_that_is_over_gives_few_samples_and_returns() {
        let mut samples = [0; 4096];
        let count = opened().sample(&mut samples, Instant::now()).expect("samples");
        assert!((1..=16).contains(&count), "{count}");
    }

    #[test]
    fn a_buffer_is_a_power_of_two() {
        const { assert!(BUFFER_BYTES.is_power_of_two()) };
    }
}
