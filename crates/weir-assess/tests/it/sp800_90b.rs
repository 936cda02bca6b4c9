//! SP 800-90B against the figures of NIST's reference tool, and against streams that are known to be bad.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use weir_assess::sp800_90b::{
    self, Assessment, Cancelled, Done, Estimate, NotEstimated, Samples, Stream, Unwatched, assess,
};

/// NIST's tool prints 17 digits; ours are computed in another order.
const TOLERANCE: f64 = 1e-10;

pub(crate) fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/sp800-90b");
    folder.is_dir().then_some(folder)
}

/// Checks every figure of a file of the set; says what was skipped, and is true if nothing was.
fn equals_the_tool(name: &str) {
    let Some(folder) = vectors() else {
        eprintln!("SKIPPED: {name}: no ../shared/vectors/sp800-90b beside the workspace");
        return;
    };
    let bytes = fs::read(folder.join(format!("{name}.bin"))).unwrap();
    let expected: Value =
        serde_json::from_slice(&fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let assessment = assess(&Samples::new(&bytes, None).unwrap(), &Unwatched).unwrap();
    for (key, expected) in expected.as_object().unwrap() {
        match key.as_str() {
            "input" => {
                assert_eq!(expected["samples"], assessment.samples);
                assert_eq!(expected["distinct"], assessment.distinct);
                assert_eq!(expected["bits_per_symbol"], assessment.bits_per_symbol);
            }
            "H_original" => close(name, key, expected, assessment.h_original),
            "H_bitstring" => close(name, key, expected, assessment.h_bitstring.unwrap()),
            "Assessed min entropy" => close(name, key, expected, assessment.assessed_min_entropy),
            _ => same_estimate(name, key, expected, &assessment),
        }
    }
    let estimators = expected.as_object().unwrap().keys().filter(|key| key.ends_with(" Estimate"));
    assert_eq!(estimators.count(), assessment.estimators.len());
}

fn same_estimate(file: &str, key: &str, expected: &Value, assessment: &Assessment) {
    let (stream, name) = key.split_once(' ').unwrap();
    let stream = if stream == "Literal" { Stream::Literal } else { Stream::Bitstring };
    let estimate = assessment.estimators.iter().find(|it| it.name == name && it.stream == stream).unwrap();
    let expected = expected.as_object().unwrap();
    for (figure, expected) in expected {
        let ours = match figure.as_str() {
            "min entropy" => estimate.min_entropy,
            figure => {
                estimate.figure(figure).unwrap_or_else(|| panic!("{file}: {key} lacks {figure}")).value()
            }
        };
        close(file, &format!("{key}: {figure}"), expected, ours);
    }
    assert_eq!(expected.len(), estimate.figures.len() + 1, "{file}: {key}: {estimate:?}");
}

fn close(file: &str, what: &str, expected: &Value, ours: f64) {
    let expected = expected.as_f64().unwrap();
    let bound = TOLERANCE * expected.abs().min(1.0);
    assert!((expected - ours).abs() <= bound, "{file}: {what}: NIST's tool says {expected}, we say {ours}");
}

#[test]
fn figures_of_data_pi_are_those_of_the_tool() {
    equals_the_tool("data.pi");
}

#[test]
fn figures_of_normal_are_those_of_the_tool() {
    equals_the_tool("normal");
}

#[test]
fn figures_of_rand1_are_those_of_the_tool() {
    equals_the_tool("rand1_short");
}

#[test]
fn figures_of_rand4_are_those_of_the_tool() {
    equals_the_tool("rand4_short");
}

#[test]
fn figures_of_rand8_are_those_of_the_tool() {
    equals_the_tool("rand8_short");
}

#[test]
fn figures_of_truerand_1bit_are_those_of_the_tool() {
    equals_the_tool("truerand_1bit");
}

#[test]
fn figures_of_truerand_4bit_are_those_of_the_tool() {
    equals_the_tool("truerand_4bit");
}

fn assessed(bytes: &[u8], bits: u32) -> Assessment {
    assess(&Samples::new(bytes, Some(bits)).unwrap(), &Unwatched).unwrap()
}

fn estimate<'a>(assessment: &'a Assessment, name: &str, stream: Stream) -> &'a Estimate {
    assessment.estimators.iter().find(|it| it.name == name && it.stream == stream).unwrap()
}

/// xorshift64*: a generator whose stream is the same in every run, good enough that no estimator sees through it.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_constant_stream_has_no_entropy() {
    for symbol in [0, 7, 255] {
        let constant = assess(&Samples::new(&[symbol; 5000], None).unwrap(), &Unwatched).unwrap();
        assert_eq!(constant.assessed_min_entropy, 0.0);
        assert_eq!(constant.distinct, 1);
    }
}

#[test]
fn a_counter_is_predicted() {
    let counter: Vec<u8> = (0..20_000_u32).map(|index| index as u8).collect();
    let assessment = assessed(&counter, 8);
    assert!(estimate(&assessment, "Most Common Value Estimate", Stream::Literal).min_entropy > 7.0);
    assert!(estimate(&assessment, "MultiMMC Prediction Estimate", Stream::Literal).min_entropy < 0.05);
    assert!(assessment.assessed_min_entropy < 0.05);
}

#[test]
fn the_low_bits_of_a_linear_congruence_are_predicted() {
    let mut state = 1_u32;
    let low = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        state as u8 & 0xf
    });
    let low: Vec<u8> = low.take(20_000).collect();
    assert!(assessed(&low, 4).assessed_min_entropy < 0.05);
}

#[test]
fn repeated_blocks_are_found() {
    let blocks = noise(3, 100).repeat(200);
    assert!(assessed(&blocks, 8).assessed_min_entropy < 0.1);
}

#[test]
fn a_stuck_bit_costs_its_entropy() {
    let stuck: Vec<u8> = noise(5, 200_000).into_iter().map(|byte| byte & 0xfe).collect();
    let assessment = assessed(&stuck, 8);
    assert!(assessment.h_original < 7.0);
    // Every eighth bit is known, which the contexts of 16 bits see.
    assert!(assessment.assessed_min_entropy < 7.0);
}

#[test]
fn noise_is_not_blamed() {
    // What ten lower bounds at 99 % leave of 200,000 bytes that have eight bits each; the stream is fixed, and so is this.
    let assessed = assessed(&noise(7, 200_000), 8).assessed_min_entropy;
    assert!((6.0..8.0).contains(&assessed), "{assessed}");
}

#[test]
fn two_symbols_of_any_width_are_bits() {
    let wide: Vec<u8> = noise(11, 10_000).into_iter().map(|byte| if byte < 128 { 3 } else { 200 }).collect();
    let narrow: Vec<u8> = wide.iter().map(|symbol| u8::from(*symbol == 200)).collect();
    let (wide, narrow) = (assessed(&wide, 8), assessed(&narrow, 1));
    assert_eq!(wide.h_bitstring, None);
    assert_eq!(wide.estimators, narrow.estimators);
    assert_eq!(wide.h_original, narrow.h_original);
}

#[test]
fn what_is_too_short_is_skipped_and_said() {
    let assessment = assessed(&noise(13, 100), 8);
    let skipped: Vec<_> = assessment.skipped.iter().map(|it| (it.name, it.stream)).collect();
    assert!(skipped.contains(&("MultiMCW Prediction Estimate", Stream::Literal)));
    assert!(skipped.contains(&("Compression Estimate", Stream::Bitstring)));
    let json = serde_json::to_value(&assessment).unwrap();
    assert_eq!(json["skipped"][0]["reason"], "the estimator needs at least 6012 symbols");
}

#[test]
fn estimators_stand_alone() {
    let bytes = noise(17, 1024);
    let samples = Samples::new(&bytes, Some(8)).unwrap();
    let (literal, bits) = (samples.literal(), samples.bitstring());
    assert!(sp800_90b::most_common_value(&literal).unwrap().min_entropy > 5.0);
    assert!(sp800_90b::lag(&literal).unwrap().min_entropy > 5.0);
    assert!(sp800_90b::markov(&bits).unwrap().min_entropy > 0.9);
    assert!(sp800_90b::collision(&bits).unwrap().min_entropy > 0.6);
    assert_eq!(sp800_90b::markov(&literal), Err(NotEstimated::NotBinary));
}

#[test]
fn json_has_figures_under_their_names() {
    let json = serde_json::to_value(assessed(&noise(19, 10_000), 8)).unwrap();
    assert!(
        json["assessed_min_entropy"].is_f64() && json["h_original"].is_f64() && json["h_bitstring"].is_f64()
    );
    let mode = &json["estimators"][1];
    assert_eq!(mode["name"], "Most Common Value Estimate");
    assert_eq!(mode["stream"], "literal");
    assert!(mode["Mode count"].is_u64() && mode["p_u"].is_f64() && mode["min_entropy"].is_f64());
}

#[test]
fn who_watches_hears_each_step_and_can_stop() {
    let bytes = noise(23, 5000);
    let samples = Samples::new(&bytes, Some(8)).unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    let listen = |done: Done<'_>| {
        heard.lock().unwrap().push((done.done, done.of));
        ControlFlow::Continue(())
    };
    assess(&samples, &listen).unwrap();
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard.iter().map(|(done, _)| *done).max(), Some(heard.len()));
    assert!(heard.iter().all(|(_, of)| *of == heard.len()));

    let stop = |_: Done<'_>| ControlFlow::Break(());
    assert_eq!(assess(&samples, &stop), Err(Cancelled));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn names_of_symbols_do_not_matter(bytes in prop::collection::vec(0..6_u8, 32..3000), shift in 0..200_u8) {
        let raised: Vec<u8> = bytes.iter().map(|byte| byte + shift).collect();
        let literal = |assessment: Assessment| -> Vec<Estimate> {
            assessment.estimators.into_iter().filter(|it| it.stream == Stream::Literal).collect()
        };
        prop_assert_eq!(literal(assessed(&bytes, 8)), literal(assessed(&raised, 8)));
    }

    #[test]
    fn estimates_are_finite_and_within_bounds(
        bytes in prop::collection::vec(any::<u8>(), 32..5000),
        bits in 1..=8_u32,
        repeat in 1..4_usize,
    ) {
        let symbols: Vec<u8> = bytes.iter().map(|byte| byte >> (8 - bits)).collect::<Vec<_>>().repeat(repeat);
        let assessment = assessed(&symbols, bits);
        for estimate in &assessment.estimators {
            let most = if estimate.stream == Stream::Literal { f64::from(bits) } else { 1.0 };
            prop_assert!((0.0..=most).contains(&estimate.min_entropy), "{:?}", estimate);
            prop_assert!(estimate.figures.iter().all(|(_, figure)| figure.value().is_finite()), "{:?}", estimate);
        }
        prop_assert!((0.0..=f64::from(bits)).contains(&assessment.assessed_min_entropy));
    }
}
