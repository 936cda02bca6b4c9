//! All estimators over all streams, and the min-entropy that is left (3.1.3).

use serde::{Serialize, Serializer};

use super::estimate::{Estimate, NotEstimated};
use super::progress::{Cancelled, Progress, Step, run};
use super::samples::{Samples, Sequence, Stream};
use super::{collision, compression, lag, lz78y, markov, most_common, multi_mcw, multi_mmc, tuple};

/// What the estimators found. As JSON, an object of these fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    /// How many samples were looked at.
    pub samples: usize,
    /// How many different symbols they have.
    pub distinct: usize,
    /// Bits of a symbol.
    pub bits_per_symbol: u32,
    /// min(`h_original`, `bits_per_symbol` × `h_bitstring`): bits of min-entropy a sample.
    pub assessed_min_entropy: f64,
    /// The lowest estimate over the symbols, bits a symbol.
    pub h_original: f64,
    /// The lowest estimate over the bits, bits a bit; nothing of samples with fewer than three different symbols, whose
    /// symbols are bits already.
    pub h_bitstring: Option<f64>,
    /// Each estimator's finding, in the order of the standard, bits before symbols.
    pub estimators: Vec<Estimate>,
    /// Estimators that had nothing to say, and why.
    pub skipped: Vec<Skipped>,
}

/// An estimator that does not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skipped {
    /// The estimator's name.
    pub name: &'static str,
    /// The stream it would have looked at.
    pub stream: Stream,
    /// Why not.
    #[serde(serialize_with = "in_words")]
    pub reason: NotEstimated,
}

fn in_words<S: Serializer>(reason: &NotEstimated, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

/// Estimates the min-entropy of samples that are not assumed to be independent (3.1.3, 6.2).
///
/// Takes two threads, and 160 MB for a million 8-bit samples.
///
/// # Errors
/// [`Cancelled`] if `progress` says so.
pub fn assess(samples: &Samples<'_>, progress: &dyn Progress) -> Result<Assessment, Cancelled> {
    let bitstring = (samples.distinct() > 2).then(|| samples.bitstring());
    assess_streams(samples, bitstring.as_ref(), progress)
}

/// The same over the symbols alone, as restart tests want it (3.1.4.2).
pub(super) fn assess_literal(
    samples: &Samples<'_>,
    progress: &dyn Progress,
) -> Result<Assessment, Cancelled> {
    assess_streams(samples, None, progress)
}

fn assess_streams(
    samples: &Samples<'_>,
    bitstring: Option<&Sequence<'_>>,
    progress: &dyn Progress,
) -> Result<Assessment, Cancelled> {
    let literal = samples.literal();
    let streams: Vec<&Sequence<'_>> = bitstring.into_iter().chain([&literal]).collect();
    let mut findings: Vec<Finding> = run(steps(&streams), progress)?.into_iter().flatten().collect();
    findings.sort_by_key(|finding| (order(finding.name), finding.stream == Stream::Literal));
    Ok(Assessment::of(samples, bitstring.is_some(), findings))
}

struct Finding {
    name: &'static str,
    stream: Stream,
    result: Result<Estimate, NotEstimated>,
}

/// Names in the order of the standard.
const ORDER: [&str; 10] = [
    most_common::NAME,
    collision::NAME,
    markov::NAME,
    compression::NAME,
    tuple::T_TUPLE,
    tuple::LRS,
    multi_mcw::NAME,
    lag::NAME,
    multi_mmc::NAME,
    lz78y::NAME,
];

fn order(name: &str) -> usize {
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

type Estimator = fn(&Sequence<'_>) -> Result<Estimate, NotEstimated>;

/// Estimators that take a moment each, those that take longest first.
const SINGLE: [(&str, Estimator); 8] = [
    (multi_mmc::NAME, multi_mmc),
    (lz78y::NAME, lz78y),
    (lag::NAME, lag),
    (multi_mcw::NAME, multi_mcw),
    (compression::NAME, compression),
    (collision::NAME, collision),
    (markov::NAME, markov),
    (most_common::NAME, most_common::most_common_value),
];

/// One step for each estimator of each stream, longest first; both tuple estimators are one.
fn steps<'a>(streams: &[&'a Sequence<'a>]) -> Vec<Step<'a, Vec<Finding>>> {
    let mut steps: Vec<Step<'a, Vec<Finding>>> = Vec::new();
    for &stream in streams {
        steps.push(("Tuple Estimates", Box::new(move || both_tuples(stream))));
    }
    for &stream in streams {
        for (name, estimator) in SINGLE {
            // Of symbols that are not bits only bits are asked (6.3.2 to 6.3.4).
            if stream.alphabet() != 2 && [collision::NAME, markov::NAME, compression::NAME].contains(&name) {
                continue;
            }
            let find = move || vec![Finding { name, stream: stream.stream(), result: estimator(stream) }];
            steps.push((name, Box::new(find)));
        }
    }
    steps
}

fn both_tuples(sequence: &Sequence<'_>) -> Vec<Finding> {
    let stream = sequence.stream();
    let (t_tuple, longest_repeated) = match tuple::tuples(sequence) {
        Ok(tuples) => (tuples.t_tuple, tuples.longest_repeated),
        Err(reason) => (Err(reason), Err(reason)),
    };
    vec![
        Finding { name: tuple::T_TUPLE, stream, result: t_tuple },
        Finding { name: tuple::LRS, stream, result: longest_repeated },
    ]
}

impl Assessment {
    fn of(samples: &Samples<'_>, has_bitstring: bool, findings: Vec<Finding>) -> Self {
        let (mut estimators, mut skipped) = (Vec::new(), Vec::new());
        for Finding { name, stream, result } in findings {
            match result {
                Ok(estimate) => estimators.push(estimate),
                Err(reason) => skipped.push(Skipped { name, stream, reason }),
            }
        }
        let bits = f64::from(samples.bits_per_symbol());
        let h_original = lowest(&estimators, Stream::Literal, bits);
        let h_bitstring = has_bitstring.then(|| lowest(&estimators, Stream::Bitstring, 1.0));
        Self {
            samples: samples.len(),
            distinct: samples.distinct(),
            bits_per_symbol: samples.bits_per_symbol(),
            assessed_min_entropy: h_bitstring.map_or(h_original, |bit| h_original.min(bits * bit)),
            h_original,
            h_bitstring,
            estimators,
            skipped,
        }
    }
}

/// The lowest estimate of a stream, and at most `most`.
fn lowest(estimators: &[Estimate], stream: Stream, most: f64) -> f64 {
    let of_stream = estimators.iter().filter(|estimate| estimate.stream == stream);
    of_stream.map(|estimate| estimate.min_entropy).fold(most, f64::min)
}
