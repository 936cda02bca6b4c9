//! Hooks: programs that make a clone a machine of its own. A new machine ID, new host keys, restarted services.
//!
//! The executable files of a folder, in the order of their names (letters, digits, `-`, `_`, `.`; not the leftovers of package
//! managers and editors), each run once for a generation, one after the other, with `WEIR_GENERATION` and
//! `WEIR_CLONE_SIGNAL` in their environment. They belong to root and nobody else may write them, or the folder, because
//! they run as root. One that fails or takes longer than [`PATIENCE`] stops none of the others.
//!
//! Once: the number of the last generation whose hooks were run is kept beside the published one, and written before the
//! first hook runs, so that a hook that brings the machine down is not run again and again.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::guard::replace;
use crate::log;

/// What a boot begins with.
pub(crate) const FIRST: u64 = 1;
/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs the hooks of a generation unless they were run before. Answers how many did not succeed.
///
/// # Errors
/// That the folder may not be used, or that it cannot be noted down that the hooks ran.
pub(crate) fn run_once(dir: &Path, done: &Path, generation: u64, signal: &str) -> io::Result<usize> {
    // The first generation of a boot is no clone, whatever became of the note about it on a full disk.
    if generation <= FIRST {
        return Ok(0);
    }
    // Two that were started for two clones in a breath take turns.
    let turn =
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(done.with_extension("lock"))?;
    turn.lock()?;
    if last_done(done).is_some_and(|last| last >= generation) {
        log::info!("the hooks of generation {generation} have been run");
        return Ok(0);
    }
    let hooks = hooks(dir)?;
    note(done, generation)?;
    let failed = hooks.iter().filter(|hook| !run(hook, generation, signal, PATIENCE)).count();
    log::notice!("generation {generation}: {} hooks run, {failed} failed", hooks.len());
    Ok(failed)
}

/// The last generation whose hooks were run.
pub(crate) fn last_done(done: &Path) -> Option<u64> {
    fs::read_to_string(done).ok().and_then(|text| text.trim().parse().ok())
}

/// Notes down that the hooks of a generation need not be run any more. Whole or not at all: a torn note would run them again.
///
/// # Errors
/// That it cannot be written.
pub(crate) fn note(done: &Path, generation: u64) -> io::Result<()> {
    replace(done, format!("{generation}\n").as_bytes(), 0o644)
}

/// The hooks of a folder, in order.
fn hooks(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => trusted(&other?, "the folder")?,
    }
    let mut hooks = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_none_or(|name| !is_name(name)) {
            continue;
        }
        let meta = fs::metadata(&path)?;
        if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
            continue;
        }
        match trusted(&meta, "the hook") {
            Ok(()) => hooks.push(path),
            Err(why) => log::warning!("{} is not run: {why}", path.display()),
        }
    }
    hooks.sort();
    Ok(hooks)
}

/// Nothing that others than root (or whoever runs this) can write runs with root's rights.
fn trusted(meta: &fs::Metadata, what: &str) -> io::Result<()> {
    let owner = rustix::process::geteuid().as_raw();
    let why = if meta.uid() != 0 && meta.uid() != owner {
        "belongs to another user than root"
    } else if meta.permissions().mode() & 0o022 != 0 {
        "can be written by others"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{what} {why}")))
}

/// No hidden files, no backups: those have characters or ends of their own.
fn is_name(name: &str) -> bool {
    let leftover = [".dpkg-old", ".dpkg-new", ".dpkg-dist", ".rpmsave", ".rpmnew", ".example", ".bak"];
    !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !leftover.iter().any(|end| name.ends_with(end))
}

/// Whether a hook succeeded.
fn run(hook: &Path, generation: u64, signal: &str, patience: Duration) -> bool {
    let started = Command::new(hook)
        .env("WEIR_GENERATION", generation.to_string())
        .env("WEIR_CLONE_SIGNAL", signal)
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    let ended = started.and_then(|child| wait(child, patience));
    let why = match ended {
        Ok(Some(status)) if status.success() => {
            log::info!("{} done", hook.display());
            return true;
        }
        Ok(Some(status)) => status.to_string(),
        Ok(None) => format!("not done after {} s, killed", patience.as_secs()),
        Err(error) => error.to_string(),
    };
    log::error!("{}: {why}", hook.display());
    false
}

/// Waits, and then no longer: the hook and what it started are killed.
fn wait(mut child: Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            let group = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A child that another test starts holds the files that are just being written, and then they cannot be run.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn hook(dir: &Path, name: &str, mode: u32, script: &str) {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_hook_runs_once_for_a_generation_in_order_whatever_others_do() {
        let _one = ONE_AT_A_TIME.lock();
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (out, done) = (state.path().join("out"), state.path().join("hooks-done"));
        let say = format!("echo $(basename $0) $WEIR_GENERATION $WEIR_CLONE_SIGNAL >> {}", out.display());
        hook(dir.path(), "20-second", 0o755, &say);
        hook(dir.path(), "10-first", 0o700, &format!("{say}; exit 3"));
        hook(dir.path(), "30-not-executable", 0o644, &say);
        hook(dir.path(), "40-writable", 0o777, &say);
        hook(dir.path(), "50.example", 0o755, &say);
        hook(dir.path(), ".60-hidden", 0o755, &say);
        assert_eq!(run_once(dir.path(), &done, 2, "vmgenid").unwrap(), 1);
        let all = "10-first 2 vmgenid\n20-second 2 vmgenid\n";
        assert_eq!(fs::read_to_string(&out).unwrap(), all);
        assert_eq!(run_once(dir.path(), &done, 2, "vmgenid").unwrap(), 0);
        assert_eq!(fs::read_to_string(&out).unwrap(), all);
        assert_eq!(run_once(dir.path(), &done, 3, "word").unwrap(), 1);
        assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
    }

    #[test]
    fn the_first_generation_is_no_clone() {
        let _one = ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().unwrap();
        let ran = dir.path().join("ran");
        hook(dir.path(), "10-say", 0o755, &format!("touch {}", ran.display()));
        // As a full disk leaves it.
        let done = dir.path().join("done");
        fs::write(&done, "").unwrap();
        assert_eq!(run_once(dir.path(), &done, FIRST, "").unwrap(), 0);
        assert!(!ran.exists());
        assert_eq!(run_once(dir.path(), &done, 2, "word").unwrap(), 0);
        assert!(ran.exists() && last_done(&done) == Some(2));
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_used_and_one_that_is_missing_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let done = dir.path().join("done");
        assert_eq!(run_once(&dir.path().join("none"), &done, 2, "word").unwrap(), 0);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(run_once(dir.path(), &done, 3, "word").is_err());
    }

    #[test]
    fn a_hook_that_does_not_end_is_killed_with_what_it_started() {
        let _one = ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().unwrap();
        hook(dir.path(), "slow", 0o755, "sleep 1000 & wait");
        assert!(!run(&dir.path().join("slow"), 2, "word", Duration::from_millis(50)));
    }
}
