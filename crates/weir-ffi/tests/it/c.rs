//! Programs in C (`tests/c`): built against the header with every warning an error, linked with the shared and with the
//! static library, and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::TempDir;

use crate::support::{CRATE, built, has, installed, run, with_library};

const STRICT: [&str; 6] = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-pthread"];

/// How a program is linked with libweir.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Linked {
    Shared,
    Static,
    /// It loads the library itself.
    Not,
}

/// A compiler and the language it is to take a program for.
fn compiler(command: &str, standard: &str) -> Command {
    let mut compiler = Command::new(command);
    compiler.arg(standard).args(STRICT).arg("-I").arg(format!("{CRATE}/include"));
    compiler
}

/// Builds a program, and tells what runs it.
pub(crate) fn build(dir: &TempDir, lib: &Path, name: &str, linked: Linked) -> PathBuf {
    let program = dir.join(format!("{name}-{linked:?}"));
    // What the static library needs of POSIX is there under gnu99; the header itself needs no more than C.
    let mut compiler = compiler("cc", if name == "interface" { "-std=c99" } else { "-std=gnu99" });
    compiler.arg("-o").arg(&program).arg(format!("{CRATE}/tests/c/{name}.c"));
    match linked {
        Linked::Shared => compiler.arg("-L").arg(lib).arg("-lweir"),
        Linked::Static => compiler.arg(built().join("libweir.a")).arg("-lm"),
        Linked::Not => compiler.arg("-ldl"),
    };
    run(&mut compiler);
    program
}

/// Builds and runs a program in both ways.
#[track_caller]
fn passes(name: &str, arguments: &[&str]) {
    let dir = TempDir::new();
    let lib = installed(&dir);
    for linked in [Linked::Shared, Linked::Static] {
        let program = build(&dir, &lib, name, linked);
        assert_eq!(run(with_library(&program, &lib).args(arguments)), "done\n", "{name} {linked:?}");
    }
}

macro_rules! needs_cc {
    () => {
        if !has("cc") {
            testkit::skip!("no C compiler is installed");
        }
    };
}

#[test]
fn each_function_keeps_its_promise_and_refuses_bad_arguments() {
    needs_cc!();
    passes("interface", &[]);
}

#[test]
fn forks_and_their_threads_never_draw_the_same() {
    needs_cc!();
    passes("forks", &[]);
}

#[test]
fn no_function_allocates() {
    needs_cc!();
    passes("allocations", &[]);
}

#[test]
fn what_the_kernel_refuses_is_an_error_and_zeros() {
    needs_cc!();
    for number in [libc::EAGAIN, libc::EPERM, libc::ENOSYS, libc::EIO] {
        passes("refused", &[&number.to_string()]);
    }
}

#[test]
fn a_library_that_was_closed_still_serves_the_threads_that_drew() {
    needs_cc!();
    let dir = TempDir::new();
    let lib = installed(&dir);
    let program = build(&dir, &lib, "loaded", Linked::Not);
    assert_eq!(run(Command::new(program).arg(lib.join("libweir.so.0"))), "done\n");
}

#[test]
fn the_header_is_c89_and_c_plus_plus() {
    needs_cc!();
    let dir = TempDir::new();
    let source = dir.join("header.c");
    fs::write(&source, "#include \"weir.h\"\n#include \"weir.h\"\nint main(void) { return weir_ready(); }\n")
        .unwrap();
    run(compiler("cc", "-std=c89").args(["-fsyntax-only", "-Wstrict-prototypes"]).arg(&source));
    if !has("c++") {
        testkit::skip!("no C++ compiler is installed");
    }
    let (lib, program) = (installed(&dir), dir.join("interface-c++"));
    run(compiler("c++", "-std=c++11")
        .args(["-x", "c++"])
        .arg(format!("{CRATE}/tests/c/interface.c"))
        .args(["-x", "none", "-lweir", "-L"])
        .arg(&lib)
        .arg("-o")
        .arg(&program));
    assert_eq!(run(&mut with_library(&program, &lib)), "done\n");
}

#[test]
fn the_example_of_the_manual_works() {
    needs_cc!();
    let dir = TempDir::new();
    let (lib, source, program) = (installed(&dir), dir.join("example.c"), dir.join("example"));
    let manual = fs::read_to_string(format!("{CRATE}/../../docs/c-library.md")).unwrap();
    fs::write(&source, manual.split("```").find_map(|block| block.strip_prefix("c\n")).unwrap()).unwrap();
    run(compiler("cc", "-std=c99").arg(&source).args(["-lweir", "-L"]).arg(&lib).arg("-o").arg(&program));
    let said = run(&mut with_library(&program, &lib));
    let lengths: Vec<_> = said.split_whitespace().map(str::len).collect();
    assert_eq!(lengths, [32, 36, 6], "{said}");
}

#[test]
fn memory_is_used_as_it_may_be() {
    needs_cc!();
    if !has("valgrind") {
        testkit::skip!("valgrind is not installed");
    }
    let dir = TempDir::new();
    let lib = installed(&dir);
    for name in ["interface", "forks"] {
        let program = build(&dir, &lib, name, Linked::Shared);
        let mut valgrind = with_library("valgrind", &lib);
        valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]).arg(&program);
        assert_eq!(run(&mut valgrind), "done\n", "{name}");
    }
}
