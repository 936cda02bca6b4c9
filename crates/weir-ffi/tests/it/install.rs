//! `cargo xtask install-ffi`: what it installs works for those who know no more than its folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::TempDir;

use crate::support::{CRATE, built, has, run, with_library};

/// Installs for `prefix`, under `destdir`, what was built for these tests.
fn install(prefix: &str, destdir: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--locked", "--package", "xtask", "--", "install-ffi", "--prefix", prefix]);
    cargo.arg("--destdir").arg(destdir).arg("--from").arg(built());
    run(cargo.current_dir(Path::new(CRATE).join("../..")));
}

#[test]
fn programs_are_built_and_scripts_find_what_is_installed() {
    if !has("cc") || !has("objcopy") || !has("pkg-config") {
        testkit::skip!("a C compiler, binutils or pkg-config is not installed");
    }
    let dir = TempDir::new();
    // Twice: an installation replaces the one before it.
    for _ in 0..2 {
        install("/opt/weir", dir.path());
    }
    let lib = dir.join("opt/weir/lib");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(fs::read_link(lib.join("libweir.so")).unwrap(), Path::new("libweir.so.0"));
    assert_eq!(
        fs::read_link(lib.join("libweir.so.0")).unwrap().to_str(),
        Some(&*format!("libweir.so.{version}"))
    );

    let pkg_config = |options: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_LIBDIR", lib.join("pkgconfig")).args(options);
        // As for a package that is not where it will be.
        let prefix = format!("--define-variable=prefix={}", dir.join("opt/weir").display());
        run(command.arg(prefix).arg("weir")).trim().to_owned()
    };
    assert_eq!(pkg_config(&["--modversion"]), version);
    let source = format!("{CRATE}/tests/c/interface.c");
    for (options, more) in
        [(&["--cflags", "--libs"][..], None), (&["--static", "--cflags", "--libs"], Some("-static"))]
    {
        let program = dir.join("program");
        let flags = pkg_config(options);
        run(Command::new("cc")
            .args(more)
            .args(["-o"])
            .arg(&program)
            .arg(&source)
            .args(flags.split_whitespace()));
        assert_eq!(run(&mut with_library(&program, &lib)), "done\n", "{options:?}");
    }

    if !has("luajit") {
        testkit::skip!("luajit is not installed");
    }
    let luadir = pkg_config(&["--variable=luadir"]);
    let mut luajit = with_library("luajit", &lib);
    luajit.env("LUA_PATH", format!("{luadir}/?.lua")).args(["-e", "print(#require('resty.weir').key())"]);
    assert_eq!(run(&mut luajit), "32\n");
}

#[test]
fn the_static_library_has_no_name_but_its_own_and_no_constructor() {
    if !has("cc") || !has("objcopy") {
        testkit::skip!("a C compiler or binutils is not installed");
    }
    let dir = TempDir::new();
    install("/opt/weir", dir.path());
    let archive = dir.join("opt/weir/lib/libweir.a");
    let symbols = run(Command::new("nm").args(["-g", "--defined-only"]).arg(&archive));
    let names: Vec<_> =
        symbols.lines().filter_map(|line| line.split_once(" T ")).map(|(_, name)| name).collect();
    let others: Vec<_> =
        symbols.lines().filter(|line| line.contains(' ') && !line.contains(" T weir_")).collect();
    assert!(names.contains(&"weir_key") && others.is_empty(), "{others:?}");
    let sections = run(Command::new("readelf").arg("-SW").arg(&archive));
    assert!(!sections.contains(".init_array") && !sections.contains(".ctors"), "{sections}");
}
