//! Where things are, and what Cargo knows about them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    // The manifest of this very crate is one level down.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where builds go, as Cargo decides it: the environment and its configuration may move it.
pub(crate) fn target() -> Result<PathBuf> {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    if let Some(known) = TARGET.get() {
        return Ok(known.clone());
    }
    let metadata = metadata(&["--no-deps"])?;
    let path = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(TARGET.get_or_init(|| path.into()).clone())
}

/// The Cargo that runs us, in the workspace's root.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// What `cargo metadata` says.
pub(crate) fn metadata(options: &[&str]) -> Result<Value> {
    let output = cargo(["metadata", "--format-version", "1"]).args(options).output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Builds the gateway's program, with these options of `cargo build`, and tells where it is.
pub(crate) fn build_weir(options: &[&str]) -> Result<PathBuf> {
    build(options, "weir", "bin")
}

/// Builds an example with these options, and says where it is.
pub(crate) fn build_example(options: &[&str], name: &str) -> Result<PathBuf> {
    let options: Vec<&str> = options.iter().copied().chain(["--example", name]).collect();
    build(&options, name, "example")
}

fn build(options: &[&str], name: &str, kind: &str) -> Result<PathBuf> {
    let mut command = cargo(["build", "--quiet", "--message-format", "json-render-diagnostics"]);
    let output = command.args(options).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("cargo build {}: {}", options.join(" "), output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let found = messages.lines().find_map(|message| executable(message, name, kind));
    found.with_context(|| format!("the build made no program named {name}"))
}

/// The program that a message of the build is about, if it is the one of this name and kind.
fn executable(message: &str, name: &str, kind: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = &message["target"];
    let is_it = target["name"] == name && target["kind"] == serde_json::json!([kind]);
    let is_program = message["profile"]["test"] == false;
    if is_it && is_program { Some(message["executable"].as_str()?.into()) } else { None }
}

/// Whether this runs in continuous integration, where leaving something out is a failure.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_from_its_tests() {
        let message = |kind: &str, test: bool| {
            let target = serde_json::json!({"name": "weir", "kind": [kind]});
            serde_json::json!({"target": target, "profile": {"test": test}, "executable": "/t/weir"})
                .to_string()
        };
        assert_eq!(executable(&message("bin", false), "weir", "bin"), Some("/t/weir".into()));
        assert_eq!(executable(&message("bin", true), "weir", "bin"), None);
        assert_eq!(executable(&message("lib", false), "weir", "bin"), None);
        assert_eq!(executable("not json", "weir", "bin"), None);
    }
}
