//! Draws and tokens in LuaJIT, beside what programs for OpenResty do else.
//!
//! The program that measures is `bench/draws.lua`; it prints what the one of [`super::randomness`] prints, and ratios are
//! taken in the same way, within rounds.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::Result;

use super::randomness::{Way, best, parse, ratio};
use super::{Args, report};
use crate::{install, packages, process, workspace};

/// Milliseconds that each round of each way lasts.
const ROUND_MS: u32 = 3;
/// Rounds for one of the proxies' rounds: these last milliseconds.
const ROUNDS: u32 = 40;

/// The parts of the table: a group and its title. The first way of a group is ours.
const PARTS: [(&str, &str); 3] =
    [("bytes", "16 bytes"), ("token", "A token of 32 letters and digits"), ("uuid", "A UUID of version 4")];

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_LUA)?;
    let library = install::build("dist")?.join("libweir.so");
    // Under the name that the module asks for, so that it is this one whatever is installed.
    let folder = workspace::target()?.join("bench/lua");
    fs::create_dir_all(&folder)?;
    let link = folder.join("libweir.so.0");
    install::remove(&link)?;
    symlink(library, link)?;
    let rounds = (args.rounds * ROUNDS).to_string();
    let mut program = Command::new("taskset");
    program.args(["-c", &args.cores.proxy.to_string(), "luajit"]);
    program.arg(workspace::root().join("bench/draws.lua")).args([&rounds, &ROUND_MS.to_string()]);
    program.env("LD_LIBRARY_PATH", &folder);
    program.env("LUA_PATH", workspace::root().join("crates/weir-ffi/lua/?.lua"));
    let ways = parse(&process::read(&mut program)?)?;
    let text = table(&ways);
    let conditions = format!(
        "{}; LuaJIT, CPU time on one core, one run, medians of {rounds} interleaved rounds.",
        report::machine()?
    );
    println!("\n{text}\n{conditions}");
    match &args.write {
        Some(file) => report::put(file, "lua", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

fn table(ways: &[Way]) -> String {
    let mut rows = Vec::new();
    for (group, title) in PARTS {
        let ways: Vec<_> = ways.iter().filter(|way| way.group == group).collect();
        rows.push(vec![format!("**{title}**"), String::new(), String::new(), String::new()]);
        rows.extend(ways.iter().map(|way| {
            let to_ours = ways.first().map_or(f64::NAN, |ours| ratio(way, ours));
            vec![
                way.name.clone(),
                format!("{:.0} ns", report::median(&way.rounds_ns)),
                format!("{:.0} ns", best(way)),
                format!("{to_ours:.2}×"),
            ]
        }));
    }
    report::table(&["", "median", "best", "to ours"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_held_against_the_first_of_their_group() {
        let said =
            "bytes|ours|16 100 200\nbytes|theirs|16 300 600\ntoken|ours|32 50 50\ntoken|theirs|32 25 25";
        let text = table(&parse(said).unwrap());
        let rows: Vec<_> = text.lines().filter(|line| line.contains("theirs")).collect();
        assert!(
            rows[0].contains("3.00×") && rows[0].contains("450 ns") && rows[0].contains("300 ns"),
            "{text}"
        );
        assert!(rows[1].contains("0.50×"), "{text}");
    }
}
