//! The CPU's own generators: RDSEED and RDRAND on x86-64, RNDR on arm64.
//!
//! What comes out of these instructions has been conditioned by the CPU already, so that raw noise is out of reach and
//! the health tests see only gross faults; the CPU's own tests look at its noise. Hence claims far below a bit a bit,
//! and a look at each whole word for what broken CPUs answer ([`crate::health::words`]). In a virtual machine the
//! hypervisor can have the instructions trap and answer what it likes. It can read and write all of the guest's memory
//! too, so trusting it here adds nothing to what it is trusted with anyway.
//!
//! An instruction that has nothing ready says so, and is asked again as often as its maker recommends, with a pause.

use std::time::Instant;

use zeroize::Zeroize;

use super::{Claim, Kind, Pace, Source, SourceError, Spec, Use};
use crate::health::words::Words;

pub(super) const RDSEED: Kind = Kind {
    name: "rdseed",
    summary: "the CPU's RDSEED: conditioned noise (x86-64)",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 4.0,
        reason: "the CPU's conditioner takes in twice the noise that it gives out, by its maker's word; half of \
                 what is given out is believed, because nobody outside can test the noise",
    },
    tested_bits: 4.0,
    timing: false,
    pace: Pace::Fast,
    default: if cfg!(target_arch = "x86_64") { Use::Always } else { Use::Named },
    open: |spec| Cpu::open(spec, instructions::has_rdseed(), instructions::rdseed, 100),
};

pub(super) const RDRAND: Kind = Kind {
    name: "rdrand",
    summary: "the CPU's RDRAND: a generator seeded from its noise (x86-64)",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 1.0 / 64.0,
        reason: "a generator's output: a new seed, of 128 bits of security, comes after 511 outputs of 128 bits at \
                 the latest, so a bit has a 512th of a bit of entropy",
    },
    // A generator's output looks full, so faults show against more than it is credited with.
    tested_bits: 4.0,
    timing: false,
    pace: Pace::Fast,
    default: if cfg!(target_arch = "x86_64") { Use::Without("rdseed") } else { Use::Named },
    open: |spec| Cpu::open(spec, instructions::has_rdrand(), instructions::rdrand, 10),
};

pub(super) const RNDR: Kind = Kind {
    name: "rndr",
    summary: "the CPU's RNDRRS: a generator, newly seeded from its noise each time (arm64)",
    argument: None,
    bits_per_sample: 8,
    claim: Claim {
        min_entropy_bits: 2.0,
        reason: "the architecture demands a new seed for each answer and a design after SP 800-90, but leaves both to \
                 the maker; a quarter is believed",
    },
    tested_bits: 4.0,
    timing: false,
    pace: Pace::Fast,
    default: if cfg!(target_arch = "aarch64") { Use::Always } else { Use::Named },
    open: |spec| Cpu::open(spec, instructions::has_rndr(), instructions::rndrrs, 100),
};

/// A CPU instruction that answers a word, or that it has none.
struct Cpu {
    spec: Spec,
    ask: fn() -> Option<u64>,
    /// How often an instruction that has nothing ready is asked in a row.
    tries: u32,
    words: Words,
}

impl Cpu {
    fn open(
        spec: &Spec,
        there: bool,
        ask: fn() -> Option<u64>,
        tries: u32,
    ) -> Result<Box<dyn Source>, SourceError> {
        if !there {
            return Err(SourceError::Absent(
                "this CPU does not have the instruction, or its hypervisor hides it",
            ));
        }
        Ok(Box::new(Self { spec: spec.clone(), ask, tries, words: Words::default() }))
    }

    /// The next word. That there is none is no failure yet: others on this machine may be taking them all.
    fn word(&mut self) -> Result<u64, SourceError> {
        for _ in 0..self.tries {
            if let Some(word) = (self.ask)() {
                self.words.feed(word)?;
                return Ok(word);
            }
            std::hint::spin_loop();
        }
        Err(SourceError::Dry)
    }
}

impl Source for Cpu {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], deadline: Instant) -> Result<usize, SourceError> {
        let mut done = 0;
        for some in out.chunks_mut(8) {
            let mut word = match self.word() {
                Ok(word) => word.to_ne_bytes(),
                Err(SourceError::Dry) if done > 0 => break,
                Err(error) => return Err(error),
            };
            some.copy_from_slice(&word[..some.len()]);
            word.zeroize();
            done += some.len();
            // Where a hypervisor traps the instruction, an answer takes a microsecond or a hundred.
            if Instant::now() >= deadline {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(target_arch = "x86_64")]
mod instructions {
    //! RDSEED and RDRAND.

    use std::arch::x86_64::{_rdrand64_step, _rdseed64_step};

    pub(super) fn has_rdseed() -> bool {
        std::arch::is_x86_feature_detected!("rdseed")
    }

    pub(super) fn has_rdrand() -> bool {
        std::arch::is_x86_feature_detected!("rdrand")
    }

    pub(super) fn has_rndr() -> bool {
        false
    }

    pub(super) fn rdseed() -> Option<u64> {
        #[target_feature(enable = "rdseed")]
        fn step(word: &mut u64) -> i32 {
            _rdseed64_step(word)
        }
        let mut word = 0;
        // SAFETY: called only after `has_rdseed`.
        (unsafe { step(&mut word) } == 1).then_some(word)
    }

    pub(super) fn rdrand() -> Option<u64> {
        #[target_feature(enable = "rdrand")]
        fn step(word: &mut u64) -> i32 {
            _rdrand64_step(word)
        }
        let mut word = 0;
        // SAFETY: called only after `has_rdrand`.
        (unsafe { step(&mut word) } == 1).then_some(word)
    }

    pub(super) fn rndrrs() -> Option<u64> {
        None
    }
}

#[cfg(target_arch = "aarch64")]
mod instructions {
    //! RNDRRS.

    pub(super) fn has_rdseed() -> bool {
        false
    }

    pub(super) fn has_rdrand() -> bool {
        false
    }

    pub(super) fn has_rndr() -> bool {
        std::arch::is_aarch64_feature_detected!("rand")
    }

    pub(super) fn rdseed() -> Option<u64> {
        None
    }

    pub(super) fn rdrand() -> Option<u64> {
        None
    }

    pub(super) fn rndrrs() -> Option<u64> {
        let (word, ok): (u64, u64);
        // SAFETY: called only after `has_rndr`. S3_3_C2_C4_1 is RNDRRS by its encoding, which assemblers without the
        // extension take too. The instruction sets the flags: equal means that it had nothing, and zero was read.
        unsafe {
            std::arch::asm!(
                "mrs {word}, S3_3_C2_C4_1",
                "cset {ok}, ne",
                word = out(reg) word,
                ok = out(reg) ok,
                options(nomem, nostack)
            );
        }
        (ok == 1).then_some(word)
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod instructions {
    //! None that is known.

    pub(super) fn has_rdseed() -> bool {
        false
    }

    pub(super) fn has_rdrand() -> bool {
        false
    }

    pub(super) fn has_rndr() -> bool {
        false
    }

    pub(super) fn rdseed() -> Option<u64> {
        None
    }

    pub(super) fn rdrand() -> Option<u64> {
        None
    }

    pub(super) fn rndrrs() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn simulated(ask: fn() -> Option<u64>) -> Result<usize, SourceError> {
        let spec = "rdrand".parse().expect("a kind");
        let mut out = [0; 20];
        Cpu::open(&spec, true, ask, 10)?.sample(&mut out, Instant::now() + Duration::from_secs(1))
    }

    #[test]
    fn broken_cpus_are_found_by_their_words() {
        let error = simulated(|| Some(u64::MAX)).expect_err("all ones");
        assert!(error.to_string().contains("0xffffffffffffffff"), "{error}");
        assert!(simulated(|| Some(0)).is_err());
        let error = simulated(|| Some(0x1234_5678_9abc_def0)).expect_err("repeated");
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn a_cpu_that_has_nothing_ready_is_given_up_after_some_tries() {
        assert!(matches!(simulated(|| None), Err(SourceError::Dry)));
    }

    #[test]
    fn what_this_cpu_has_answers() {
        for name in ["rdseed", "rdrand", "rndr"] {
            let spec: Spec = name.parse().expect("a kind");
            let mut out = [0; 1024];
            match super::super::open(&spec) {
                Ok(mut source) => {
                    let until = Instant::now() + Duration::from_secs(10);
                    let count = source.sample(&mut out, until).expect("words");
                    assert_eq!(count, 1024);
                    // All bytes zero at one place of sixteen: odds of 2^-128.
                    assert!(out.chunks(16).all(|chunk| chunk.iter().any(|&byte| byte != 0)));
                }
                Err(error) => eprintln!("SKIPPED: what_this_cpu_has_answers: {name}: {error}"),
            }
        }
    }
}
