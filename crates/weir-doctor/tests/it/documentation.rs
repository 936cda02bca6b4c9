//! Every identifier of a finding is explained in docs/doctor.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SECTIONS: &[&str] =
    &["kernel", "sources", "virtualization", "seeds", "daemons", "keys", "waiting", "probe"];

fn is_identifier(text: &&str) -> bool {
    text.split_once('.').is_some_and(|(section, name)| {
        SECTIONS.contains(&section)
            && !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    })
}

/// The identifiers that the crate's source writes down, each as a literal.
fn identifiers() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        found.extend(source.split('"').filter(is_identifier).map(str::to_owned));
    }
    found
}

#[test]
fn every_finding_is_documented() {
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor.md")).unwrap();
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0))
        .filter(is_identifier)
        .map(str::to_owned)
        .collect();
    let identifiers = identifiers();
    assert!(identifiers.len() > 20, "{identifiers:?}");
    assert_eq!(documented, identifiers, "docs/doctor.md and the findings");
}
