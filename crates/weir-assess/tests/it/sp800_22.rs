//! SP 800-22 rev. 1a: the published results of appendix B, and the examples of section 2.

use std::path::PathBuf;

use serde_json::Value;
use weir_assess::sp800_22::{Bits, Parameters, Test, TestResult, assess};

/// The folder of published vectors beside the workspace, or a loud skip.
fn vectors() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/sp800-22");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: sp800_22: no vectors in {}", folder.display());
    None
}

fn run(bytes: &[u8], bits: usize, parameters: &Parameters) -> Vec<TestResult> {
    assess(Bits::new(bytes).first(bits), parameters, 2, &|_| ())
}

#[test]
fn published_results_for_pi_and_e() {
    let Some(folder) = vectors() else { return };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for name in ["pi", "e"] {
        let bytes = std::fs::read(folder.join(format!("{name}.1e6.bin"))).unwrap();
        let results = run(&bytes, 1_000_000, &Parameters::published());
        assert_eq!(results.len(), 15);
        for result in results {
            let published = expected["p_values"][name][result.test.name()].as_array().unwrap();
            assert_eq!(result.p_values.len(), published.len(), "{name} {:?}", result.test);
            for (ours, theirs) in result.p_values.iter().zip(published) {
                let difference = (ours - theirs.as_f64().unwrap()).abs();
                assert!(difference < 5.1e-7, "{name} {:?}: {ours:.6}, published {theirs}", result.test);
            }
        }
    }
}

/// Bits written as zeros and ones, packed.
fn packed(bits: &str) -> (Vec<u8>, usize) {
    let bits: Vec<u8> = bits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let byte = |byte: &[u8]| byte.iter().zip((0..8).rev()).fold(0, |value, (bit, at)| value | bit << at);
    (bits.chunks(8).map(byte).collect(), bits.len())
}

fn p_values(results: &[TestResult], test: Test) -> &[f64] {
    &results[test as usize].p_values
}

#[test]
fn examples_of_the_standard() {
    // 2.1.8, 2.3.8, 2.13.8: the first hundred binary digits of pi.
    let (bytes, bits) = packed(
        "11001001000011111101101010100010001000010110100011
         00001000110100110001001100011001100010100010111000",
    );
    let results = run(&bytes, bits, &Parameters::for_length(bits));
    for (test, expected) in [
        (Test::Frequency, vec![0.109_599]),
        (Test::Runs, vec![0.500_798]),
        (Test::CumulativeSums, vec![0.219_194, 0.114_866]),
    ] {
        for (ours, theirs) in p_values(&results, test).iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-6, "{test:?} {ours} {theirs}");
        }
    }
    assert!(!results[Test::LinearComplexity as usize].applicable);
    assert_eq!(results[Test::LinearComplexity as usize].reason.as_deref(), Some("needs 1000000 bits"));
    // 2.4.8.
    let (bytes, bits) = packed(
        "11001100000101010110110001001100111000000000001001
         00110101010001000100111101011010000000110101111100
         1100111001101101100010110010",
    );
    let results = run(&bytes, bits, &Parameters::for_length(bits));
    let [longest] = p_values(&results, Test::LongestRunOfOnes) else { panic!() };
    assert!((longest - 0.180_609).abs() < 1e-5, "{longest}");
}

#[test]
fn sequences_of_any_length_give_probabilities() {
    for length in (0..600).chain([8191, 100_000, 1_000_003]) {
        for byte in [0u8, 0xff, 0x55, 0x31] {
            let bytes = vec![byte; length / 8 + 1];
            if length > 10_000 && byte == 0x31 {
                continue;
            }
            for result in run(&bytes, length, &Parameters::for_length(length)) {
                assert!(
                    result.p_values.iter().all(|p| (0.0..=1.0).contains(p)),
                    "{length} {byte} {result:?}"
                );
                assert_eq!(result.applicable, result.reason.is_none());
            }
        }
    }
}
