//! A whole recorded host, whose every file says what the input wants: reading it, judging it and printing the report.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, fs, process};

use libfuzzer_sys::fuzz_target;
use weir_doctor::{Style, Verdict, examine, text};
use weir_kernel::host::{Host, RECORD, Root};

/// A folder with nothing in it but the record.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = env::temp_dir().join(format!("weir-fuzz-doctor-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for the record");
        folder
    })
}

fuzz_target!(|record: &[u8]| {
    fs::write(folder().join(RECORD.trim_start_matches('/')), record).expect("a place for the record");
    let Ok(root) = Root::at(folder()) else { return };
    let report = examine(&Host::read(&root));
    assert!(report.exit_status() <= 3);
    assert!(report.findings().all(|finding| finding.verdict != Verdict::Unknown));
    assert!(text(&report, Style::Plain).chars().all(|c| c == '\n' || !c.is_control()));
    for command in report.findings().filter_map(|finding| finding.command.as_ref()) {
        assert!(!command.contains('\n'));
    }
});
