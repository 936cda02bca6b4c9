//! The library as Cargo built it for these tests, and programs that use it.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use testkit::TempDir;

/// This crate's own folder.
pub(crate) const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// Where Cargo put `libweir.so` and `libweir.a`: beside this test.
pub(crate) fn built() -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.parent().unwrap().to_owned();
    assert!(folder.join("libweir.so").exists(), "no libweir.so in {}", folder.display());
    folder
}

/// A folder in which the shared library is found under the names that it has when it is installed.
pub(crate) fn installed(dir: &TempDir) -> PathBuf {
    let lib = dir.join("lib");
    std::fs::create_dir(&lib).unwrap();
    for name in ["libweir.so", "libweir.so.0"] {
        symlink(built().join("libweir.so"), lib.join(name)).unwrap();
    }
    lib
}

/// Whether there is such a command.
pub(crate) fn has(command: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).any(|folder| folder.join(command).exists())
}

/// Runs a command to its end and hands out what it wrote; a failure is the test's.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A command that finds the shared library in `lib`.
pub(crate) fn with_library(program: impl AsRef<Path>, lib: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env("LD_LIBRARY_PATH", lib);
    command
}
