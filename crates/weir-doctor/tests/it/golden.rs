//! Each recorded host gives exactly the report that was agreed on, for machines and for people.
//!
//! `BLESS=1 cargo test -p weir-doctor` writes the reports anew; read the difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

use weir_doctor::{Style, examine, text};
use weir_kernel::host::{Host, Root};

/// Every recorded tree and what the program's status is to be.
const HOSTS: &[(&str, u8)] = &[
    ("bare-metal", 0),
    ("kvm-virtio-rng", 0),
    ("arm-board", 0),
    ("azure-haveged", 0),
    ("container", 0),
    ("xen-unprivileged", 0),
    ("kvm-no-virtio-rng", 1),
    ("old-drained", 1),
    ("cloned-vm", 1),
    ("baked-image", 1),
    ("not-ready", 2),
    ("keys-too-early", 2),
];

fn trees() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../weir-kernel/testdata/hosts")
}

fn compare(file: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden").join(file);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{file} differs; it is now\n{actual}");
}

#[test]
fn every_recorded_host_has_its_report() {
    let mut names: Vec<String> = fs::read_dir(trees())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut listed: Vec<&str> = HOSTS.iter().map(|(name, _)| *name).collect();
    names.sort();
    listed.sort_unstable();
    assert_eq!(names, listed);
    for (name, status) in HOSTS {
        let report = examine(&Host::read(&Root::at(&trees().join(name)).unwrap()));
        compare(&format!("{name}.json"), &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
        compare(&format!("{name}.txt"), &text(&report, Style::Plain));
        assert_eq!(report.exit_status(), *status, "{name}");
    }
}
