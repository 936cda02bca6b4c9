//! The recorded cases: what Kong answered, asked of Weir.
//!
//! Starts the gateway on free ports in a directory of its own, hands its addresses to the corpus's runner, and holds the
//! results against the table in [`super::areas`].

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use testkit::Launch;

use super::areas::{AREAS, Area, State};
use super::{Tally, skip};
use crate::{packages, process, workspace};

/// Differences shown for a case.
const MAX_DIFFS: usize = 6;

/// All cases together; some wait for a clock's next minute.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// Runs the cases of the areas that are served, or of all.
pub(super) fn run(weir: &Path, filter: Option<&str>, all_areas: bool) -> Result<Tally> {
    let corpus = corpus();
    if !corpus.join("run.py").exists() {
        let reason =
            format!("there is no corpus at {}; WEIR_CONFORMANCE may name another place", corpus.display());
        return Ok(skip("recorded cases", &reason));
    }
    let sizes = sizes(&corpus.join("cases"))?;
    check_table(&sizes)?;
    let (run, left_out): (Vec<_>, Vec<_>) =
        AREAS.iter().partition(|area| all_areas || matches!(area.state, State::Served(_)));
    let mut tally = Tally::default();
    if filter.is_none() {
        tally.skipped = tell_left_out(&left_out, &sizes);
    }
    if run.is_empty() {
        return Ok(tally);
    }
    if packages::find("python3").is_none() {
        return Ok(skip("recorded cases", "python3 is not installed"));
    }
    let results = ask(weir, &corpus, &run, filter)?;
    for area in run {
        let of_area: Vec<_> = results.iter().filter(|result| result.file.ends_with(area.file)).collect();
        tally += judge(area, &of_area);
    }
    Ok(tally)
}

/// Beside the workspace, unless the environment says otherwise.
fn corpus() -> PathBuf {
    match env::var_os("WEIR_CONFORMANCE") {
        Some(path) => path.into(),
        None => workspace::root().join("../shared/conformance"),
    }
}

/// How many cases each file of the corpus holds.
fn sizes(cases: &Path) -> Result<BTreeMap<String, usize>> {
    let mut sizes = BTreeMap::new();
    for folder in fs::read_dir(cases).with_context(|| cases.display().to_string())? {
        let folder = folder?;
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let document: Value = serde_json::from_slice(&fs::read(file.path())?)
                .with_context(|| file.path().display().to_string())?;
            let name =
                format!("{}/{}", folder.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            sizes.insert(name, document["cases"].as_array().map_or(0, Vec::len));
        }
    }
    Ok(sizes)
}

/// The table and the corpus must name the same files: otherwise cases would be forgotten.
fn check_table(sizes: &BTreeMap<String, usize>) -> Result<()> {
    let listed: BTreeSet<_> = AREAS.iter().map(|area| area.file).collect();
    let present: BTreeSet<_> = sizes.keys().map(String::as_str).collect();
    let unlisted: Vec<_> = present.difference(&listed).collect();
    let missing: Vec<_> = listed.difference(&present).collect();
    if !unlisted.is_empty() || !missing.is_empty() {
        bail!("the table of areas lacks {unlisted:?} and names {missing:?}, which the corpus does not hold");
    }
    Ok(())
}

fn tell_left_out(areas: &[&Area], sizes: &BTreeMap<String, usize>) -> usize {
    let mut by_reason: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for area in areas {
        if let State::NotServed(reason) = area.state {
            let size = sizes.get(area.file).copied().unwrap_or(0);
            by_reason.entry(reason).or_default().push((area.file, size));
        }
    }
    let mut total = 0;
    for (reason, files) in by_reason {
        let cases: usize = files.iter().map(|(_, size)| size).sum();
        let names: Vec<_> = files.iter().map(|(file, _)| file.trim_end_matches(".json")).collect();
        eprintln!("SKIPPED: {cases} recorded cases: {reason}: {}", names.join(" "));
        total += cases;
    }
    total
}

/// A case's outcome, as the runner wrote it.
struct Outcome {
    name: String,
    file: String,
    passed: bool,
    quirk: Option<String>,
    diffs: Vec<String>,
}

/// Starts the gateway and lets the corpus's runner ask it.
fn ask(weir: &Path, corpus: &Path, areas: &[&Area], filter: Option<&str>) -> Result<Vec<Outcome>> {
    let folder = workspace::target()?.join("recorded");
    fs::create_dir_all(&folder)?;
    let (out, log) = (folder.join("results.json"), folder.join("runner.log"));
    let mut launch = Launch::new(weir);
    if env::var_os("WEIR_WORKERS").is_none() {
        // As Kong had when it was recorded: whose turn it is among targets is each worker's own count.
        launch = launch.env("WEIR_WORKERS", "1");
    }
    let gateway = launch.try_start()?;
    let mut runner = Command::new("python3");
    runner.arg(corpus.join("run.py"));
    runner.args(["--admin", &format!("http://{}", gateway.admin())]);
    runner.args(["--proxy", &format!("http://{}", gateway.proxy())]);
    runner.args(["--proxy-tls", &gateway.proxy_ssl().to_string()]);
    // A write that is answered is in force: there is nothing to wait for.
    runner.args(["--settle", "0", "--json"]).arg(&out);
    runner.args(filter.iter().flat_map(|filter| ["--only", filter]));
    runner.args(areas.iter().map(|area| corpus.join("cases").join(area.file)));
    // The corpus may be on a file system that is not ours to write to.
    runner.env("PYTHONDONTWRITEBYTECODE", "1");
    match fs::remove_file(&out) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = fs::File::create(&log)?;
    // It exits 1 when a case differs; whether that is a failure is for the table to say.
    let status = process::wait(runner.stderr(file.try_clone()?).stdout(file), DEADLINE)?;
    let Ok(json) = fs::read(&out) else {
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("the runner wrote no results, {status}:\n{said}\nthe gateway's log:\n{}", gateway.log());
    };
    println!("differences in full: {}", log.display());
    let results: Value = serde_json::from_slice(&json)?;
    results.as_array().context("results are not a list")?.iter().map(read_outcome).collect()
}

fn read_outcome(result: &Value) -> Result<Outcome> {
    let text = |field: &str| -> Result<String> {
        Ok(result[field].as_str().with_context(|| format!("no {field} in {result}"))?.to_owned())
    };
    let diffs = result["diffs"].as_array().into_iter().flatten();
    Ok(Outcome {
        name: text("name")?,
        file: text("file")?,
        passed: result["passed"].as_bool().context("no passed")?,
        quirk: result["quirk"].as_str().map(str::to_owned),
        diffs: diffs.filter_map(|diff| Some(diff.as_str()?.to_owned())).collect(),
    })
}

/// Holds an area's outcomes against what the table expects, and tells what is new.
fn judge(area: &Area, outcomes: &[&Outcome]) -> Tally {
    let served = matches!(area.state, State::Served(_));
    let mut tally = Tally::default();
    let (mut differ_as_known, mut quirks) = (0, 0);
    for outcome in outcomes {
        let named = area.known(&outcome.name);
        match (outcome.passed, named) {
            (true, _) => tally.passed += 1,
            (false, Some(_)) => differ_as_known += 1,
            (false, None) if outcome.quirk.is_some() => quirks += 1,
            (false, None) if served => {
                show(outcome);
                tally.failed += 1;
            }
            (false, None) => tally.skipped += 1,
        }
    }
    if outcomes.len() > 1 {
        tell_outdated(area, outcomes);
    }
    let differ = tally.failed + tally.skipped;
    tally.skipped += differ_as_known + quirks;
    if !outcomes.is_empty() {
        println!(
            "{:<34} {:>4} pass, {differ} differ, {differ_as_known} differ as known, {quirks} quirks differ{}",
            area.file,
            tally.passed,
            if served { "" } else { " (not served yet)" }
        );
    }
    tally
}

/// Tells which names in the table mean nothing any more: no case at all, or only cases that pass.
fn tell_outdated(area: &Area, outcomes: &[&Outcome]) {
    for known in area.differences() {
        for name in known.cases {
            let meant: Vec<_> = outcomes.iter().filter(|outcome| area.means(name, &outcome.name)).collect();
            if meant.is_empty() {
                println!("UNKNOWN CASE in the table of areas: {}: {name} ({})", area.file, known.reason);
            } else if meant.iter().all(|outcome| outcome.passed) {
                println!("NOW PASSES: {}: {name}: take it out of the table of areas", area.file);
            }
        }
    }
}

fn show(outcome: &Outcome) {
    println!("DIFFERS: {}", outcome.name);
    for diff in outcome.diffs.iter().take(MAX_DIFFS) {
        println!("    {diff}");
    }
    if outcome.diffs.len() > MAX_DIFFS {
        println!("    ... {} more", outcome.diffs.len() - MAX_DIFFS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::areas::Known;

    fn outcome(name: &str, passed: bool, quirk: bool) -> Outcome {
        let (name, quirk) = (format!("proxy.tls.{name}"), quirk.then(|| "an accident".to_owned()));
        Outcome { name, file: "cases/proxy/tls.json".into(), passed, quirk, diffs: Vec::new() }
    }

    const KNOWN: &[Known] = &[Known { cases: &["known", "sni-*"], reason: "differs on purpose" }];
    const SERVED: Area = Area { file: "proxy/tls.json", state: State::Served(KNOWN) };

    #[test]
    fn only_unnamed_differences_fail() {
        let outcomes = [
            outcome("a", true, false),
            outcome("known", false, false),
            outcome("sni-case", false, false),
            outcome("q", false, true),
            outcome("b", false, false),
            outcome("known-too", false, false),
        ];
        let tally = judge(&SERVED, &outcomes.iter().collect::<Vec<_>>());
        assert_eq!(tally, Tally { passed: 1, failed: 2, skipped: 3 });
    }

    #[test]
    fn a_named_case_that_passes_is_passed() {
        let outcomes = [outcome("known", true, false)];
        assert_eq!(
            judge(&SERVED, &outcomes.iter().collect::<Vec<_>>()),
            Tally { passed: 1, failed: 0, skipped: 0 }
        );
    }

    #[test]
    fn areas_that_are_not_served_fail_nothing() {
        let area = Area { file: "proxy/tls.json", state: State::NotServed("not yet") };
        let outcomes = [outcome("a", true, false), outcome("b", false, false)];
        let tally = judge(&area, &outcomes.iter().collect::<Vec<_>>());
        assert_eq!(tally, Tally { passed: 1, failed: 0, skipped: 1 });
    }

    #[test]
    fn every_area_is_named_once() {
        let names: BTreeSet<_> = AREAS.iter().map(|area| area.file).collect();
        assert_eq!(names.len(), AREAS.len());
    }

    #[test]
    fn a_corpus_and_a_table_that_disagree_are_refused() {
        let mut sizes: BTreeMap<_, _> = AREAS.iter().map(|area| (area.file.to_owned(), 1)).collect();
        assert!(check_table(&sizes).is_ok());
        sizes.insert("proxy/new.json".into(), 1);
        assert!(check_table(&sizes).unwrap_err().to_string().contains("proxy/new.json"));
        sizes.remove("proxy/new.json");
        sizes.remove("proxy/tls.json");
        assert!(check_table(&sizes).unwrap_err().to_string().contains("proxy/tls.json"));
    }
}
