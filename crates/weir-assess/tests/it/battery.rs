//! What is bad is found, and what is good passes at the stated odds.
//!
//! Good streams come from SplitMix64 with fixed seeds, so that a run repeats; with `WEIR_ASSESS_FROM=FILE`
//! from that file, such as the kernel's device.

use std::fs::File;
use std::io::Read;

use weir_assess::battery::Battery;
use weir_assess::sp800_22::{self, Bits, Parameters};
use weir_assess::verdict::{FALSE_ALARM, Named, Verdict, judge};

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

fn good(seed: u64, bytes: usize) -> Vec<u8> {
    let mut stream = vec![0; bytes];
    if let Some(file) = std::env::var_os("WEIR_ASSESS_FROM") {
        File::open(file).unwrap().read_exact(&mut stream).unwrap();
    } else {
        SplitMix64(seed.wrapping_mul(0xd134_2543_de82_ef95)).fill(&mut stream);
    }
    stream
}

/// The statistic of a stream: everything over all of it, SP 800-22 over its first million bits.
fn p_values(stream: &[u8]) -> Vec<Named> {
    let mut battery = Battery::new();
    battery.push(stream);
    let mut p_values = battery.p_values();
    let bits = Bits::new(stream).first(1_000_000);
    let results = sp800_22::assess(bits, &Parameters::for_length(bits.len()), 2, &|_| ());
    p_values.extend(sp800_22::p_values(&results));
    p_values
}

fn verdict(stream: &[u8]) -> Verdict {
    judge(p_values(stream), FALSE_ALARM)
}

/// Healthy streams that may be condemned among `runs` at a level, but with a probability below 1e-6.
fn most_condemned(runs: u64, level: f64) -> u64 {
    let least =
        (0..=runs).find(|hits| weir_assess::probability::binomial_at_least(*hits, runs, level) < 1e-6);
    least.unwrap_or(runs + 1) - 1
}

/// False-alarm odds of this test, with fresh bytes: at most 2e-6 plus `runs` times 1e-6.
fn repeat(runs: u64, bytes: usize) {
    let (mut at_one_percent, mut condemned) = (0, Vec::new());
    for seed in 0..runs {
        let p_values = p_values(&good(seed + 1, bytes));
        at_one_percent += u64::from(judge(p_values.clone(), 0.01).found);
        let verdict = judge(p_values, FALSE_ALARM);
        if verdict.found {
            condemned.push((seed, verdict.findings));
        }
    }
    eprintln!("{runs} streams of {bytes} bytes: {at_one_percent} found at 0.01, {} at 1e-6", condemned.len());
    assert_eq!(condemned, []);
    assert!(at_one_percent <= most_condemned(runs, 0.01), "{at_one_percent} of {runs} found at 0.01");
}

#[test]
fn good_streams_pass_at_the_stated_odds() {
    repeat(40, 1 << 18);
}

/// `WEIR_ASSESS_RUNS` and `WEIR_ASSESS_BYTES` say otherwise; 1000 of 64 MiB take about half an hour.
#[test]
#[ignore = "takes long: a thousand streams of 64 MiB"]
fn a_thousand_good_streams_of_64_mib_pass_at_the_stated_odds() {
    let number =
        |name: &str, otherwise| std::env::var(name).map_or(otherwise, |value| value.parse().unwrap());
    repeat(number("WEIR_ASSESS_RUNS", 1000), number("WEIR_ASSESS_BYTES", 64 << 20) as usize);
}

#[track_caller]
fn assert_found(name: &str, stream: &[u8]) {
    let verdict = verdict(stream);
    assert!(verdict.found, "{name} was not found: {:?}", verdict.least);
}

/// A linear congruential generator, one output after the other through `take`.
fn congruential(
    bytes: usize,
    multiplier: u64,
    add: u64,
    bits: u32,
    take: impl Fn(u64) -> Vec<u8>,
) -> Vec<u8> {
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let (mut state, mut stream) = (1u64, Vec::with_capacity(bytes + 8));
    while stream.len() < bytes {
        state = state.wrapping_mul(multiplier).wrapping_add(add) & mask;
        stream.extend(take(state));
    }
    stream
}

#[test]
fn bad_streams_are_found() {
    const BYTES: usize = 1 << 20;
    assert_found("zeros", &vec![0; BYTES]);
    assert_found("ones", &vec![0xff; BYTES]);
    assert_found("alternation", &vec![0x55; BYTES]);
    assert_found("a counter of bytes", &(0..BYTES).map(|at| at as u8).collect::<Vec<_>>());
    assert_found("a counter of words", &(0..BYTES as u32 / 4).flat_map(u32::to_be_bytes).collect::<Vec<_>>());
    let counter: Vec<u8> = (0..BYTES as u64 / 8).flat_map(|at| (at << 32 | at).to_le_bytes()).collect();
    assert_found("a counter of double words", &counter);
    let text = include_bytes!("battery.rs").repeat(BYTES / 6000);
    assert_found("text", &text);
    assert_found("a page of text", include_bytes!("battery.rs"));
}

#[test]
fn biased_stuck_and_repeated_streams_are_found() {
    const BYTES: usize = 1 << 20;
    let mut source = SplitMix64(9);
    let mut biased = vec![0u8; BYTES];
    biased.fill_with(|| (0..8).fold(0, |byte, _| byte << 1 | u8::from(source.next() % 100 < 51)));
    assert_found("51 % ones", &biased);
    for bit in 0..8 {
        let stuck: Vec<u8> = good(5, BYTES).iter().map(|byte| byte | 1 << bit).collect();
        assert_found("a stuck bit", &stuck);
    }
    // A bit that is stuck in every hundredth byte only.
    let mut rarely = good(6, BYTES);
    rarely.iter_mut().step_by(100).for_each(|byte| *byte |= 0x80);
    assert_found("a bit that is sometimes stuck", &rarely);
    for period in [16, 2500, 4096, 65_536, 333_333, 500_001] {
        let block = good(7, period);
        assert_found("repeated blocks", &block.repeat((2 * BYTES).max(9 * period) / period));
    }
}

#[test]
fn congruential_generators_are_found() {
    const BYTES: usize = 1 << 20;
    let low = |state: u64| vec![state as u8];
    assert_found(
        "the low byte of a generator modulo 2^32",
        &congruential(BYTES, 1_664_525, 1_013_904_223, 32, low),
    );
    assert_found(
        "the low byte of a generator modulo 2^64",
        &congruential(BYTES, 6_364_136_223_846_793_005, 1, 64, low),
    );
    let word = |state: u64| (state as u32).to_le_bytes().to_vec();
    assert_found("RANDU", &congruential(BYTES, 65_539, 0, 31, word));
    assert_found(
        "RANDU without its dead bits",
        &congruential(BYTES, 65_539, 0, 31, |state| vec![(state >> 8) as u8]),
    );
    assert_found("minstd", &congruential(BYTES, 1_103_515_245, 12_345, 31, word));
    // Period 2^24 in bits 16 to 23: shows when it comes round.
    let microsoft = congruential(40 << 20, 214_013, 2_531_011, 32, |state| vec![(state >> 16) as u8]);
    assert_found("rand() >> 0 & 0xff of a C library", &microsoft);
}

#[test]
fn a_tiny_seed_is_not_found_since_outputs_do_not_show_it() {
    // Whatever the seed, even if there are only 65,536 of them: the documentation says so in words.
    assert!(!verdict(&good(0xbeef, 1 << 20)).found);
}
