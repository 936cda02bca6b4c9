//! Samples of any width for the estimators of SP 800-90B: figures stay finite and estimates within a symbol's bits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_assess::sp800_90b::{Samples, Stream, Unwatched, assess};

fuzz_target!(|input: &[u8]| {
    let Some((&width, bytes)) = input.split_first() else { return };
    let bits = (width > 0).then(|| u32::from(width) % 10);
    // What is wider than the width is an error, and would be the only thing that is tried.
    let mask = if width >= 128 { u8::MAX >> (8 - bits.unwrap_or(8).clamp(1, 8)) } else { u8::MAX };
    let symbols: Vec<u8> = bytes.iter().map(|byte| byte & mask).collect();
    let Ok(samples) = Samples::new(&symbols, bits) else { return };
    let Ok(assessment) = assess(&samples, &Unwatched) else { return };
    let width = f64::from(samples.bits_per_symbol());
    assert!((0.0..=width).contains(&assessment.assessed_min_entropy));
    for estimate in &assessment.estimators {
        let most = if estimate.stream == Stream::Literal { width } else { 1.0 };
        assert!((0.0..=most).contains(&estimate.min_entropy), "{estimate:?}");
        assert!(estimate.figures.iter().all(|(_, figure)| figure.value().is_finite()), "{estimate:?}");
    }
});
