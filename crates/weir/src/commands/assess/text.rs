//! The report in words: what was tested, at which odds, and what that does not prove.

use std::fmt::Write as _;

use weir_assess::ent::Unit;
use weir_assess::fips140_2::ODDS;
use weir_assess::sp800_22::TestResult;
use weir_assess::sp800_22::streams::{LEAST_FOR_SPREAD, LEVEL, UNEVEN};
use weir_assess::sp800_90b::{Assessment, IidAssessment, Stream};

use super::judge::{Report, Sequences};

/// Findings that are listed; more are counted.
const MOST_FINDINGS: usize = 8;

pub(super) fn write(report: &Report, colour: bool) -> String {
    let mut text = String::new();
    head(report, colour, &mut text);
    if let Some(found) = &report.min_entropy {
        min_entropy(report, found, &mut text);
    }
    if report.plan.fips140_2 {
        fips140_2(report, &mut text);
    }
    if let Some(sequences) = &report.sequences {
        sp800_22(sequences, &mut text);
    }
    if report.plan.ent.is_some() {
        ent(report, &mut text);
    }
    proves(report, &mut text);
    text
}

/// A line; writing to a text does not fail.
macro_rules! line {
    ($text:expr) => { $text.push('\n') };
    ($text:expr, $($format:tt)*) => { { let _ = writeln!($text, $($format)*); } };
}

fn head(report: &Report, colour: bool, text: &mut String) {
    let verdict = &report.verdict;
    line!(text, "{}: {} bytes", report.name, grouped(report.bytes));
    if verdict.compared == 0 {
        return;
    }
    let (word, paint) = if verdict.found { ("FAULTS FOUND", "31") } else { ("no fault found", "32") };
    let word = if colour { format!("\x1b[1;{paint}m{word}\x1b[0m") } else { word.to_owned() };
    let (compared, odds) = (grouped(verdict.compared as u64), one_in(verdict.false_alarm));
    line!(text, "{word}: {compared} p-values judged together; a healthy source is faulted once in {odds}");
    for finding in verdict.findings.iter().take(MOST_FINDINGS) {
        line!(text, "  {:<44} p = {}", finding.name, p(finding.p_value));
    }
    if let Some(more) = verdict.findings.len().checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
        line!(text, "  and {more} more");
    }
}

fn min_entropy(report: &Report, found: &Result<Assessment, String>, text: &mut String) {
    line!(text);
    let assessment = match found {
        Ok(assessment) => assessment,
        Err(reason) => return line!(text, "SP 800-90B  not assessed: {reason}"),
    };
    let bits = assessment.bits_per_symbol;
    let first = if (assessment.samples as u64) < report.bytes { "the first " } else { "" };
    let (samples, of) = (grouped(assessment.samples as u64), if bits == 1 { "bit" } else { "bits" });
    let taken = match &report.iid {
        None => "not assumed independent",
        Some(_) => "taken as independent",
    };
    line!(text, "SP 800-90B  min-entropy of {first}{samples} samples of {bits} {of}, {taken}");
    line!(text, "  assessed{:>33.6} bits a sample, at most", assessment.assessed_min_entropy);
    if let Some((claim, reason)) = report.claim {
        line!(text, "  the source claims{claim:>24.6} bits a sample, because it is");
        wrapped(reason, text);
    }
    if let Some(iid) = &report.iid {
        independence(iid, text);
    }
    line!(text, "  {:<28}{:>13}{:>13}", "estimator", "symbols", "bits");
    let mut names: Vec<&str> = assessment.estimators.iter().map(|estimate| estimate.name).collect();
    names.dedup();
    for name in names {
        let of = |stream: Stream| {
            let estimate =
                assessment.estimators.iter().find(|found| found.name == name && found.stream == stream);
            estimate.map_or("-".to_owned(), |estimate| format!("{:.6}", estimate.min_entropy))
        };
        let name =
            name.trim_end_matches(" Estimate").trim_end_matches(" Test").trim_end_matches(" Prediction");
        line!(text, "  {name:<28}{:>13}{:>13}", of(Stream::Literal), of(Stream::Bitstring));
    }
}

fn independence(iid: &IidAssessment, text: &mut String) {
    let failed = iid.permutations.iter().filter(|test| !test.passed).count();
    let word = |passed: bool| if passed { "passed" } else { "FAILED" };
    let verdict = if iid.passed { "not refuted" } else { "REFUTED" };
    line!(text, "  independent and identically distributed (section 5): {verdict}");
    let shuffles = match iid.permutations.len() {
        0 => "no shuffles needed".to_owned(),
        all => {
            format!("{failed} of {all} permutation tests failed in {} shuffles", grouped(iid.rounds.into()))
        }
    };
    line!(
        text,
        "    chi-square {} and {}, longest repeat {}, {shuffles}",
        word(iid.independence.passed),
        word(iid.goodness_of_fit.passed),
        word(iid.longest_repeat.passed)
    );
    if !iid.passed {
        line!(text, "    so the figure above does not hold; take the one without --iid");
    }
}

fn fips140_2(report: &Report, text: &mut String) {
    let (found, judged) =
        (report.battery.fips140_2(), report.battery.fips140_2().judge(report.plan.false_alarm));
    let tally = found.tally;
    line!(text);
    if tally.blocks == 0 {
        return line!(text, "FIPS 140-2  not tested: a block has 2,500 bytes");
    }
    line!(text, "FIPS 140-2  five tests on {} blocks of 20,000 bits", grouped(tally.blocks));
    line!(text, "  {:<28}{:>13}{:>13}{:>13}", "", "failed", "expected", "p");
    let blocks = tally.blocks as f64;
    let row = |name: &str, count: u64, expected: f64, p_value: f64, text: &mut String| {
        line!(text, "  {name:<28}{:>13}{expected:>13.1}{:>13}", grouped(count), p(p_value));
    };
    for (((test, odds), count), p_value) in ODDS.iter().zip(tally.by_test).zip(judged.p_values) {
        row(test.name(), count, odds * blocks, p_value, text);
    }
    row("Blocks that failed any", tally.failed, judged.odds_per_block * blocks, judged.p_value, text);
    row("Blocks seen before", found.repeated, 0.0, judged.p_value_repeated, text);
    let from = grouped(judged.condemned_from);
    let one = (1.0 / judged.odds_per_block).round();
    line!(
        text,
        "  A healthy source fails one block in {one}. Here, {from} failed blocks would be more than chance."
    );
    if found.left_over_bytes > 0 {
        line!(text, "  {} bytes at the end make no block and were not tested.", found.left_over_bytes);
    }
}

fn sp800_22(sequences: &Sequences, text: &mut String) {
    line!(text);
    let (bits, count) = (grouped(sequences.bits as u64), sequences.results.len());
    match sequences.results.as_slice() {
        [] => line!(text, "SP 800-22  not tested: the input is shorter than one sequence of {bits} bits"),
        [results] => {
            line!(text, "SP 800-22  fifteen tests on the first {bits} bits");
            line!(text, "  {:<38}{:>13}{:>13}  {}", "", "p-values", "least", "parameters");
            results.iter().for_each(|result| one_sequence(result, text));
        }
        _ => many_sequences(sequences, &bits, count, text),
    }
}

fn one_sequence(result: &TestResult, text: &mut String) {
    let name = result.test.name();
    if let Some(reason) = &result.reason {
        return line!(text, "  {name:<38}{:>13}{:>13}  n/a: {reason}", "-", "-");
    }
    let least = result.p_values.iter().copied().fold(1.0, f64::min);
    let parameters: Vec<String> =
        result.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let row = format!("  {name:<38}{:>13}{:>13}  {}", result.p_values.len(), p(least), parameters.join(", "));
    line!(text, "{}", row.trim_end());
}

fn many_sequences(sequences: &Sequences, bits: &str, count: usize, text: &mut String) {
    line!(text, "SP 800-22  fifteen tests on {count} sequences of {bits} bits (section 4.2)");
    line!(text, "  {:<38}{:>13}{:>13}{:>13}", "", "p-values", "passed", "spread p");
    for test in weir_assess::sp800_22::Test::ALL {
        let spreads: Vec<_> = sequences.spreads.iter().filter(|spread| spread.test == test).collect();
        let Some(worst) = spreads.iter().min_by(|a, b| a.proportion_p.total_cmp(&b.proportion_p)) else {
            continue;
        };
        let uneven = spreads
            .iter()
            .filter_map(|spread| spread.uniformity_p)
            .fold(None, |least: Option<f64>, p| Some(least.map_or(p, |least| least.min(p))));
        let passed = format!("{}/{}", worst.passed, worst.sequences);
        let uneven = uneven.map_or("-".to_owned(), p);
        line!(text, "  {:<38}{:>13}{passed:>13}{uneven:>13}", test.name(), spreads.len());
    }
    line!(
        text,
        "  Shown is the worst of a test's p-values: sequences with p of {LEVEL} and more, and whether all p spread evenly"
    );
    line!(text, "  (from {LEAST_FOR_SPREAD} sequences on; by the standard uneven below {UNEVEN}).");
}

fn ent(report: &Report, text: &mut String) {
    let figures = report.ent();
    let unit = if figures.unit == Unit::Bytes { "byte" } else { "bit" };
    let (fair, mean) = if figures.unit == Unit::Bytes { ("8", "127.5") } else { ("1", "0.5") };
    let figure =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    line!(text);
    line!(text, "ENT  figures of {} {unit}s", grouped(figures.symbols));
    line!(
        text,
        "  {:<38}{:>16}   fair: {fair}",
        format!("entropy, bits a {unit}"),
        figure(Some(figures.entropy), 6)
    );
    line!(text, "  {:<38}{:>16}   fair: 0", "optimum compression, percent", figures.compression_percent);
    let percent = figures.chi_square_p.map(|p| 100.0 * p);
    line!(
        text,
        "  {:<38}{:>16}   exceeded by chance: {} %",
        "chi-square",
        figure(figures.chi_square, 2),
        figure(percent, 2)
    );
    line!(text, "  {:<38}{:>16}   fair: {mean}", format!("mean of {unit}s"), figure(figures.mean, 4));
    let error = figure(figures.monte_carlo_pi_error_percent, 2);
    line!(text, "  {:<38}{:>16}   error: {error} %", "pi by Monte Carlo", figure(figures.monte_carlo_pi, 9));
    line!(text, "  {:<38}{:>16}   fair: 0", "serial correlation", figure(figures.serial_correlation, 6));
    let repeats = report.battery.repeats();
    line!(
        text,
        "  {:<38}{:>16}   p = {}",
        "eight bytes seen before",
        grouped(repeats.repeated()),
        p(repeats.odds())
    );
}

fn proves(report: &Report, text: &mut String) {
    line!(text);
    if report.plan.sp800_90b {
        line!(
            text,
            "Min-entropy bounds what ten predictors could guess of these samples; it means something for raw noise only,"
        );
        line!(text, "not for the output of a hash, a cipher or a kernel.");
    }
    line!(
        text,
        "A generator with a tiny seed passes every one of these tests: they judge the output, not what an attacker knows."
    );
}

/// A reason, indented, in lines of at most a hundred characters.
fn wrapped(reason: &str, text: &mut String) {
    let mut length = usize::MAX;
    for word in reason.split_whitespace() {
        if length.saturating_add(word.len()) > 96 {
            text.push_str(if length == usize::MAX { "   " } else { "\n   " });
            length = 3;
        }
        text.push(' ');
        text.push_str(word);
        length += 1 + word.len();
    }
    text.push('\n');
}

/// A probability, to two digits.
fn p(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 0.001 => format!("{value:.1e}"),
        value => format!("{value:.3}"),
    }
}

/// 1e-6 as 1,000,000.
fn one_in(odds: f64) -> String {
    let one_in = (1.0 / odds).round();
    if one_in < 1e15 { grouped(one_in as u64) } else { format!("{one_in:.0e}") }
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1e-9, 0.04321, 1.0].map(p), ["0", "1.0e-9", "0.043", "1.000"]);
        assert_eq!((one_in(1e-6), one_in(1e-20)), ("1,000,000".to_owned(), "1e20".to_owned()));
    }
}
