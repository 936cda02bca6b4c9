//! Running other programs: heard line by line, bounded in time, and never left behind.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Which of its outputs a program wrote a line to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// Runs a command, passing its output on as it comes and handing each line to `listen`. The command is killed at the
/// deadline.
pub(crate) fn listen(
    command: &mut Command,
    deadline: Duration,
    mut listen: impl FnMut(&str),
) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = Guard::new(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.process.stdout.take().context("a pipe")?;
    let stderr = child.process.stderr.take().context("a pipe")?;
    pass_on(stdout, Output::Stdout, sender.clone());
    pass_on(stderr, Output::Stderr, sender);
    let end = Instant::now() + deadline;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(_) if left.is_zero() => bail!("{name} was still running after {deadline:?}"),
            Ok((output, line)) => {
                match output {
                    Output::Stdout => println!("{line}"),
                    Output::Stderr => eprintln!("{line}"),
                }
                listen(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("{name} was still running after {deadline:?}"),
        }
    }
    Ok(child.process.wait()?)
}

fn pass_on(from: impl std::io::Read + Send + 'static, output: Output, to: mpsc::Sender<(Output, String)>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            if to.send((output, text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// Runs a command to its end with our own output; an error when it fails.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| describe(command))?;
    if !status.success() {
        bail!("{}: {status}", describe(command));
    }
    Ok(())
}

/// Runs a command quietly and hands out what it wrote to standard output; an error with its standard error when it fails.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| describe(command))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {}\n{}{}", describe(command), output.status, stderr.trim(), stdout.trim());
    }
    Ok(stdout)
}

/// Runs a command to its end without a word of ours. The command is killed at the deadline.
pub(crate) fn wait(command: &mut Command, deadline: Duration) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut guard = Guard::new(command.stdin(Stdio::null()))?;
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = guard.ended()? {
            return Ok(status);
        }
        if Instant::now() >= end {
            bail!("{name} was still running after {deadline:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn describe(command: &Command) -> String {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    format!("{} {}", command.get_program().to_string_lossy(), words.join(" "))
}

/// A program in the background, ended with everything that it started when this is dropped.
pub(crate) struct Guard {
    process: Child,
}

impl Guard {
    /// Starts it.
    pub(crate) fn new(command: &mut Command) -> Result<Self> {
        let process = command.spawn().with_context(|| describe(command))?;
        Ok(Self { process })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its exit status, once it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Its standard input, when that is a pipe.
    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        let stdin = self.process.stdin.as_mut().context("no pipe to standard input")?;
        stdin.write_all(text.as_bytes())?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        const GRACE: Duration = Duration::from_secs(3);
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let tree = descendants(self.pid());
        // A shell that reads its commands from us ends with them.
        drop(self.process.stdin.take());
        signal("TERM", &[self.pid()]);
        until(GRACE, || !matches!(self.process.try_wait(), Ok(None)));
        // Not waited for: workers whose master has ended, and programs that ignore SIGTERM.
        signal("KILL", &tree.iter().copied().filter(|pid| is_running(*pid)).collect::<Vec<_>>());
        let _ = self.process.wait();
        until(GRACE, || !tree.iter().any(|pid| is_running(*pid)));
    }
}

/// Waits until something is so, or time is up.
fn until(limit: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !done() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by the shell's `kill`: std has no call for it.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    if !pids.is_empty() {
        // It fails when a process has ended meanwhile, which is what was wanted.
        let _ = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$@\"", name])
            .args(pids.iter().map(u32::to_string))
            .stderr(Stdio::null())
            .status();
    }
}

/// Whether a process is there and not a zombie, which only waits for its parent to look.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_name, rest)| !rest.starts_with(['Z', 'X']))
}

/// A process and everything that it started, as far as it is still related.
pub(crate) fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().parse::<u32>();
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let (Ok(pid), Ok(stat)) = (pid, stat)
            && let Some(parent) = stat_field(&stat, 4)
        {
            parents.push((pid, parent as u32));
        }
    }
    let mut tree = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(
            parents.iter().filter(|(pid, of)| *of == parent && seen.insert(*pid)).map(|(pid, _)| *pid),
        );
        next += 1;
    }
    tree
}

/// A numeric field of `/proc/PID/stat`, counted from 1 as in proc(5). The name in field 2 may hold blanks and brackets.
pub(crate) fn stat_field(stat: &str, field: usize) -> Option<u64> {
    let after_name = stat.rsplit_once(") ")?.1;
    after_name.split(' ').nth(field.checked_sub(3)?)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_fields_survive_odd_names() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 31 17 5 3 20 0 1 0 100 0 0";
        assert_eq!(stat_field(stat, 4), Some(7));
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (Some(31), Some(17)));
        assert_eq!(stat_field(stat, 99), None);
    }

    #[test]
    fn output_is_heard_and_the_status_told() {
        let mut heard = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let status =
            listen(&mut command, Duration::from_secs(20), |line| heard.push(line.to_owned())).unwrap();
        heard.sort();
        assert_eq!((heard, status.code()), (vec!["one".to_owned(), "two".to_owned()], Some(3)));
    }

    #[test]
    fn what_runs_too_long_is_ended_with_its_children() {
        let dir = testkit::TempDir::new();
        let pid_file = dir.join("pid");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("sleep 600 & echo $! > {}; wait", pid_file.display())]);
        assert!(listen(&mut command, Duration::from_secs(2), |_| {}).is_err());
        let pid: u32 = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        assert!(!is_running(pid));
    }
}
