//! `weir assess`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::command::weir;

/// A run with this standard input.
fn fed(arguments: &str, input: &[u8]) -> Output {
    let mut command = weir(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Whoever has read enough closes the pipe.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// SplitMix64 from a fixed seed: what these tests say of it does not change from run to run.
fn even(bytes: usize) -> Vec<u8> {
    let mut state = 42u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(bytes).collect()
}

fn vectors() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    folder.is_dir().then_some(folder)
}

#[test]
fn all_four_are_in_one_report() {
    let output = fed("assess --json --samples 20000", &even(200_000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = json(&output);
    assert_eq!(report["bytes"], 200_000);
    assert_eq!(report["verdict"]["found"], false);
    assert_eq!(report["sp800-90b"]["samples"], 20_000);
    assert!(report["sp800-90b"]["assessed_min_entropy"].as_f64().unwrap() > 4.0);
    assert_eq!(report["fips140-2"]["blocks"], 80);
    assert_eq!(report["sp800-22"]["tests"].as_array().unwrap().len(), 15);
    assert_eq!(report["ent"]["symbols"], 200_000);
}

#[test]
fn the_report_in_words_says_what_it_does_not_prove_and_never_random() {
    for (input, status, words) in
        [(even(200_000), 0, "no fault found"), (vec![0; 200_000], 1, "FAULTS FOUND")]
    {
        let output = fed("assess --samples 5000", &input);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(words) && text.contains("tiny seed") && !text.contains('\x1b'), "{text}");
        assert!(!text.replace("RandomExcursions", "").to_lowercase().contains("random"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120 && line.trim_end() == line), "{text}");
    }
}

#[test]
fn figures_of_sp800_90b_are_those_of_the_reference() {
    let Some(vectors) = vectors() else { testkit::skip!("no vectors beside the workspace") };
    for name in ["rand1_short", "rand4_short", "rand8_short", "data.pi"] {
        let file = vectors.join(format!("sp800-90b/{name}.bin"));
        let theirs = std::fs::read(vectors.join(format!("sp800-90b/{name}.json"))).unwrap();
        let theirs: Value = serde_json::from_slice(&theirs).unwrap();
        let bits = &theirs["input"]["bits_per_symbol"];
        let output = fed(&format!("assess sp800-90b --json --bits {bits} {}", file.display()), b"");
        let ours = json(&output);
        // The whole file, as NIST's tool takes it, though it is longer than a million samples.
        assert_eq!(ours["samples"], theirs["input"]["samples"], "{name}");
        let near =
            |ours: &Value, theirs: &Value| (ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < 1e-10;
        assert!(near(&ours["h_original"], &theirs["H_original"]), "{name}");
        assert!(near(&ours["assessed_min_entropy"], &theirs["Assessed min entropy"]), "{name}");
        for estimator in ours["estimators"].as_array().unwrap() {
            let stream = if estimator["stream"] == "literal" { "Literal" } else { "Bitstring" };
            let theirs = &theirs[format!("{stream} {}", estimator["name"].as_str().unwrap())];
            for (figure, value) in theirs.as_object().unwrap() {
                let key = if figure == "min entropy" { "min_entropy" } else { figure };
                assert!(near(&estimator[key], value), "{name}: {estimator} {figure}");
            }
        }
    }
}

#[test]
fn restarts_are_held_against_what_the_source_gave_before() {
    let samples = even(1_000_000);
    let output = fed("assess sp800-90b --restart 7 --json -", &samples);
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!((&found["sanity_passed"], &found["validated"]), (&true.into(), &true.into()));
    assert!(found["assessed_min_entropy"].as_f64().unwrap() <= 7.0);
    // A source that begins with the same sample each time: a column of one symbol.
    let mut stuck = samples;
    stuck.iter_mut().step_by(1000).for_each(|sample| *sample = 7);
    let output = fed("assess sp800-90b --restart 7 -", &stuck);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1000 in a column"), "{output:?}");
    assert_eq!(fed("assess sp800-90b --restart 7 -", &stuck[..999_999]).status.code(), Some(3));
    assert_eq!(fed("assess sp800-90b --restart 9 -", &stuck).status.code(), Some(2));
}

#[test]
fn published_parameters_give_the_published_p_values() {
    let Some(vectors) = vectors() else { testkit::skip!("no vectors beside the workspace") };
    let folder = vectors.join("sp800-22");
    let file = folder.join("pi.1e6.bin");
    let output = fed(&format!("assess sp800-22 --parameters published --json {}", file.display()), b"");
    let published: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    for test in json(&output)["tests"].as_array().unwrap() {
        let theirs = published["p_values"]["pi"][test["name"].as_str().unwrap()].as_array().unwrap();
        let ours = test["p_values"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{test}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours.as_f64().unwrap() - theirs.as_f64().unwrap()).abs() < 5.1e-7, "{test} {theirs}");
        }
    }
}

#[test]
fn compat_is_rngtest() {
    let output = fed("assess fips140-2 --compat -c 2 -b 1", &even(10_000));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.matches("rngtest: FIPS 140-2 failures: 0\n").count(), 2, "{text}");
    assert!(text.contains("rngtest: bits received from input: 40032\n"), "{text}");
    let output = fed("assess fips140-2 --compat --pipe", &even(10_000));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 7_500));
    assert_eq!(output.stdout, even(10_000)[8..7_508]);
    assert_eq!(fed("assess fips140-2 --compat", &[0; 10_000]).status.code(), Some(1));
    assert_eq!(fed("assess fips140-2 --compat", b"").status.code(), Some(1));
    assert_eq!(fed("assess fips140-2 --compat -c x", b"").status.code(), Some(10));
    assert_eq!(fed("assess fips140-2 --compat /nonexistent", b"").status.code(), Some(11));
}

#[test]
fn ent_writes_the_lines_of_ent() {
    let output = fed("assess ent -t -", &[0; 1000]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().nth(1), Some("1,1000,0.000000,255000.000000,0.000000,4.000000,-100000.000000"));
}

#[test]
fn a_picture_is_written() {
    let folder = testkit::TempDir::new();
    let file = folder.join("picture.svg");
    let output = fed(&format!("assess ent --plot {}", file.display()), &even(10_000));
    assert_eq!(output.status.code(), Some(0));
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("standard input"));
}

#[test]
fn sources_are_assessed_before_conditioning() {
    let output = fed("assess fips140-2 --source getrandom --samples 250000 --json", b"");
    // A healthy source is condemned once in a million runs.
    assert_eq!((output.status.code(), json(&output)["blocks"].as_u64()), (Some(0), Some(100)));
    let output = fed("assess sp800-90b --source jitter --samples 5000 --json", b"");
    let report = json(&output);
    assert_eq!(report["samples"], 5_000);
    assert!(report["claim"]["min_entropy_bits"].as_f64().unwrap() > 0.0);
    let output = fed("assess --source nothing", b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn wrong_usage_and_unreadable_input_have_statuses_of_their_own() {
    for (arguments, input, status) in [
        ("assess /nonexistent", &b""[..], 3),
        ("assess /", b"", 3),
        ("assess", b"", 3),
        ("assess fips140-2", b"too short", 3),
        ("assess sp800-90b", b"too short", 3),
        ("assess sp800-90b --bits 2", &[4; 100], 3),
        ("assess ent --bits 2", &[4; 100], 3),
        ("assess ent -t --json", b"x", 2),
        ("assess ent a b", b"x", 2),
        ("assess a ent b", b"x", 2),
        ("assess ent a --source getrandom", b"x", 2),
        ("assess --bits 9", b"x", 2),
        ("assess --false-alarm 1", b"x", 2),
        ("assess sp800-22 --streams 100000 --length 100000000", b"x", 2),
        ("assess fips140-2 -c 1", b"x", 2),
    ] {
        let output = fed(arguments, input);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments}: {output:?}");
    }
}
