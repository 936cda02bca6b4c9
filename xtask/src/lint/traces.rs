//! The tree holds no traces of the machine it was written on: no paths of it, no hosts of package registries.

use anyhow::Result;

use super::source;

/// Beginnings of paths that exist on one machine. In pieces, so that this file does not hold them.
const PATHS: &[&str] =
    &[concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Hosts that package clients are configured with, not source files.
const HOSTS: &[&str] = &[
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("files.pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Where paths are those of any system: homes in images and on hosts of tests. The beginning of a path from the tree's root.
const OF_ANY_SYSTEM: &[&str] = &[
    "crates/weir-seed/src/lint/",
    "crates/weir-seed/tests/it/lint/",
    "crates/weir/tests/ansible/",
    "crates/weir/tests/it/seed_ansible/",
    "crates/weir/tests/it/seed_lint.rs",
    "docs/seeding/lint.md",
];

/// Files that tools write, with what they have to hold.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock"];

/// Every line with a trace.
pub(super) fn faults() -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in source::files()?.iter().filter(|file| !is_written_by_tool(file)) {
        let Some(text) = source::read(file)? else { continue };
        let paths = if OF_ANY_SYSTEM.iter().any(|place| file.starts_with(place)) { &[] } else { PATHS };
        for (index, line) in text.lines().enumerate() {
            if let Some(trace) = trace(line, paths) {
                faults.push(format!("{file}:{}: {trace}", index + 1));
            }
        }
    }
    Ok(faults)
}

fn is_written_by_tool(file: &str) -> bool {
    WRITTEN_BY_TOOLS.iter().any(|name| file == *name || file.ends_with(&format!("/{name}")))
}

fn trace(line: &str, paths: &[&'static str]) -> Option<&'static str> {
    let begins_path =
        |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}~/)*".contains(c));
    let path = |path: &&&str| line.match_indices(**path).any(|(at, _)| begins_path(at));
    let host = |host: &&&str| line.contains(**host);
    paths.iter().find(path).or_else(|| HOSTS.iter().find(host)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_found() {
        for line in [
            concat!("see /", "work/shared"),
            concat!("\"/", "root/.cargo\""),
            concat!("(/", "home/me/x)"),
            concat!("https://pypi", ".org/simple"),
        ] {
            assert!(trace(line, PATHS).is_some(), "{line}");
        }
    }

    #[test]
    fn other_paths_are_not_traces() {
        for line in
            ["target/work/x", "./work/", "http://a.b/work/", "/var/lib/weir", "{dir}/root/", "the work/life"]
        {
            assert_eq!(trace(line, PATHS), None, "{line}");
        }
    }
}
