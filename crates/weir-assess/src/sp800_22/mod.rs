//! The fifteen tests of SP 800-22 rev. 1a (2010), each with all its p-values.
//!
//! Purpose: to find what in a sequence of bits differs from fair and independent ones, at stated odds. A p-value is the
//! probability that such bits look at least as odd as these did.
//!
//! Contract: bits are packed, most significant first. A test for which there is too little input is listed with the
//! reason and without p-values; every p-value lies in 0..=1. Parameters follow the standard's recommendations for the length,
//! or are those of the published results ([`Parameters::published`]), which then also show of each list what is published.
//!
//! Limits that come with the standard: most p-values rest on limit theorems, good in the middle and only
//! roughly right far out in the tails; the variance of the spectral test is 5 % too large (Kim, Umeno and Hasegawa 2004).
//!
//! Deliberately absent: verdicts on one p-value. See [`streams`] for section 4.2 and [`crate::verdict`] for all of them at once.

mod bits;
mod complexity;
mod excursions;
mod frequency;
mod rank;
mod runs;
mod serial;
mod spectral;
pub mod streams;
pub mod templates;
mod universal;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::{Serialize, Serializer};

pub use bits::Bits;

/// The tests, in the standard's order. [`Test::name`] is the name of each in the published results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "they are named as in the standard")]
pub enum Test {
    Frequency,
    FrequencyWithinABlock,
    Runs,
    LongestRunOfOnes,
    BinaryMatrixRank,
    SpectralDft,
    NonOverlappingTemplateMatching,
    OverlappingTemplateMatching,
    MaurersUniversalStatistical,
    LinearComplexity,
    Serial,
    ApproximateEntropy,
    CumulativeSums,
    RandomExcursions,
    RandomExcursionsVariant,
}

impl Test {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Frequency,
        Self::FrequencyWithinABlock,
        Self::Runs,
        Self::LongestRunOfOnes,
        Self::BinaryMatrixRank,
        Self::SpectralDft,
        Self::NonOverlappingTemplateMatching,
        Self::OverlappingTemplateMatching,
        Self::MaurersUniversalStatistical,
        Self::LinearComplexity,
        Self::Serial,
        Self::ApproximateEntropy,
        Self::CumulativeSums,
        Self::RandomExcursions,
        Self::RandomExcursionsVariant,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frequency => "Frequency",
            Self::FrequencyWithinABlock => "FrequencyWithinABlock",
            Self::Runs => "Runs",
            Self::LongestRunOfOnes => "LongestRunOfOnes",
            Self::BinaryMatrixRank => "BinaryMatrixRank",
            Self::SpectralDft => "SpectralDft",
            Self::NonOverlappingTemplateMatching => "NonOverlappingTemplateMatching",
            Self::OverlappingTemplateMatching => "OverlappingTemplateMatching",
            Self::MaurersUniversalStatistical => "MaurersUniversalStatistical",
            Self::LinearComplexity => "LinearComplexity",
            Self::Serial => "Serial",
            Self::ApproximateEntropy => "ApproximateEntropy",
            Self::CumulativeSums => "CumulativeSums",
            Self::RandomExcursions => "RandomExcursions",
            Self::RandomExcursionsVariant => "RandomExcursionsVariant",
        }
    }
}

/// Lengths of blocks and patterns, by the letters of the standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// M of 2.2.
    pub frequency_block: usize,
    /// m of 2.7.
    pub non_overlapping_template: u32,
    /// m of 2.8.
    pub overlapping_template: u32,
    /// M of 2.10.
    pub linear_complexity: usize,
    /// m of 2.11.
    pub serial: u32,
    /// m of 2.12.
    pub approximate_entropy: u32,
    /// Whether to show of each list only what appendix B does, by its class probabilities.
    published: bool,
}

impl Parameters {
    /// Those of the results in appendix B.
    pub fn published() -> Self {
        Self {
            frequency_block: 128,
            non_overlapping_template: 9,
            overlapping_template: 9,
            linear_complexity: 500,
            serial: 16,
            approximate_entropy: 10,
            published: true,
        }
    }

    /// What the standard recommends for a sequence of `n` bits.
    ///
    /// 2.2.7: M > n/100 and at least 20. 2.11.7: m < ⌊log2 n⌋ - 2. 2.12.7: m < ⌊log2 n⌋ - 5.
    pub fn for_length(n: usize) -> Self {
        let log = n.checked_ilog2().unwrap_or(0);
        Self {
            frequency_block: (n / 100 + 1).max(20),
            serial: log.saturating_sub(3).clamp(2, 16),
            approximate_entropy: log.saturating_sub(6).clamp(2, 10),
            published: false,
            ..Self::published()
        }
    }
}

/// Why a test does not apply.
#[derive(Clone, Debug, PartialEq)]
pub enum Skip {
    /// The input has fewer bits than it needs.
    TooShort {
        /// Bits that it needs.
        needed: usize,
    },
    /// The walk comes back to its start too seldom (2.14.4).
    TooFewCycles {
        /// So many cycles there are.
        cycles: u64,
        /// So many it needs.
        needed: u64,
    },
    /// Another reason, in words.
    Other(&'static str),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { needed } => write!(f, "needs {needed} bits"),
            Self::TooFewCycles { cycles, needed } => {
                write!(f, "needs {needed} returns of the walk to 0, has {cycles}")
            }
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

type Outcome = Result<Vec<f64>, Skip>;

/// What one test found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TestResult {
    /// Which.
    #[serde(rename = "name")]
    pub test: Test,
    /// In the order of the standard; empty if the test does not apply.
    pub p_values: Vec<f64>,
    /// Name and value of each parameter, by the letters of the standard.
    #[serde(serialize_with = "as_object")]
    pub parameters: Vec<(&'static str, u64)>,
    /// Whether there was enough input for it.
    pub applicable: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn as_object<S: Serializer>(pairs: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// Runs all tests, on as many threads as asked for, and calls `progress` after each with how many are done.
pub fn assess(
    bits: Bits,
    parameters: &Parameters,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<TestResult> {
    // The longest first, so that none is left for the end; then results are put in order.
    let order = [5, 4, 13, 9, 10, 11, 0, 1, 2, 3, 6, 7, 8, 12];
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Vec::with_capacity(Test::ALL.len()));
    let work = || {
        while let Some(at) = order.get(next.fetch_add(1, Relaxed)) {
            let found = run(Test::ALL[*at], bits, parameters);
            progress(done.fetch_add(found.len(), Relaxed) + found.len());
            if let Ok(mut results) = results.lock() {
                results.extend(found);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|result| result.test as usize);
    results
}

/// One test; for the two on excursions, which share a walk, both.
fn run(test: Test, bits: Bits, parameters: &Parameters) -> Vec<TestResult> {
    let p = parameters;
    let outcome = match test {
        Test::Frequency => frequency::monobit(bits),
        Test::FrequencyWithinABlock => frequency::block(bits, p.frequency_block),
        Test::Runs => runs::runs(bits),
        Test::LongestRunOfOnes => runs::longest_run(bits),
        Test::BinaryMatrixRank => rank::rank_test(bits),
        Test::SpectralDft => spectral::spectral(bits),
        Test::NonOverlappingTemplateMatching => {
            let templates = if p.published { 1 } else { usize::MAX };
            templates::non_overlapping(bits, p.non_overlapping_template, templates)
        }
        Test::OverlappingTemplateMatching => {
            templates::overlapping(bits, p.overlapping_template, p.published)
        }
        Test::MaurersUniversalStatistical => universal::universal(bits),
        Test::LinearComplexity => complexity::linear_complexity(bits, p.linear_complexity),
        Test::Serial => serial::serial(bits, p.serial).map(|mut p_values| {
            p_values.truncate(if p.published { 1 } else { 2 });
            p_values
        }),
        Test::ApproximateEntropy => serial::approximate_entropy(bits, p.approximate_entropy),
        Test::CumulativeSums => frequency::cumulative_sums(bits),
        Test::RandomExcursions | Test::RandomExcursionsVariant => return excursions(bits, p),
    };
    vec![result(test, outcome, bits, p)]
}

fn excursions(bits: Bits, parameters: &Parameters) -> Vec<TestResult> {
    let walk = excursions::Walk::new(bits);
    let (first, second) = if parameters.published {
        (walk.excursions(bits, &[1]), walk.variant(bits, &[-1]))
    } else {
        (walk.excursions(bits, &excursions::STATES), walk.variant(bits, &excursions::variant_states()))
    };
    vec![
        result(Test::RandomExcursions, first, bits, parameters),
        result(Test::RandomExcursionsVariant, second, bits, parameters),
    ]
}

fn result(test: Test, outcome: Outcome, bits: Bits, parameters: &Parameters) -> TestResult {
    let (p_values, reason) = match outcome {
        Ok(p_values) => (p_values, None),
        Err(reason) => (Vec::new(), Some(reason.to_string())),
    };
    let parameters = parameters_of(test, bits.len(), parameters);
    TestResult { test, p_values, parameters, applicable: reason.is_none(), reason }
}

fn parameters_of(test: Test, n: usize, p: &Parameters) -> Vec<(&'static str, u64)> {
    match test {
        Test::FrequencyWithinABlock => vec![("M", p.frequency_block as u64)],
        Test::LongestRunOfOnes => vec![("M", runs::longest_run_block(n) as u64)],
        Test::NonOverlappingTemplateMatching => vec![("m", p.non_overlapping_template.into())],
        Test::OverlappingTemplateMatching => vec![("m", p.overlapping_template.into())],
        Test::MaurersUniversalStatistical => {
            universal::block_length(n).map(|length| ("L", length.into())).into_iter().collect()
        }
        Test::LinearComplexity => vec![("M", p.linear_complexity as u64)],
        Test::Serial => vec![("m", p.serial.into())],
        Test::ApproximateEntropy => vec![("m", p.approximate_entropy.into())],
        _ => Vec::new(),
    }
}

fn at_least(bits: Bits, needed: usize) -> Result<(), Skip> {
    if bits.len() < needed { Err(Skip::TooShort { needed }) } else { Ok(()) }
}

/// The distance of counts from what is expected of `n` draws.
fn chi_square(counts: &[u32], odds: &[f64], n: f64) -> f64 {
    counts.iter().zip(odds).map(|(count, odds)| (f64::from(*count) - n * odds).powi(2) / (n * odds)).sum()
}

/// The p-values with names that tell those of one test apart.
pub fn p_values(results: &[TestResult]) -> Vec<crate::verdict::Named> {
    let of = |result: &TestResult| {
        let many = result.p_values.len() > 1;
        let name = result.test.name();
        let named = move |(at, p_value): (usize, &f64)| crate::verdict::Named {
            name: if many { format!("SP 800-22 {name} {}", at + 1) } else { format!("SP 800-22 {name}") },
            p_value: *p_value,
        };
        result.p_values.iter().enumerate().map(named).collect::<Vec<_>>()
    };
    results.iter().flat_map(of).collect()
}
