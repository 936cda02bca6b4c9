//! Reads the input once, runs the tests that are wanted, and judges all their p-values together.

use std::ops::ControlFlow;
use std::thread::available_parallelism;

use serde_json::{Map, Value, json};
use weir_assess::battery::Battery;
use weir_assess::ent::{Figures, Unit};
use weir_assess::plot::{self, Bar};
use weir_assess::sp800_22::streams::{self, Spread};
use weir_assess::sp800_22::{self, Bits, Parameters, TestResult};
use weir_assess::sp800_90b::{self, Assessment, Done, IidAssessment, Samples};
use weir_assess::verdict::{Named, Verdict, judge};

use super::input::{Input, Packer};
use super::{Args, EntArgs, Failure, TestArgs};
use crate::commands::progress::Progress;

/// Samples that SP 800-90B wants, and that are taken of a source, or where SP 800-90B is one of four suites.
pub(super) const SAMPLES: u64 = sp800_90b::ADVISED_SAMPLES as u64;
/// Samples that are taken at most where SP 800-90B was asked for by name: all of any file that is made for it, and still
/// less than a gigabyte of memory.
const SAMPLES_BY_NAME: u64 = 1 << 22;
/// Bits of a sequence of SP 800-22: the length to which all its tests apply, and that of its published results.
pub(super) const SEQUENCE_BITS: u32 = 1_000_000;
/// Bytes of all sequences together, at most: they are held in memory.
const MOST_SEQUENCE_BYTES: u64 = 1 << 30;

/// Which tests are wanted, and of how much.
pub(super) struct Plan {
    pub(super) sp800_90b: bool,
    iid: bool,
    pub(super) fips140_2: bool,
    pub(super) sp800_22: bool,
    pub(super) ent: Option<Unit>,
    bits: Option<u32>,
    /// Samples for SP 800-90B.
    samples: u64,
    published: bool,
    streams: usize,
    length: usize,
    pub(super) false_alarm: f64,
}

impl Plan {
    pub(super) fn of(args: &Args) -> Result<Self, Failure> {
        let most = match &args.test {
            _ if args.common.all => super::MOST_SAMPLES,
            Some(TestArgs::Sp800_90b(_)) => SAMPLES_BY_NAME,
            _ => SAMPLES,
        };
        let mut plan = Self {
            sp800_90b: args.test.is_none(),
            iid: false,
            fips140_2: args.test.is_none(),
            sp800_22: args.test.is_none(),
            ent: args.test.is_none().then_some(Unit::Bytes),
            bits: args.common.bits,
            samples: args.common.samples.unwrap_or(most),
            published: false,
            streams: 1,
            length: SEQUENCE_BITS as usize,
            false_alarm: args.common.false_alarm,
        };
        match &args.test {
            None => {}
            Some(TestArgs::Sp800_90b(test)) => (plan.sp800_90b, plan.iid) = (true, test.iid),
            Some(TestArgs::Fips140_2(_)) => plan.fips140_2 = true,
            Some(TestArgs::Ent(EntArgs { bit_mode, .. })) => {
                plan.ent = Some(if *bit_mode { Unit::Bits } else { Unit::Bytes });
            }
            Some(TestArgs::Sp800_22(test)) => {
                plan.sp800_22 = true;
                plan.published = test.parameters == super::Parameters::Published;
                (plan.streams, plan.length) = (test.streams as usize, test.length as usize);
            }
        }
        if plan.sequence_bytes() > MOST_SEQUENCE_BYTES {
            return Err(Failure::Usage("more than 1 GiB of sequences do not fit in memory".to_owned()));
        }
        Ok(plan)
    }

    fn sequence_bytes(&self) -> u64 {
        (self.streams as u64 * self.length as u64).div_ceil(8)
    }

    /// How much of the input is held in memory: samples, and bytes packed from them.
    fn held(&self) -> (u64, u64) {
        (
            if self.sp800_90b { self.samples } else { SAMPLES },
            if self.sp800_22 { self.sequence_bytes() } else { 0 },
        )
    }

    /// Whether the whole input is needed, and not only its beginning.
    fn streams_through(&self) -> bool {
        self.fips140_2 || self.ent.is_some()
    }
}

/// Sequences of SP 800-22.
pub(super) struct Sequences {
    pub(super) bits: usize,
    /// The results of each.
    pub(super) results: Vec<Vec<TestResult>>,
    /// Of several.
    pub(super) spreads: Vec<Spread>,
}

/// Everything that was found.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) claim: Option<(f64, &'static str)>,
    pub(super) battery: Battery,
    pub(super) sequences: Option<Sequences>,
    /// The assessment, or why there is none.
    pub(super) min_entropy: Option<Result<Assessment, String>>,
    pub(super) iid: Option<IidAssessment>,
    pub(super) verdict: Verdict,
    /// The first samples, for the picture.
    samples: Vec<u8>,
}

/// What is read of the input.
struct Held {
    bytes: u64,
    battery: Battery,
    samples: Vec<u8>,
    packed: Vec<u8>,
}

pub(super) fn assess(mut input: Input, plan: &Plan) -> Result<Report, Failure> {
    let progress = Progress::new();
    let mut plan = Plan { ..*plan };
    plan.bits = plan.bits.or(input.bits);
    let (name, claim, size) = (std::mem::take(&mut input.name), input.claim, input.bytes);
    let held = read(input, &plan, &progress)?;
    if held.bytes == 0 {
        return Err(Failure::Read(format!("{name}: empty")));
    }
    let sequences = plan.sp800_22.then(|| sequences(&held.packed, &plan, &progress));
    let min_entropy = (plan.sp800_90b && !plan.iid).then(|| entropy(&held.samples, &plan, &progress));
    let iid = plan.iid.then(|| independence(&held.samples, &plan, &progress)).transpose()?;
    let (min_entropy, iid) = match iid {
        Some(Ok(iid)) => (Some(Ok(assumed(&iid))), Some(iid)),
        Some(Err(reason)) => (Some(Err(reason)), None),
        None => (min_entropy, None),
    };
    let p_values = p_values(&plan, &held.battery, sequences.as_ref());
    if p_values.is_empty() && !matches!(min_entropy, Some(Ok(_))) && plan.ent.is_none() {
        let why = min_entropy.and_then(Result::err);
        let why = why.unwrap_or_else(|| format!("{} bytes are too few for this test", held.bytes));
        return Err(Failure::Read(format!("{name}: {why}")));
    }
    let verdict = judge(p_values, plan.false_alarm);
    let Held { bytes, battery, samples, .. } = held;
    // Of a file whose beginning was enough, the size is known all the same.
    let bytes = size.unwrap_or_default().max(bytes);
    Ok(Report { plan, name, bytes, claim, battery, sequences, min_entropy, iid, verdict, samples })
}

fn read(input: Input, plan: &Plan, progress: &Progress) -> Result<Held, Failure> {
    let battery = if plan.ent.is_none() { Battery::of_fips140_2() } else { Battery::new() };
    let mut held = Held { bytes: 0, battery, samples: Vec::new(), packed: Vec::new() };
    let (samples, packed) = plan.held();
    let total = input.bytes;
    let mut packer = plan.bits.filter(|bits| *bits < 8).map(Packer::new);
    let mut buffer = Vec::new();
    input.each(|piece| {
        held.bytes += piece.len() as u64;
        keep(&mut held.samples, piece, samples);
        let bits = match &mut packer {
            None => piece,
            Some(packer) => {
                buffer.clear();
                packer.pack(piece, &mut buffer)?;
                &buffer
            }
        };
        keep(&mut held.packed, bits, packed);
        if plan.streams_through() {
            held.battery.push(bits);
        }
        progress.at("reading, bytes", held.bytes, total);
        let enough = held.samples.len() as u64 >= samples && held.packed.len() as u64 >= packed;
        Ok(plan.streams_through() || !enough)
    })?;
    Ok(held)
}

/// Appends what fits up to a length.
fn keep(held: &mut Vec<u8>, piece: &[u8], most: u64) {
    let room = (most - held.len() as u64).min(piece.len() as u64) as usize;
    held.extend_from_slice(piece.get(..room).unwrap_or_default());
}

fn sequences(packed: &[u8], plan: &Plan, progress: &Progress) -> Sequences {
    let threads = available_parallelism().map_or(1, |threads| threads.get().min(4));
    let all = 8 * packed.len();
    // One sequence may be shorter; of several, all are as long as was asked for.
    let bits = if plan.streams == 1 { all.min(plan.length) } else { plan.length };
    let count = if plan.streams == 1 { 1 } else { plan.streams.min(all / bits) };
    let parameters = if plan.published { Parameters::published() } else { Parameters::for_length(bits) };
    let results = if count == 1 {
        let tests = sp800_22::Test::ALL.len() as u64;
        let tell = |done: usize| progress.at("SP 800-22", done as u64, Some(tests));
        vec![sp800_22::assess(Bits::new(packed).first(bits), &parameters, threads, &tell)]
    } else {
        let tell = |done: usize| progress.at("SP 800-22, sequences", done as u64, Some(count as u64));
        streams::assess_streams(packed, bits, count, &parameters, threads, &tell)
    };
    let spreads = if count > 1 { streams::spreads(&results) } else { Vec::new() };
    Sequences { bits, results, spreads }
}

/// Section 5 shuffles the samples: by a seed from the kernel's generator. What is wrong with the samples is no failure.
fn independence(
    bytes: &[u8],
    plan: &Plan,
    progress: &Progress,
) -> Result<Result<IidAssessment, String>, Failure> {
    let samples = match Samples::new(bytes, plan.bits) {
        Ok(samples) => samples,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut seed = [0; 32];
    weir_kernel::fill(&mut seed).map_err(|error| Failure::Read(error.to_string()))?;
    let tell = |done: Done<'_>| {
        progress.at("SP 800-90B section 5", done.done as u64, Some(done.of as u64));
        ControlFlow::Continue(())
    };
    Ok(sp800_90b::iid(&samples, &seed, &tell).map_err(|error| error.to_string()))
}

/// The min-entropy of samples that are taken as independent and identically distributed: only the most common value counts
/// (3.1.3).
fn assumed(iid: &IidAssessment) -> Assessment {
    Assessment {
        samples: iid.samples,
        distinct: iid.distinct,
        bits_per_symbol: iid.bits_per_symbol,
        assessed_min_entropy: iid.assessed_min_entropy,
        h_original: iid.h_original,
        h_bitstring: iid.h_bitstring,
        estimators: iid.estimators.clone(),
        skipped: Vec::new(),
    }
}

fn entropy(samples: &[u8], plan: &Plan, progress: &Progress) -> Result<Assessment, String> {
    let samples = Samples::new(samples, plan.bits).map_err(|error| error.to_string())?;
    let tell = |done: Done<'_>| {
        progress.at("SP 800-90B", done.done as u64, Some(done.of as u64));
        ControlFlow::Continue(())
    };
    sp800_90b::assess(&samples, &tell).map_err(|error| error.to_string())
}

fn p_values(plan: &Plan, battery: &Battery, sequences: Option<&Sequences>) -> Vec<Named> {
    let mut p_values = Vec::new();
    if plan.fips140_2 {
        p_values.extend(battery.fips140_2_p_values());
    }
    if plan.ent.is_some() {
        p_values.extend(battery.ent_p_values());
    }
    if let Some(Sequences { results, spreads, .. }) = sequences {
        p_values.extend(results.iter().flat_map(|results| sp800_22::p_values(results)));
        p_values.extend(spreads.iter().filter_map(|spread| {
            let name = format!("SP 800-22 {} {}, spread", spread.test.name(), spread.index + 1);
            Some(Named { name, p_value: spread.uniformity_p? })
        }));
    }
    p_values
}

impl Report {
    /// ENT's figures, in the unit that was asked for.
    pub(super) fn ent(&self) -> Figures {
        self.battery.figures(self.plan.ent.unwrap_or(Unit::Bytes))
    }

    /// Whether anything is odder than chance explains, or independence was asked for and is refuted.
    pub(super) fn has_findings(&self) -> bool {
        self.verdict.found || self.iid.as_ref().is_some_and(|iid| !iid.passed)
    }

    /// Whether all four were asked for.
    pub(super) fn is_whole(&self) -> bool {
        self.plan.sp800_90b && self.plan.fips140_2
    }

    /// One test's object, or all four in one.
    pub(super) fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("input".to_owned(), self.name.as_str().into());
        object.insert("bytes".to_owned(), self.bytes.into());
        if self.verdict.compared > 0 {
            object.insert("verdict".to_owned(), json!(self.verdict));
        }
        let parts = [
            ("sp800-90b", self.plan.sp800_90b.then(|| self.sp800_90b_json())),
            ("fips140-2", self.plan.fips140_2.then(|| self.fips140_2_json())),
            ("sp800-22", self.sequences.as_ref().map(Sequences::json)),
            ("ent", self.plan.ent.map(|_| json!(self.ent()))),
        ];
        for (name, part) in parts {
            match part {
                Some(part) if self.is_whole() => drop(object.insert(name.to_owned(), part)),
                Some(Value::Object(part)) => object.extend(part),
                _ => {}
            }
        }
        Value::Object(object)
    }

    fn sp800_90b_json(&self) -> Value {
        let mut object = match &self.min_entropy {
            Some(Ok(assessment)) => json!(assessment),
            Some(Err(reason)) => json!({ "not_assessed": reason }),
            None => json!({}),
        };
        if let Some(object) = object.as_object_mut() {
            if let Some((bits, reason)) = self.claim {
                object.insert("claim".to_owned(), json!({ "min_entropy_bits": bits, "reason": reason }));
            }
            if let Some(iid) = &self.iid {
                object.insert("iid".to_owned(), json!(iid));
            }
        }
        object
    }

    fn fips140_2_json(&self) -> Value {
        let report = self.battery.fips140_2();
        let [monobit, poker, runs, long_run, continuous_run] = report.tally.by_test;
        json!({
            "blocks": report.tally.blocks,
            "failed": report.tally.failed,
            "failures": {
                "monobit": monobit, "poker": poker, "runs": runs,
                "long_run": long_run, "continuous_run": continuous_run,
            },
            "repeated_blocks": report.repeated,
            "left_over_bytes": report.left_over_bytes,
            "judged": report.judge(self.plan.false_alarm),
        })
    }

    /// The picture.
    pub(super) fn draw(&self) -> String {
        let assessment = self.min_entropy.as_ref().and_then(|found| found.as_ref().ok());
        let bars_of =
            |found: &Assessment| found.estimators.iter().map(|estimate| bar(found, estimate)).collect();
        let bars: Vec<Bar> = assessment.map(bars_of).unwrap_or_default();
        plot::draw(&plot::Picture {
            name: &self.name,
            samples: &self.samples,
            bits: self.plan.bits.or(assessment.map(|found| found.bits_per_symbol)).unwrap_or(8),
            estimates: &bars,
            assessed: assessment.map(|found| found.assessed_min_entropy),
        })
    }
}

/// Estimates of bits are drawn as of whole samples, so that all compare.
fn bar(assessment: &Assessment, estimate: &sp800_90b::Estimate) -> Bar {
    let of_bits = estimate.stream == sp800_90b::Stream::Bitstring;
    let per_symbol = if of_bits { f64::from(assessment.bits_per_symbol) } else { 1.0 };
    Bar { name: estimate.name, of_bits, bits_per_symbol: estimate.min_entropy * per_symbol }
}

impl Sequences {
    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("bits".to_owned(), self.bits.into());
        object.insert("sequences".to_owned(), self.results.len().into());
        if let [results] = self.results.as_slice() {
            object.insert("tests".to_owned(), json!(results));
        } else {
            // The p-values of each test, sequence after sequence.
            let mut tests: Vec<TestResult> = self.results.first().cloned().unwrap_or_default();
            for results in self.results.get(1..).unwrap_or_default() {
                for (all, more) in tests.iter_mut().zip(results) {
                    all.p_values.extend(&more.p_values);
                }
            }
            object.insert("tests".to_owned(), json!(tests));
            object.insert("spreads".to_owned(), json!(self.spreads));
        }
        Value::Object(object)
    }
}
