//! The library's interface as the linker sees it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use testkit::TempDir;

use crate::support::{CRATE, built, has, run};

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(format!("{CRATE}/include/weir.h")).unwrap();
    // Comments out; then what stands before a parenthesis.
    let mut code = String::new();
    for (at, part) in header.split("/*").enumerate() {
        code += if at == 0 { part } else { part.split_once("*/").unwrap().1 };
    }
    let code: String = code.lines().filter(|line| !line.starts_with('#')).collect();
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '('));
    words
        .filter_map(|word| Some(word.split_once('(')?.0.to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

/// The defined dynamic symbols of a library.
fn exported(library: &str) -> BTreeSet<String> {
    let symbols = run(Command::new("nm").args(["-D", "--defined-only", library]));
    symbols.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

/// What the dynamic section says about `tag`.
fn dynamic(library: &str, tag: &str) -> Vec<String> {
    let section = run(Command::new("readelf").args(["-dW", library]));
    section.lines().filter(|line| line.contains(&format!("({tag})"))).map(str::to_owned).collect()
}

fn library() -> String {
    built().join("libweir.so").to_str().unwrap().to_owned()
}

#[test]
fn the_header_and_the_library_have_the_same_functions() {
    if !has("nm") {
        testkit::skip!("binutils is not installed");
    }
    assert_eq!(declared(), exported(&library()));
    assert!(declared().len() > 10);
}

#[test]
fn the_manual_names_every_function() {
    let manual = fs::read_to_string(format!("{CRATE}/../../docs/c-library.md")).unwrap();
    for name in declared() {
        assert!(manual.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn it_has_its_name_and_stays_loaded() {
    if !has("readelf") {
        testkit::skip!("binutils is not installed");
    }
    let soname = dynamic(&library(), "SONAME");
    assert!(soname[0].ends_with("[libweir.so.0]"), "{soname:?}");
    let flags = dynamic(&library(), "FLAGS_1");
    assert!(flags[0].contains("NODELETE"), "{flags:?}");
}

#[test]
fn it_has_no_more_constructors_than_an_empty_library() {
    if !has("readelf") || !has("cc") {
        testkit::skip!("binutils or a C compiler is not installed");
    }
    let dir = TempDir::new();
    let (source, empty) = (dir.join("empty.c"), dir.join("empty.so"));
    fs::write(&source, "").unwrap();
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&empty).arg(&source));
    // The one function there is the compiler's own, which frames each library.
    for tag in ["INIT_ARRAYSZ", "FINI_ARRAYSZ", "PREINIT_ARRAYSZ"] {
        let size = |library: &str| {
            let lines = dynamic(library, tag);
            lines.first().map(|line| line.split_once(") ").unwrap().1.trim().to_owned())
        };
        assert_eq!(size(&library()), size(empty.to_str().unwrap()), "{tag}");
    }
}
