//! `cargo xtask layers`: the crates depend on each other in one direction only.
//!
//! The lists below are the architecture: the order of the crates, the pairs that must not meet, and the crates that stay
//! free of runtimes, HTTP and databases. A message names the edge that offends, or the path to it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{process, workspace};

/// Check that the crates depend on each other in one direction only
#[derive(clap::Args)]
pub(crate) struct Args {}

/// The crates in the order of dependency: each may use those above it, none below.
const ORDER: &[&str] = &[
    "weir-kernel",
    "weir-report",
    "weir-mint",
    "weir-doctor",
    "weir-assess",
    "weir-entropy",
    "weir-seed",
    "weir-model",
    "weir-router",
    "weir-balance",
    "weir-plugin",
    "weir-plugins",
    "weir-store",
    "weir-proxy",
    "weir-admin",
    "weir",
    "weir-feed",
    "weir-ffi",
    "testkit",
    "xtask",
];

/// For tests only: any crate's tests may use it, as it uses none of ours.
const TESTKIT: &str = "testkit";

/// Crates that must not reach others, not even through a third, and why.
const APART: &[(&str, &[&str], &str)] = &[
    (
        "weir-plugins",
        &["weir-store", "weir-proxy", "weir-admin"],
        "a plugin sees its context, nothing behind it",
    ),
    ("weir-store", &["weir-proxy", "weir-admin"], "entities know no traffic"),
    ("weir-proxy", &["weir-store", "weir-admin"], "traffic is served from a snapshot"),
    ("weir-admin", &["weir-proxy"], "administration knows no engine"),
    ("weir-assess", &["weir-kernel", "weir-mint", "weir-entropy"], "the judge does not depend on the judged"),
    (
        "weir-feed",
        &["weir-model", "weir-plugin", "weir-store", "weir-proxy", "weir-admin"],
        "the daemon is small",
    ),
];

/// What is not in the normal dependencies of crates of plain data and pure logic.
const IMPURE: &[&str] =
    &["tokio", "hyper", "http", "axum", "sqlx", "sqlx-core", "rusqlite", "reqwest", "tower"];

/// The crates of plain data and pure logic, with what each may have of the above all the same.
const PURE: &[(&str, &[&str])] = &[
    ("weir-kernel", &[]),
    ("weir-report", &[]),
    ("weir-mint", &[]),
    ("weir-doctor", &[]),
    ("weir-assess", &[]),
    ("weir-model", &[]),
    ("weir-router", &[]),
    ("weir-balance", &[]),
    ("weir-plugin", &["http"]), // its interface is written in that crate's types
    ("weir-feed", &[]),
    ("weir-ffi", &[]),
];

/// The kinds of dependencies that a crate of ours has on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Needed by the crate itself or its build script.
    Normal,
    /// Needed by its tests.
    Dev,
}

/// Who depends on whom, among our own crates.
type Edges = BTreeMap<String, BTreeSet<(String, Kind)>>;

pub(crate) fn run(_args: &Args) -> Result<ExitCode> {
    let offences = offences()?;
    for offence in &offences {
        eprintln!("layers: {offence}");
    }
    println!("layers: {}", if offences.is_empty() { "in order" } else { "out of order" });
    Ok(if offences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that offends.
pub(crate) fn offences() -> Result<Vec<String>> {
    let edges = read_edges(&workspace::metadata(&["--no-deps"])?)?;
    let mut offences = out_of_order(&edges);
    offences.extend(not_apart(&edges));
    for (name, may_have) in PURE.iter().filter(|(name, _)| edges.contains_key(*name)) {
        offences.extend(impure(name, may_have)?);
    }
    Ok(offences)
}

fn read_edges(metadata: &Value) -> Result<Edges> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let name_of = |package: &Value| package["name"].as_str().unwrap_or_default().to_owned();
    let ours: BTreeSet<_> = packages.iter().map(name_of).collect();
    let mut edges = Edges::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let dependencies =
            dependencies.filter(|dependency| ours.contains(&name_of(dependency))).map(|dependency| {
                (name_of(dependency), if dependency["kind"] == "dev" { Kind::Dev } else { Kind::Normal })
            });
        edges.insert(name_of(package), dependencies.collect());
    }
    Ok(edges)
}

fn out_of_order(edges: &Edges) -> Vec<String> {
    let rank = |name: &str| ORDER.iter().position(|listed| *listed == name);
    let mut offences = Vec::new();
    for (from, dependencies) in edges {
        let Some(from_rank) = rank(from) else {
            offences.push(format!("{from} is not in the order of crates: list it in xtask/src/layers.rs"));
            continue;
        };
        for (to, kind) in dependencies {
            let only_for_tests = to == TESTKIT && *kind == Kind::Dev;
            if !only_for_tests && rank(to).is_some_and(|to_rank| to_rank >= from_rank) {
                let how = if *kind == Kind::Dev { " (for its tests)" } else { "" };
                offences.push(format!("{from} -> {to}{how}: {to} is below {from}; arrows point up only"));
            }
        }
    }
    offences
}

fn not_apart(edges: &Edges) -> Vec<String> {
    let mut offences = Vec::new();
    for (from, forbidden, why) in APART {
        for to in *forbidden {
            if let Some(path) = path(edges, from, to) {
                offences.push(format!("{}: {from} must not reach {to}: {why}", path.join(" -> ")));
            }
        }
    }
    offences
}

/// The shortest way from one crate to another over normal dependencies.
fn path(edges: &Edges, from: &str, to: &str) -> Option<Vec<String>> {
    let mut paths = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::from([from.to_owned()]);
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            let last = path.last()?;
            if last == to {
                return Some(path);
            }
            for (next, _) in edges.get(last).into_iter().flatten().filter(|(_, kind)| *kind == Kind::Normal) {
                if seen.insert(next.clone()) {
                    longer.push([path.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        paths = longer;
    }
    None
}

/// Asks Cargo for the crate's own tree: in the workspace's as a whole, features that another crate turns on would count.
fn impure(name: &str, may_have: &[&str]) -> Result<Vec<String>> {
    let options = ["tree", "--package", name, "--edges", "normal", "--all-features", "--prefix", "depth"];
    let tree = process::read(workspace::cargo(options).args(["--format", " {p}"]))?;
    Ok(impure_paths(&tree, may_have)
        .into_iter()
        .map(|path| {
            format!("{path}: {name} is plain data and logic: no runtime, HTTP or database in its tree")
        })
        .collect())
}

/// The paths to what is impure in `cargo tree`'s output, whose lines are a depth and a package.
fn impure_paths(tree: &str, may_have: &[&str]) -> Vec<String> {
    let mut path: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let (Some(depth), Some(package)) = (words.next().and_then(|word| word.parse().ok()), words.next())
        else {
            continue;
        };
        path.truncate(depth);
        path.push(package);
        if IMPURE.contains(&package) && !may_have.contains(&package) {
            found.push(path.join(" -> "));
        }
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(list: &[(&str, &str, Kind)]) -> Edges {
        let mut edges = Edges::new();
        for (from, to, kind) in list {
            edges.entry((*to).to_owned()).or_default();
            edges.entry((*from).to_owned()).or_default().insert(((*to).to_owned(), *kind));
        }
        edges
    }

    #[test]
    fn arrows_that_point_down_are_named() {
        let edges = edges(&[
            ("weir-mint", "weir-kernel", Kind::Normal),
            ("weir-mint", "testkit", Kind::Dev),
            ("weir-kernel", "weir-mint", Kind::Dev),
            ("weir-model", "testkit", Kind::Normal),
            ("weir-new", "weir-kernel", Kind::Normal),
        ]);
        let offences = out_of_order(&edges);
        assert_eq!(offences.len(), 3, "{offences:?}");
        assert!(offences[0].starts_with("weir-kernel -> weir-mint (for its tests): "), "{offences:?}");
        assert!(offences[1].starts_with("weir-model -> testkit: "), "{offences:?}");
        assert!(offences[2].starts_with("weir-new is not in the order"), "{offences:?}");
    }

    #[test]
    fn forbidden_crates_are_found_behind_a_third() {
        let edges = edges(&[
            ("weir-plugins", "weir-plugin", Kind::Normal),
            ("weir-plugin", "weir-store", Kind::Normal),
            ("weir-proxy", "weir-store", Kind::Dev),
        ]);
        let offences = not_apart(&edges);
        assert_eq!(offences.len(), 1, "{offences:?}");
        assert!(offences[0].starts_with("weir-plugins -> weir-plugin -> weir-store: "), "{offences:?}");
    }

    #[test]
    fn impure_trees_show_the_way() {
        let tree = "0 weir-router v0.1.0 (/x)\n1 regex v1.0.0\n2 memchr v2.0.0\n1 client v1.0.0\n2 hyper v1.0.0\n3 http v1.0.0 (*)";
        let ways = ["weir-router -> client -> hyper", "weir-router -> client -> hyper -> http"];
        assert_eq!(impure_paths(tree, &[]), ways);
        assert_eq!(impure_paths(tree, &["http"]), ways[..1]);
    }

    #[test]
    fn every_rule_names_crates_of_the_order() {
        let apart = APART.iter().flat_map(|(from, to, _)| to.iter().chain([from]));
        for name in apart.chain(PURE.iter().map(|(name, _)| name)) {
            assert!(ORDER.contains(name), "{name}");
        }
    }
}
