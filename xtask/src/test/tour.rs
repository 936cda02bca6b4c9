//! The tour in README.md, walked as its reader would: one shell, default ports, an empty folder.
//!
//! The shell runs in a network namespace of its own, so that the default ports are free whatever else runs here, and with
//! process ids of its own, so that nothing it starts is left behind. The program `weir` of this build is first in its
//! PATH. A command that is `weir start` goes on in the background: its output is awaited, then the Admin API. A tour that
//! nowhere starts the gateway finds it running.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use testkit::{TempDir, netns};

use super::script::{self, Step};
use super::{Tally, skip};
use crate::process::Guard;
use crate::{packages, workspace};

/// How long a single command may take.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// Where the Admin API is unless told otherwise.
const ADMIN_PORT: u16 = 8001;

/// Walks the tour: each step is a test. After a step that fails the rest is left out, as it builds on it.
pub(super) fn run(weir: &Path) -> Result<Tally> {
    let readme = workspace::root().join("README.md");
    let text = fs::read_to_string(&readme).unwrap_or_default();
    let steps = script::parse(&text).with_context(|| readme.display().to_string())?;
    if steps.is_empty() {
        return Ok(skip("the tour", "README.md holds none"));
    }
    if let Err(reason) = netns::available() {
        return Ok(skip("the tour", reason));
    }
    if let Some(missing) = ["curl", "ip"].into_iter().find(|command| packages::find(command).is_none()) {
        return Ok(skip("the tour", &format!("{missing} is not installed")));
    }
    walk(weir, &steps)
}

fn walk(weir: &Path, steps: &[Step]) -> Result<Tally> {
    let mut session = Session::new(weir)?;
    if !steps.iter().any(starts_gateway) {
        let start = Step { line: 0, command: "weir start".into(), output: None, exit: 0 };
        session.run(0, &start)?;
    }
    for (index, step) in steps.iter().enumerate() {
        if let Err(error) = session.run(index + 1, step) {
            println!("README.md:{}: $ {}\n{error:#}", step.line, step.command);
            println!("{}", session.logs());
            return Ok(Tally { passed: index, failed: 1, skipped: steps.len() - index - 1 });
        }
    }
    Ok(Tally { passed: steps.len(), ..Tally::default() })
}

/// Whether a command is the gateway itself, which its reader would leave running in another terminal.
fn starts_gateway(step: &Step) -> bool {
    let command = step.command.trim_end_matches(['&', ' ']);
    command == "weir start" || command.starts_with("weir start ")
}

/// A shell that is given one command after another.
struct Session {
    shell: Guard,
    dir: TempDir,
}

impl Session {
    fn new(weir: &Path) -> Result<Self> {
        let dir = TempDir::new();
        fs::create_dir(dir.join("home"))?;
        fs::create_dir(dir.join("steps"))?;
        let mut command = netns::command("bash");
        command.args(["--norc", "--noprofile"]).current_dir(dir.join("home"));
        command.env("HOME", dir.join("home")).env("PATH", path_with(weir)?);
        // A reader's shell says nothing about Weir, and prints no colours into a file.
        let ours = |name: &str| name.starts_with("WEIR_") || name.starts_with("KONG_");
        for (name, _) in env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.env("NO_COLOR", "1").stdin(Stdio::piped());
        Ok(Self { shell: Guard::new(&mut command)?, dir })
    }

    /// Runs a step and holds its outcome against what is expected.
    fn run(&mut self, number: usize, step: &Step) -> Result<()> {
        let file = |kind: &str| self.dir.join(format!("steps/{number}.{kind}"));
        let (script, out, status) = (file("sh"), file("out"), file("status"));
        if starts_gateway(step) {
            let command = step.command.trim_end_matches(['&', ' ']);
            fs::write(&script, format!("{command} > {} 2>&1 &\n", out.display()))?;
            self.source(&script, None, &status)?;
            return self.await_gateway(step, &out, number);
        }
        fs::write(&script, format!("{}\n", step.command))?;
        self.source(&script, Some(&out), &status)?;
        let code: i32 = fs::read_to_string(&status)?.trim().parse()?;
        let output = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        if code != step.exit {
            bail!("exit status {code}, not {}:\n{output}", step.exit);
        }
        match &step.output {
            Some(expected) => script::compare(expected, &output).map_err(anyhow::Error::msg),
            None => Ok(()),
        }
    }

    /// Lets the shell read a script, so that what it sets stays set, and waits for its exit status.
    fn source(&mut self, script: &Path, out: Option<&Path>, status: &Path) -> Result<()> {
        let mut line = format!(". {} < /dev/null", script.display());
        if let Some(out) = out {
            write!(line, " > {} 2>&1", out.display())?;
        }
        // Renamed into place: it is whole when it is there.
        let status_name = status.display();
        self.shell
            .write(&format!("{line}\necho $? > {status_name}.new; mv {status_name}.new {status_name}\n"))?;
        self.until(|| Ok(status.exists().then_some(())), "did not end")
    }

    fn await_gateway(&mut self, step: &Step, out: &Path, number: usize) -> Result<()> {
        if let Some(expected) = &step.output {
            // More may follow what is expected: the gateway goes on.
            let expected = [expected.as_slice(), &["…".to_owned()]].concat();
            let shown = || script::compare(&expected, &fs::read_to_string(out).unwrap_or_default());
            let waited = self.until(|| Ok(shown().ok()), "did not say what was expected");
            if let (Err(error), Err(difference)) = (waited, shown()) {
                bail!("{error}; {difference}");
            }
        }
        let probe = self.dir.join(format!("steps/{number}.probe.sh"));
        fs::write(&probe, format!("(exec 3<>/dev/tcp/127.0.0.1/{ADMIN_PORT}) 2> /dev/null\n"))?;
        let end = Instant::now() + DEADLINE;
        loop {
            let status = self.dir.join(format!("steps/{number}.probe.status"));
            self.source(&probe, None, &status)?;
            if fs::read_to_string(&status)?.trim() == "0" {
                return Ok(());
            }
            fs::remove_file(&status)?;
            if Instant::now() >= end {
                bail!("nothing listens on port {ADMIN_PORT} after {DEADLINE:?}");
            }
            thread::sleep(POLL);
        }
    }

    fn until<T>(&mut self, mut done: impl FnMut() -> Result<Option<T>>, otherwise: &str) -> Result<T> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(value) = done()? {
                return Ok(value);
            }
            if let Some(status) = self.shell.ended()? {
                bail!("the shell ended, {status}");
            }
            if Instant::now() >= end {
                bail!("{otherwise} within {DEADLINE:?}");
            }
            thread::sleep(POLL);
        }
    }

    /// What each step printed, for the report of a failure.
    fn logs(&self) -> String {
        let mut files: Vec<_> = fs::read_dir(self.dir.join("steps"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path())
            .collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "out"));
        files.sort_by_key(|file| number_of(file));
        let show = |file: PathBuf| {
            let text =
                fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            format!("--- output of step {}:\n{}\n", number_of(&file), text.trim_end())
        };
        files.into_iter().map(show).collect()
    }
}

fn number_of(file: &Path) -> usize {
    file.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).unwrap_or(0)
}

fn path_with(weir: &Path) -> Result<std::ffi::OsString> {
    let folder = weir.parent().context("the program is in no folder")?;
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&path)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gateway's place is taken by a listener on the Admin API's port.
    fn stand_in() -> TempDir {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new();
        let program = "#!/bin/sh\necho 'weir is ready'\nexec python3 -m http.server --bind 127.0.0.1 8001\n";
        fs::write(dir.join("weir"), program).unwrap();
        fs::set_permissions(dir.join("weir"), fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    fn tally(tour: &str) -> Tally {
        let steps = script::parse(&format!("<!-- tour -->\n{tour}\n<!-- /tour -->")).unwrap();
        walk(&stand_in().join("weir"), &steps).unwrap()
    }

    fn cannot() -> Option<&'static str> {
        let missing = ["curl", "python3"].into_iter().any(|command| packages::find(command).is_none());
        if missing { Some("needs curl and python3") } else { netns::available().err() }
    }

    #[test]
    fn commands_share_a_shell_and_reach_the_gateway() {
        if let Some(reason) = cannot() {
            testkit::skip!("{reason}");
        }
        let tour = "```console\n$ weir start\nweir is ready\n```\n```sh\ncd /\nkey=$(echo 1; exit 0)\n```\n\
                    ```console\n$ pwd; echo $key\n/\n1\n$ curl -s -o /dev/null -w '%{http_code}\\n' 127.0.0.1:8001/\n200\n\
                    $ cat\n$ false # exit 1\n```";
        assert_eq!(tally(tour), Tally { passed: 6, failed: 0, skipped: 0 });
    }

    #[test]
    fn a_gateway_that_the_tour_does_not_start_is_there() {
        if let Some(reason) = cannot() {
            testkit::skip!("{reason}");
        }
        assert_eq!(tally("```sh\ncurl -sf 127.0.0.1:8001/\n```"), Tally { passed: 1, failed: 0, skipped: 0 });
    }

    #[test]
    fn the_first_difference_ends_the_tour() {
        if let Some(reason) = cannot() {
            testkit::skip!("{reason}");
        }
        let one_failed = |passed, skipped| Tally { passed, failed: 1, skipped };
        assert_eq!(tally("```console\n$ echo a\na\n$ echo b\nc\n$ echo d\n```"), one_failed(1, 1));
        assert_eq!(tally("```sh\nfalse\ntrue\n```"), one_failed(0, 0));
        assert_eq!(tally("```console\n$ exit 3\n$ true\n```"), one_failed(0, 1));
        assert_eq!(tally("```console\n$ if\n```"), one_failed(0, 0));
    }
}
