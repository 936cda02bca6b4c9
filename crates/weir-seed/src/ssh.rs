//! A command on other hosts, through the system's own `ssh`: its configuration, agent, jump hosts and known hosts are those
//! that its user has, and so is its cryptography.
//!
//! What goes in goes by standard input. What comes back is bounded in length and time, and an error message is made fit to
//! be shown: the far end may be anybody. Nothing is ever asked on the terminal, because many run at once.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// A host as its user names it: `[user@]host[:port]`, `[user@][address]:port`, or an alias of ssh's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    text: String,
    user: Option<String>,
    name: String,
    port: Option<u16>,
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no host: {why}; it should be [user@]host[:port]")]
pub struct HostError {
    text: String,
    why: &'static str,
}

impl Host {
    /// The name or address, without user and port.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user, if one was named.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The port, if one was named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Host {
    /// As it was named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let wrong = |why| HostError { text: text.chars().take(300).collect(), why };
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("it has a blank in it"));
        }
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (name, port) = name_and_port(place).map_err(wrong)?;
        for part in [user.unwrap_or("user"), name] {
            if part.is_empty() {
                return Err(wrong("a part of it is empty"));
            }
            if part.starts_with('-') {
                return Err(wrong("it looks like an option"));
            }
        }
        let port = port.map(|port| port.parse().map_err(|_| wrong("the port is no number"))).transpose()?;
        if port == Some(0) {
            return Err(wrong("there is no port 0"));
        }
        Ok(Self { text: text.to_owned(), user: user.map(str::to_owned), name: name.to_owned(), port })
    }
}

/// An address in brackets, a name with a port, or, with more than one colon, an IPv6 address as it is.
fn name_and_port(place: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = place.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("a bracket is not closed")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err("something follows the bracket"),
        };
    }
    match place.split_once(':') {
        Some((name, port)) if !port.contains(':') => Ok((name, Some(port))),
        _ => Ok((place, None)),
    }
}

/// How to reach hosts.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// The program, `ssh` if nothing else is wanted.
    pub program: OsString,
    /// Arguments for it, before all of ours.
    pub arguments: Vec<OsString>,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long all of it may take, connection included.
    pub limit: Duration,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            program: "ssh".into(),
            arguments: Vec::new(),
            connect: Duration::from_secs(10),
            limit: Duration::from_secs(60),
        }
    }
}

/// What a command on a host said.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status; ssh's own failures are errors and not answers.
    pub status: i32,
    /// Its standard output.
    pub output: Vec<u8>,
    /// The end of its standard error, in one line without control characters.
    pub message: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes, {:?})", self.status, self.output.len(), self.message)
    }
}

/// Why a host gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The program could not be started.
    #[error("{program} could not be started: {error}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// ssh says why itself: no such host, refused, no such key.
    #[error("{0}")]
    Ssh(String),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// It said more than it should.
    #[error("it answered with more than {0} bytes")]
    TooLong(usize),
    /// A pipe broke.
    #[error("while talking to ssh: {0}")]
    Io(#[from] io::Error),
}

/// ssh's own exit status for failures of its own.
const OWN_FAILURE: i32 = 255;
/// So much of standard error is kept.
const MOST_MESSAGE: usize = 4096;
/// How long an ended ssh's standard error is waited for: only where something that it left behind holds it open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a user's configuration may ask for that this use of ssh cannot do, or that is nobody's business here: it forwards
/// nothing, and the command is ours.
const OURS: &[&str] =
    &["-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"];

impl Ssh {
    /// Runs a command of the far end's shell, gives it `input`, and reads at most `most` bytes from it.
    ///
    /// # Errors
    /// [`SshError`].
    pub fn run(&self, host: &Host, command: &str, input: &[u8], most: usize) -> Result<Answer, SshError> {
        self.talk(self.start(host, command)?, input, most)
    }

    /// The name or address that ssh's configuration has for a host (`ssh -G`); the host's own, where ssh does not say.
    /// Nothing is connected to.
    #[must_use]
    pub fn real_name(&self, host: &Host) -> String {
        const MOST: usize = 256 << 10;
        let mut ssh = Command::new(&self.program);
        ssh.args(&self.arguments).arg("-G");
        for (option, value) in [("-p", host.port.map(|port| port.to_string())), ("-l", host.user.clone())] {
            if let Some(value) = value {
                ssh.args([option, &value]);
            }
        }
        ssh.args(["--", &host.name]);
        let child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let said = child.ok().and_then(|child| self.talk(child, &[], MOST).ok());
        let output = said.filter(|said| said.status == 0).map(|said| said.output).unwrap_or_default();
        let found = output.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"hostname "));
        let found = found.and_then(|name| std::str::from_utf8(name).ok()).map(str::trim);
        found.filter(|name| !name.is_empty()).unwrap_or(&host.name).to_owned()
    }

    /// The same with a program that was started with pipes. It ends with this call.
    pub(crate) fn talk(&self, mut child: Child, input: &[u8], most: usize) -> Result<Answer, SshError> {
        let until = Instant::now() + self.limit;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("no pipes").into());
        };
        let input = Zeroizing::new(input.to_vec());
        // Whoever does not read its input says by its status why.
        let fed = in_background(move || stdin.write_all(&input).and_then(|()| stdin.flush()));
        let said = in_background(move || read_end(stderr));
        let output = wait_for(&in_background(move || read_most(stdout, most)), until);
        let status = match output {
            Some(Ok(Some(_))) => wait_until(&mut child, until),
            _ => Ok(None),
        };
        // On a child that has ended it does nothing. What the child left behind may hold its pipes open for ever; the
        // threads that wait for that are not waited for.
        let _ = child.kill();
        let _ = child.wait();
        drop(fed);
        let message = line_of(&wait_for(&said, Instant::now() + LAST_WORDS).unwrap_or_default());
        match (output, status?) {
            (Some(Ok(Some(output))), Some(status)) => answer(status, output, message),
            (Some(Ok(None)), _) => Err(SshError::TooLong(most)),
            (Some(Err(error)), _) => Err(error.into()),
            _ => Err(SshError::Late(self.limit)),
        }
    }

    fn start(&self, host: &Host, command: &str) -> Result<Child, SshError> {
        let mut ssh = Command::new(&self.program);
        ssh.args(&self.arguments).args(OURS);
        ssh.arg("-o").arg(format!("ConnectTimeout={}", self.connect.as_secs().max(1)));
        if let Some(port) = host.port {
            ssh.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &host.user {
            ssh.args(["-l", user]);
        }
        ssh.args(["--", &host.name, command]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ssh.spawn()
            .map_err(|error| SshError::Start { program: self.program.to_string_lossy().into_owned(), error })
    }
}

fn answer(status: ExitStatus, output: Vec<u8>, message: String) -> Result<Answer, SshError> {
    match status.code() {
        Some(OWN_FAILURE) | None => Err(SshError::Ssh(if message.is_empty() {
            "ssh failed without a word".to_owned()
        } else {
            message
        })),
        Some(status) => Ok(Answer { status, output, message }),
    }
}

/// Does something that may never end, in a thread of its own.
fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (said, hear) = mpsc::channel();
    thread::spawn(move || said.send(work()));
    hear
}

fn wait_for<T>(hear: &Receiver<T>, until: Instant) -> Option<T> {
    hear.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
}

/// All of it, or `None` if it is longer than `most`.
fn read_most(pipe: impl Read, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    pipe.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}

/// Reads to the end and keeps the last of it.
fn read_end(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = pipe.read(&mut piece) {
        kept.extend_from_slice(piece.get(..length).unwrap_or_default());
        let over = kept.len().saturating_sub(MOST_MESSAGE);
        kept.drain(..over);
    }
    kept
}

/// What a terminal and a log can bear: one line, without control characters and those that turn the direction of text.
fn line_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| is_fit(*c)).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}

fn is_fit(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Waits for a child whose pipe is closed already, which is about to end.
fn wait_until(child: &mut Child, until: Instant) -> io::Result<Option<ExitStatus>> {
    const PAUSE: Duration = Duration::from_millis(5);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// Does `work` for every item, at most `at_once` at a time, and calls `done` in this thread as each is finished, with its
/// place in the list. Results come in the order of items.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    at_once: usize,
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(usize, &R),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let (said, hear) = mpsc::channel();
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..at_once.clamp(1, items.len().max(1)) {
            let (said, next, work) = (said.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    if said.send((at, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(said);
        for (at, result) in hear {
            done(at, &result);
            if let Some(place) = results.get_mut(at) {
                *place = Some(result);
            }
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_ssh_users_name_them() {
        let parts = |text: &str| {
            let host: Host = text.parse().unwrap();
            (host.user, host.name, host.port)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("web1"), (None, "web1".into(), None));
        assert_eq!(parts("root@10.0.0.1:2222"), (some("root"), "10.0.0.1".into(), Some(2222)));
        assert_eq!(parts("a@b@host"), (some("a@b"), "host".into(), None));
        assert_eq!(parts("[2001:db8::1]:22"), (None, "2001:db8::1".into(), Some(22)));
        assert_eq!(parts("me@2001:db8::1"), (some("me"), "2001:db8::1".into(), None));
        for bad in [
            "",
            "-oProxyCommand=x",
            "u@",
            "@h",
            "u@-h",
            "h:0",
            "h:x",
            "h:99999",
            "a b",
            "[::1",
            "[::1]x",
            "h:",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
    }

    /// A stand-in for ssh that runs the last of its arguments in a shell.
    fn here(limit: Duration) -> (tempfile::TempDir, Ssh) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ssh");
        std::fs::write(&program, "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let ssh = Ssh { program: program.into(), limit, ..Ssh::default() };
        (dir, ssh)
    }

    #[test]
    fn answers_are_bounded_in_length_and_time() {
        let (_dir, ssh) = here(Duration::from_secs(30));
        let host: Host = "h".parse().unwrap();
        let answer = ssh.run(&host, "cat; printf 'a\\033[1mb\\n\\nc' >&2; exit 3", b"input", 100).unwrap();
        assert_eq!((answer.status, answer.output.as_slice()), (3, b"input".as_slice()));
        assert_eq!(answer.message, "a[1mb; c");
        assert!(matches!(ssh.run(&host, "yes", &[], 100), Err(SshError::TooLong(100))));
        let refused = ssh.run(&host, "echo refused >&2; exit 255", &[0; 1 << 20], 100);
        assert_eq!(refused.unwrap_err().to_string(), "refused");
        let (_dir, ssh) = here(Duration::from_millis(200));
        assert!(matches!(ssh.run(&host, "exec sleep 60", &[], 100), Err(SshError::Late(_))));
        assert!(matches!(ssh.run(&host, "exec >&-; exec sleep 60", &[], 100), Err(SshError::Late(_))));
        // What outlives ssh and holds its pipes does not hold us.
        assert!(matches!(ssh.run(&host, "sleep 20; true", &[], 100), Err(SshError::Late(_))));
        let (_dir, ssh) = here(Duration::from_secs(30));
        let started = Instant::now();
        let answer = ssh.run(&host, "sleep 20 >/dev/null & echo done", &[], 100).unwrap();
        assert_eq!(answer.output, b"done\n");
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_host_has_the_name_that_the_configuration_says() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let host: Host = "me@w1:2222".parse().unwrap();
        let name = |body: &str| {
            let program = dir.path().join("ssh");
            std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            Ssh { program: program.into(), arguments: vec!["-F".into(), "cfg".into()], ..Ssh::default() }
                .real_name(&host)
        };
        let wanted = r#"[ "$*" = "-F cfg -G -p 2222 -l me -- w1" ]"#;
        assert_eq!(name(&format!("{wanted} && echo 'host w1' && echo 'hostname 10.0.0.9'")), "10.0.0.9");
        assert_eq!(name("echo 'hostname x'; exit 1"), "w1");
        assert_eq!(name("exit 0"), "w1");
    }

    #[test]
    fn work_is_done_once_for_each_in_order_of_the_list() {
        let items: Vec<u32> = (0..500).collect();
        let mut seen = 0;
        let results = each(&items, 16, |item| item * 2, |_, _| seen += 1);
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(seen, 500);
        assert!(each(&[] as &[u32], 16, |item| *item, |_, _| ()).is_empty());
    }
}
