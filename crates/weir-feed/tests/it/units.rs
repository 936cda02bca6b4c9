//! The units: what systemd itself says of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the unit files.
pub(crate) fn folder() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap().join("packaging/weir-feed/systemd")
}

/// The units as they are installed, beside a program of that name.
fn installed() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(env!("CARGO_BIN_EXE_weir-feed"), dir.path().join("weir-feed")).unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        let path = dir.path().join(entry.file_name());
        fs::write(&path, text.replace("@SBINDIR@", dir.path().to_str().unwrap())).unwrap();
        units.push(path);
    }
    assert_eq!(units.len(), 3);
    (dir, units)
}

fn analyze() -> Option<Command> {
    let mut command = Command::new("systemd-analyze");
    command.arg("--version").output().ok()?;
    Some(Command::new("systemd-analyze"))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let Some(mut command) = analyze() else { testkit::skip!("there is no systemd-analyze") };
    let (_dir, units) = installed();
    let output = command.args(["verify", "--man=no"]).args(units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_daemon_is_exposed_to_little() {
    let Some(mut command) = analyze() else { testkit::skip!("there is no systemd-analyze") };
    let (_dir, units) = installed();
    let unit = units.iter().find(|unit| unit.ends_with("weir-feed.service")).unwrap();
    // In tenths; systemd calls what is below 2.5 safe enough, and most services of a distribution have 9 and more.
    let arguments = ["security", "--offline=true", "--threshold=25", "--no-pager"];
    let output = command.args(arguments).arg(unit).output().unwrap();
    if String::from_utf8_lossy(&output.stderr).contains("nknown option") {
        testkit::skip!("this systemd-analyze looks at running units alone");
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
