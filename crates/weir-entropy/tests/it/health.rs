//! Laws of the health tests and of the formula for credit.
//!
//! Streams come from a small generator with a seed that proptest chooses; what is said of odds holds for streams that
//! are as random as they look, and these are close enough.

use proptest::prelude::*;
use weir_entropy::condition::output_entropy;
use weir_entropy::health::{Apt, Estimates, Failure, Lag, Monitor, Plan, Rct, cutoff, startup};

/// xorshift64*, a generator for tests.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One symbol with odds 2^-`bits`, all others alike.
    fn of_entropy(&mut self, bits: f64) -> u8 {
        if self.unit() < (-bits).exp2() { 200 } else { (self.next() >> 32) as u8 % 200 }
    }
}

fn monitor(bits: f64, timing: bool) -> Monitor {
    Monitor::new(Plan { credited_bits: bits, tested_bits: bits, symbol_bits: 8, timing })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A stream whose most common symbol is as frequent as half the claim allows never earns anything. That all
    /// tests miss it has odds below 2^-40 a case: the estimate's bound would have to be five deviations too low.
    #[test]
    fn a_stream_worth_half_its_claim_earns_nothing(seed in 1_u64.., claim in 0.5..4.0_f64, timing: bool) {
        let mut stream = Stream(seed);
        let mut monitor = monitor(claim, timing);
        let samples: Vec<u8> = (0..2048).map(|_| stream.of_entropy(claim / 2.0)).collect();
        let _ = monitor.watch(&samples);
        prop_assert!(!monitor.is_good());
        prop_assert_eq!(monitor.assess(1000).bits(), 0.0);
    }

    /// A stream at three times its claim passes; odds of a false alarm below 2^-40 a case.
    #[test]
    fn a_stream_worth_three_times_its_claim_passes(seed in 1_u64.., claim in 0.25..2.0_f64) {
        let mut stream = Stream(seed);
        let mut monitor = monitor(claim, true);
        let samples: Vec<u8> = (0..4096).map(|_| stream.of_entropy(3.0 * claim)).collect();
        prop_assert!(monitor.watch(&samples).is_ok());
        prop_assert!(monitor.is_good());
        prop_assert_eq!(monitor.assess(8).bits(), 8.0 * claim);
    }

    /// Whatever a source did before, once it stands still it is found within a cutoff's length.
    #[test]
    fn a_source_that_stops_is_found(seed in 1_u64.., claim in 0.25..2.0_f64, before in 1024_usize..3000) {
        let mut stream = Stream(seed);
        let mut monitor = monitor(claim, false);
        let good: Vec<u8> = (0..before).map(|_| stream.next() as u8).collect();
        prop_assert!(monitor.watch(&good).is_ok());
        let stuck = vec![9; cutoff::repetition(claim) as usize];
        let is_repetition = matches!(monitor.watch(&stuck), Err(Failure::Repetition { .. }));
        prop_assert!(is_repetition);
        prop_assert!(monitor.watch(&good).is_err(), "a failure is for good");
        prop_assert_eq!(monitor.assess(1000).bits(), 0.0);
    }

    /// A stream that repeats itself after any number of samples up to 255 is not worth a bit a sample.
    #[test]
    fn a_loop_is_found_at_start_up(seed in 1_u64.., length in 1_usize..256) {
        let mut stream = Stream(seed);
        let period: Vec<u8> = (0..length).map(|_| stream.next() as u8).collect();
        let samples: Vec<u8> = period.iter().copied().cycle().take(startup::SAMPLES).collect();
        prop_assert!(Estimates::of(&samples).lowest().1 < 1.0);
    }

    /// More entropy never loosens a test.
    #[test]
    fn cutoffs_fall_as_the_entropy_rises(bits in 0.001..7.9_f64, more in 0.0..0.1_f64) {
        prop_assert!(cutoff::repetition(bits + more) <= cutoff::repetition(bits));
        for window in [512, 1024] {
            prop_assert!(cutoff::proportion(bits + more, window) <= cutoff::proportion(bits, window));
            prop_assert!(cutoff::proportion(bits, window) <= window + 1);
        }
    }

    /// SP 800-90B 3.1.5.1.2: what comes out is bounded by what went in, by the output's length and by the width.
    #[test]
    fn conditioning_makes_no_entropy(
        input_bits in 1.0..1e6_f64,
        part in 0.0..1.0_f64,
        output_bits in 8.0..512.0_f64,
        narrowest in 8.0..512.0_f64,
    ) {
        let h_in = input_bits * part;
        let h_out = output_entropy(input_bits, output_bits, narrowest, h_in);
        let slack = 1e-9 * (1.0 + h_in);
        prop_assert!(h_out <= h_in + slack && h_out >= 0.0 - slack, "{h_out} of {h_in}");
        prop_assert!(h_out <= output_bits.min(narrowest) + 1e-9);
        prop_assert!(output_entropy(input_bits, output_bits, narrowest, h_in * 0.9) <= h_out + slack);
    }
}

/// A source that is exactly as good as its tests are set for, four symbols alike: a false alarm in 200,000 samples has
/// odds of 2^-30 a sample or a window, below 2^-10 for all three tests together. The seed is fixed.
#[test]
fn a_source_at_its_claim_raises_no_alarm() {
    let mut stream = Stream(0x1357_9bdf_0246_8ace);
    let (mut rct, mut apt, mut lag) = (Rct::new(cutoff::repetition(2.0)), Apt::new(2.0, 8), Lag::new(2.0));
    for _ in 0..200_000 {
        let symbol = (stream.next() >> 62) as u8;
        rct.feed(symbol).expect("repetition count");
        apt.feed(symbol).expect("adaptive proportion");
        lag.feed(symbol).expect("lag");
    }
}

/// A thousand start-ups of a source at four times its claim; that one is refused has odds below 2^-40.
#[test]
fn good_sources_start_up_every_time() {
    let mut stream = Stream(0x0bad_cafe_0000_0001);
    for _ in 0..1000 {
        let mut monitor = monitor(1.0, true);
        let samples: Vec<u8> = (0..startup::SAMPLES).map(|_| (stream.next() >> 60) as u8 * 13).collect();
        monitor.watch(&samples).expect("a good source");
        assert!(monitor.is_good() && monitor.measured().is_some_and(|bits| bits > 2.0));
    }
}

#[test]
fn nothing_counts_before_the_last_sample_of_the_start_up_test() {
    let mut stream = Stream(7);
    let mut monitor = monitor(1.0, false);
    let samples: Vec<u8> = (0..startup::SAMPLES).map(|_| stream.next() as u8).collect();
    let (last, first) = samples.split_last().expect("many");
    monitor.watch(first).expect("good");
    assert!(!monitor.is_good() && monitor.assess(1023).bits() == 0.0 && monitor.hope(1023) == 1023.0);
    monitor.watch(&[*last]).expect("good");
    assert!(monitor.is_good() && monitor.assess(1024).bits() == 1024.0);
}
