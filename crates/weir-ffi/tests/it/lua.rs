//! The module for LuaJIT, in LuaJIT (`tests/lua`).

use std::path::Path;
use std::process::Command;

use testkit::TempDir;

use crate::c::{Linked, build};
use crate::support::{CRATE, has, installed, run, with_library};

/// A program that runs scripts, which find the module here and the library in `lib`.
fn lua(program: impl AsRef<Path>, lib: &Path) -> Command {
    let mut command = with_library(program, lib);
    command.env("LUA_PATH", format!("{CRATE}/lua/?.lua;;")).env_remove("LUA_CPATH");
    command
}

#[test]
fn the_module_keeps_its_promises() {
    if !has("luajit") {
        testkit::skip!("luajit is not installed");
    }
    let dir = TempDir::new();
    let lib = installed(&dir);
    let script = format!("{CRATE}/tests/lua/module.lua");
    // As it is compiled, and as it is interpreted.
    for option in ["-jon", "-joff"] {
        let mut luajit = lua("luajit", &lib);
        assert_eq!(run(luajit.arg(option).arg(&script)), "done\n", "{option}");
    }
}

#[test]
fn what_the_kernel_refuses_is_nil_and_a_reason() {
    if !has("luajit") || !has("cc") {
        testkit::skip!("luajit or a C compiler is not installed");
    }
    let dir = TempDir::new();
    let lib = installed(&dir);
    let refused = build(&dir, &lib, "refused", Linked::Shared);
    for (number, reason) in [(libc::EAGAIN, "not ready"), (libc::EPERM, "may not call")] {
        let mut luajit = lua(&refused, &lib);
        luajit.arg(number.to_string()).arg("luajit").arg(format!("{CRATE}/tests/lua/refused.lua"));
        assert_eq!(run(luajit.arg(reason)), "done\n", "{number}");
    }
}

#[test]
fn the_library_is_found_by_cpath_and_missed_aloud() {
    if !has("luajit") {
        testkit::skip!("luajit is not installed");
    }
    let dir = TempDir::new();
    let lib = installed(&dir);
    let mut luajit = lua("luajit", Path::new("/nowhere"));
    luajit.env("LUA_CPATH", format!("{}/?.so", lib.display()));
    assert_eq!(run(luajit.args(["-e", "print(#require('resty.weir').key())"])), "32\n");
    let mut luajit = lua("luajit", Path::new("/nowhere"));
    luajit.env("LUA_CPATH", format!("{}/?.so", dir.join("empty").display()));
    let output = luajit.args(["-e", "require('resty.weir')"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("package.cpath has no libweir.so"), "{said}");
}
