//! Numbers for people: tables, what speaks against them, and a file for machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Args;
use super::contenders::is_weir;
use super::load::Load;
use super::procfs::Memory;
use super::proxy::{Measured, Sample};
use crate::process;

/// Rounds further apart than this, of their median, make a number doubtful.
const SPREAD: f64 = 0.10;
/// Others using more of a core than this make a number doubtful.
const OTHERS: f64 = 0.03;
/// The same for what the host takes away.
const STOLEN: f64 = 0.02;
/// A proxy that had less of its core than this was not at its limit.
const SATURATED: f64 = 0.90;
/// Who is 1.
const BASE: &str = "nginx";

/// Whether something else used the cores, or took them away.
pub(super) fn is_disturbed(sample: &Sample) -> bool {
    sample.others > OTHERS || sample.stolen > STOLEN
}

/// A measurement in short, as it comes in.
pub(super) fn line(sample: &Sample) -> String {
    format!(
        "{:6.1} µs CPU  {:7.0}/s  p50 {:6.0} µs  p99 {:6.0} µs  own {:3.0} %  others {:3.0} %  stolen {:3.0} %",
        sample.cpu_us,
        sample.rate,
        sample.p50_us,
        sample.p99_us,
        sample.own * 100.0,
        sample.others * 100.0,
        sample.stolen * 100.0
    )
}

/// Prints the tables of the proxies, and writes what was asked to be written.
pub(super) fn proxies(measured: &[Measured], args: &Args) -> Result<()> {
    let mut text = String::new();
    for &load in &args.load {
        writeln!(text, "{}, {} connections, as much as is answered:\n", load.title(), args.connections)?;
        text += &saturated_table(measured, load);
        text.push('\n');
    }
    writeln!(
        text,
        "\nGET over HTTP/1.1, {} connections, {} requests a second:\n",
        args.connections, args.rate
    )?;
    text += &paced_table(measured);
    writeln!(text, "\nMemory with ten routes, and the time from start to the first proxied request:\n")?;
    text += &resources_table(measured);
    let doubts = doubts(measured);
    if !doubts.is_empty() {
        writeln!(
            text,
            "\nTo be doubted:\n\n{}",
            doubts.iter().map(|doubt| format!("- {doubt}\n")).collect::<String>()
        )?;
    }
    println!("\n{text}");
    let conditions = conditions(measured, args)?;
    println!("{conditions}");
    if let Some(file) = &args.json {
        let document = json!({"conditions": conditions, "doubts": doubts,
            "contenders": measured.iter().map(to_json).collect::<Vec<_>>()});
        fs::write(file, serde_json::to_vec_pretty(&document)?).with_context(|| file.display().to_string())?;
    }
    match &args.write {
        Some(file) => put(file, "proxy", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

fn saturated_table(measured: &[Measured], load: Load) -> String {
    let samples = |m: &Measured| m.saturated.iter().find(|(l, _)| *l == load).map(|(_, s)| s.clone());
    let base = measured.iter().find(|m| m.name == BASE).and_then(samples).unwrap_or_default();
    let rows = measured.iter().filter_map(|m| Some((m, samples(m)?))).map(|(m, samples)| {
        let waits = |figure: fn(&Sample) -> f64| format!("{:.2} ms", of(&samples, figure) / 1e3);
        let rate = format!("{:.0}", of(&samples, |s| s.rate));
        let mut row = cost_cells(m, &samples, &base);
        row.extend([rate, waits(|s| s.p50_us), waits(|s| s.p99_us)]);
        row
    });
    table(&[&COST_HEAD[..], &["requests/s", "p50", "p99"]].concat(), &rows.collect::<Vec<_>>())
}

fn paced_table(measured: &[Measured]) -> String {
    let base = measured.iter().find(|m| m.name == BASE).map(|m| m.paced.clone()).unwrap_or_default();
    let rows = measured.iter().filter(|m| !m.paced.is_empty()).map(|m| {
        let waits = |figure: fn(&Sample) -> f64| format!("{:.0} µs", of(&m.paced, figure));
        let mut row = cost_cells(m, &m.paced, &base);
        row.extend([waits(|s| s.p50_us), waits(|s| s.p99_us)]);
        row
    });
    table(&[&COST_HEAD[..], &["p50", "p99"]].concat(), &rows.collect::<Vec<_>>())
}

const COST_HEAD: [&str; 4] = ["", "CPU per request", "best round", "to nginx"];

fn cost_cells(m: &Measured, samples: &[Sample], base: &[Sample]) -> Vec<String> {
    let median = format!("{:.1} µs", of(samples, |s| s.cpu_us));
    let ratio = ratio(samples, base).map_or(String::new(), |ratio| format!("{ratio:.2}×"));
    vec![m.title.to_owned(), median, format!("{:.1} µs", least(samples)), ratio]
}

/// The median of the rounds' ratios: what slows the machine down for a while slows a round's contenders alike.
fn ratio(samples: &[Sample], base: &[Sample]) -> Option<f64> {
    let ratios: Vec<_> = samples.iter().zip(base).map(|(sample, base)| sample.cpu_us / base.cpu_us).collect();
    (!ratios.is_empty()).then(|| median(&ratios))
}

fn resources_table(measured: &[Measured]) -> String {
    let both = |memory: &Memory| format!("{:.1} ({:.1}) MiB", memory.rss_mib, memory.pss_mib);
    let rows = measured.iter().map(|m| {
        let start = format!("{:.0} ms", median(&m.start_ms));
        vec![m.title.to_owned(), both(&m.idle), both(&m.loaded), start]
    });
    table(&["", "RSS (PSS) idle", "RSS (PSS) after load", "start"], &rows.collect::<Vec<_>>())
}

/// What speaks against the numbers, a line for each that something speaks against.
fn doubts(measured: &[Measured]) -> Vec<String> {
    let mut doubts = Vec::new();
    for m in measured {
        let saturated = m.saturated.iter().map(|(load, samples)| (load.title(), samples, true));
        let paced = [("at a fixed rate", &m.paced, false)];
        for (what, samples, at_limit) in saturated.chain(paced).filter(|(_, samples, _)| !samples.is_empty())
        {
            let reasons = reasons_to_doubt(samples, at_limit);
            if !reasons.is_empty() {
                doubts.push(format!("{}, {what}: {}", m.title, reasons.join("; ")));
            }
        }
    }
    doubts
}

fn reasons_to_doubt(samples: &[Sample], at_limit: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let (own, others, stolen) =
        (of(samples, |s| s.own), of(samples, |s| s.others), of(samples, |s| s.stolen));
    let spread = spread(samples);
    if spread > SPREAD {
        reasons.push(format!("rounds are {} apart", percent(spread)));
    }
    if others > OTHERS {
        reasons.push(format!("others used {} of a core", percent(others)));
    }
    if stolen > STOLEN {
        reasons.push(format!("the host took away {} of a core", percent(stolen)));
    }
    if at_limit && own + stolen + others < SATURATED {
        reasons.push(format!("it used {} of its core, so the load was the limit of its rate", percent(own)));
    }
    reasons
}

fn spread(samples: &[Sample]) -> f64 {
    let values = samples.iter().map(|sample| sample.cpu_us);
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
    (most - least) / of(samples, |s| s.cpu_us)
}

/// What the numbers were measured on and with.
fn conditions(measured: &[Measured], args: &Args) -> Result<String> {
    let mut versions: Vec<String> = Vec::new();
    for m in measured {
        let product = if is_weir(m.name) { "Weir" } else { m.title };
        let version = format!("{product} {}", m.version);
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    Ok(format!(
        "{}; one core for the proxy, another for load and origin; {} interleaved rounds of {} s, medians; \
         ratios are taken within rounds. {}.",
        machine()?,
        args.rounds,
        args.seconds,
        versions.join(", ")
    ))
}

/// The date, the processor and the kernel.
pub(super) fn machine() -> Result<String> {
    let date = process::read(Command::new("date").args(["-u", "+%F"]))?;
    let kernel = process::read(Command::new("uname").args(["-sr"]))?;
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    Ok(format!("{}, {model}, {}", date.trim(), kernel.trim()))
}

fn to_json(m: &Measured) -> Value {
    let samples = |samples: &[Sample]| -> Vec<Value> {
        let one = |s: &Sample| {
            json!({"cpu_us": s.cpu_us, "rate": s.rate, "p50_us": s.p50_us, "p99_us": s.p99_us,
                "own": s.own, "others": s.others, "stolen": s.stolen})
        };
        samples.iter().map(one).collect()
    };
    let memory = |memory: &Memory| json!({"rss_mib": memory.rss_mib, "pss_mib": memory.pss_mib});
    let saturated: Vec<_> =
        m.saturated.iter().map(|(load, s)| json!({"load": load.title(), "samples": samples(s)})).collect();
    json!({"name": m.name, "version": m.version, "idle": memory(&m.idle), "loaded": memory(&m.loaded),
        "start_ms": m.start_ms, "saturated": saturated, "paced": samples(&m.paced)})
}

/// The least CPU time per request of any round: what disturbs a round only ever adds to it.
fn least(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.cpu_us).fold(f64::INFINITY, f64::min)
}

/// The median of one figure over samples.
fn of(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(figure).collect::<Vec<_>>())
}

/// The middle value; the mean of the two in the middle of an even number.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// A Markdown table whose source is aligned: the first column to the left, numbers to the right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let mut put = |cells: &[&str]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            text += &if column == 0 { format!("| {cell}{padding} ") } else { format!("| {padding}{cell} ") };
        }
        text += "|\n";
    };
    put(head);
    let rules: Vec<_> = widths
        .iter()
        .enumerate()
        .map(|(i, w)| if i == 0 { "-".repeat(*w) } else { "-".repeat(w - 1) + ":" })
        .collect();
    put(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        put(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// Puts a text into a file between the lines that mark its place; at the end where there is none yet.
pub(super) fn put(file: &Path, name: &str, text: &str) -> Result<()> {
    let old = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "# Performance\n".to_owned(),
        other => other.with_context(|| file.display().to_string())?,
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, replace(&old, name, text)).with_context(|| file.display().to_string())
}

fn replace(old: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->"));
    let block = format!("{begin}{}\n{end}", text.trim_end());
    let place = old.find(&begin).and_then(|from| Some((from, from + old[from..].find(&end)? + end.len())));
    match place {
        Some((from, to)) => format!("{}{block}{}", &old[..from], &old[to..]),
        None => format!("{}\n\n{block}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_middles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The second round was twice as slow for both.
        let samples = |cpu: [f64; 2]| cpu.map(|cpu_us| Sample { cpu_us, ..STILL });
        assert_eq!(ratio(&samples([10.0, 20.0]), &samples([20.0, 40.0])), Some(0.5));
        assert_eq!(ratio(&samples([10.0, 20.0]), &[]), None);
    }

    const STILL: Sample =
        Sample { cpu_us: 26.0, rate: 1.0, p50_us: 1.0, p99_us: 1.0, own: 0.98, others: 0.01, stolen: 0.0 };

    #[test]
    fn tables_are_aligned_by_characters() {
        let text = table(&["", "µs"], &[vec!["Weir".into(), "1.0×".into()]]);
        assert_eq!(text, "|      |   µs |\n| ---- | ---: |\n| Weir | 1.0× |\n");
    }

    #[test]
    fn only_the_marked_place_changes() {
        let first = replace("# Performance\n\nWords.\n", "proxy", "one");
        assert_eq!(first, "# Performance\n\nWords.\n\n<!-- bench:proxy -->\none\n<!-- /bench:proxy -->\n");
        let second = replace(&format!("{first}\nMore.\n"), "proxy", "two\n");
        assert_eq!(
            second,
            "# Performance\n\nWords.\n\n<!-- bench:proxy -->\ntwo\n<!-- /bench:proxy -->\n\nMore.\n"
        );
    }

    #[test]
    fn doubtful_numbers_are_told() {
        let sample = |cpu_us, own, others, stolen| Sample { cpu_us, own, others, stolen, ..STILL };
        let measured = |samples: Vec<Sample>| Measured {
            name: "nginx",
            title: "nginx",
            version: String::new(),
            idle: Memory::default(),
            loaded: Memory::default(),
            start_ms: Vec::new(),
            saturated: vec![(Load::Get, samples)],
            paced: Vec::new(),
        };
        let good = STILL;
        assert!(doubts(&[measured(vec![good; 3])]).is_empty());
        let told = |samples| doubts(&[measured(samples)]).join("\n");
        assert!(told(vec![good, sample(30.0, 0.98, 0.0, 0.0), good]).contains("15 % apart"));
        assert!(told(vec![sample(26.0, 0.80, 0.15, 0.0); 3]).contains("others used 15 %"));
        assert!(told(vec![sample(26.0, 0.93, 0.0, 0.05); 3]).contains("took away 5 %"));
        assert!(told(vec![sample(26.0, 0.5, 0.0, 0.0); 3]).contains("the load was the limit"));
    }
}
