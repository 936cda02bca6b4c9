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

use std::fmt;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use zeroize::Zeroize;

use super::timer::{granularity, ticks};
use super::{Claim, Kind, Pace, Source, SourceError, Use};

pub(super) const KIND: Kind = Kind {
    name: "jitter",
    summary: "how long memory accesses take, by the CPU's own clock",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 1.0,
        reason: "a third of the lowest that SP 800-90B's estimators gave for raw samples of an idle machine, a busy \
                 one and a single shared core; measured again at every start-up, and refused below it",
    },
    tested_bits: 1.0,
    timing: true,
    pace: Pace::Fast,
    default: Use::Always,
    open: |_| Ok(Box::new(Jitter::open()?)),
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

/// Rounds between two looks at the deadline.
const PIECE: usize = 16;

/// How long the search for a length of rounds may take: an emulated CPU takes a millisecond for a trial. Also bounds
/// the length of rounds, to less than a timer interrupt's period: their times are to differ by more than what
/// interrupts make of them.
const TRIAL_TIME: Duration = Duration::from_millis(100);

/// The jitter source.
pub struct Jitter {
    memory: Memory,
    accesses: u32,
    /// The clock's step, in ticks.
    step: u64,
    /// Determines the next address. Noise flows into it, and it is erased with the rest.
    state: u64,
    /// The bits of a time that flow into the state: all, except for [`Jitter::rewind`].
    feedback: u64,
    last: u64,
}

impl Jitter {
    /// Maps the buffer and measures the clock.
    ///
    /// # Errors
    /// [`SourceError::Refused`] if the clock is too coarse or the machine too regular, [`SourceError::Os`].
    pub fn open() -> Result<Self, SourceError> {
        let memory = Memory::map()?;
        let mut jitter =
            Self { memory, accesses: FEWEST_ACCESSES, step: 1, state: ticks(), feedback: u64::MAX, last: 0 };
        let until = Instant::now() + TRIAL_TIME;
        while jitter.accesses <= MOST_ACCESSES && Instant::now() < until {
            if jitter.differs(until) {
                return Ok(jitter);
            }
            jitter.accesses *= 2;
        }
        Err(SourceError::Refused("the clock is too coarse, or this machine too regular, to show jitter"))
    }

    /// Whether rounds of this length take different times. Finds out the clock's step.
    fn differs(&mut self, until: Instant) -> bool {
        let mut deltas = [0; TRIAL_ROUNDS];
        let done = self.deltas(&mut deltas, until);
        let deltas = &mut deltas[..done];
        self.step = granularity(deltas);
        deltas.sort_unstable();
        done == TRIAL_ROUNDS && deltas.chunk_by(|a, b| a == b).count() >= FEWEST_TIMES
    }

    /// Fills the start of `out` with the times of successive rounds, in ticks of the clock, whole and undivided; stops
    /// at the deadline, which it looks at every sixteen rounds. Says how many they are.
    pub fn deltas(&mut self, out: &mut [u64], deadline: Instant) -> usize {
        let mut done = 0;
        for some in out.chunks_mut(PIECE) {
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

    /// Begins anew with the same contents and the same addresses as each time that this is called, and lets no time
    /// change them any more: to measure how much of the times is a function of the addresses. Not for gathering.
    pub fn rewind(&mut self) {
        self.memory.clear();
        (self.state, self.feedback) = (1, 0);
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
        self.state = state ^ (delta & self.feedback);
        delta
    }
}

impl Source for Jitter {
    fn name(&self) -> &str {
        KIND.name
    }

    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        let mut done = 0;
        let mut deltas = [0; PIECE];
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

impl fmt::Debug for Jitter {
    /// State and times stay unsaid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jitter({} accesses a round, clock in steps of {})", self.accesses, self.step)
    }
}

impl Drop for Jitter {
    fn drop(&mut self) {
        self.state.zeroize();
        self.last.zeroize();
    }
}

/// A private mapping that goes back to the kernel whole, which an allocator would not promise.
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

    fn clear(&mut self) {
        // SAFETY: start and length are those of the mapping, and nothing else refers to it.
        unsafe { self.0.as_ptr().write_bytes(0, BUFFER_BYTES) };
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
        Jitter::open().expect("this machine's clock is fine enough")
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
    fn rewound_rounds_go_the_same_way() {
        let mut jitter = opened();
        let until = Instant::now() + Duration::from_secs(10);
        let mut states = [0, 1].map(|_| {
            jitter.rewind();
            jitter.deltas(&mut [0; 64], until);
            jitter.state
        });
        assert_eq!(states[0], states[1]);
        states = [0, 1].map(|_| {
            let mut jitter = opened();
            jitter.deltas(&mut [0; 64], until);
            jitter.state
        });
        assert_ne!(states[0], states[1], "odds of 2^-64");
    }

    #[test]
    fn a_buffer_is_a_power_of_two() {
        const { assert!(BUFFER_BYTES.is_power_of_two()) };
    }
}
