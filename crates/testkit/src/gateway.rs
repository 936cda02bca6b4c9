//! A gateway process under test: started, awaited, configured, ended.
//!
//! Contract: it runs on ports of the kernel's choice in a directory of its own; it is ready when it has written
//! `run/listeners.json` there; it is killed when its guard is dropped, and when that happens because a test failed, the
//! end of its log goes with the failure.
//!
//! `listeners.json` says where it listens, by kind: `{"proxy": ["127.0.0.1:41234"], "proxy_ssl": [...], "admin": [...],
//! "status": [...]}`. It must be complete when it appears.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::temp::TempDir;

/// How much of a log goes with a failure.
const LOG_TAIL: usize = 8 << 10;
const POLL: Duration = Duration::from_millis(2);

/// What to start, and how.
///
/// ```no_run
/// let gateway = testkit::Launch::new("target/debug/weir").env("WEIR_WORKERS", "2").start();
/// ```
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    wrapper: Vec<OsString>,
    args: Option<Vec<OsString>>,
    env: Vec<(String, Option<OsString>)>,
    prefix: Option<PathBuf>,
    deadline: Duration,
}

impl Launch {
    /// `PROGRAM start --prefix DIR`, with every listener on 127.0.0.1 and ports of the kernel's choice.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let listen = [
            ("WEIR_PROXY_LISTEN", "127.0.0.1:0, 127.0.0.1:0 ssl http2"),
            ("WEIR_ADMIN_LISTEN", "127.0.0.1:0"),
            ("WEIR_STATUS_LISTEN", "127.0.0.1:0"),
        ];
        Self {
            program: program.into(),
            wrapper: Vec::new(),
            args: None,
            env: listen.iter().map(|(name, value)| ((*name).to_owned(), Some(value.into()))).collect(),
            prefix: None,
            deadline: Duration::from_secs(30),
        }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable out of its environment, one that this type sets included.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.push((name.to_owned(), None));
        self
    }

    /// Replaces `start --prefix DIR`; the process must write its `listeners.json` into the prefix all the same.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args = Some(args.into_iter().map(Into::into).collect());
        self
    }

    /// Starts it through another program that ends by becoming it: `["taskset", "-c", "0"]`.
    #[must_use]
    pub fn under<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, wrapper: I) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// Uses a directory that outlives the process, so that another can be started on what this one leaves.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// How long it may take to become ready (30 s).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// As [`Launch::try_start`] fails.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be run, ends before it is ready, or is not ready by the deadline; with the end of its log.
    pub fn try_start(self) -> io::Result<Gateway> {
        let temp = if self.prefix.is_none() { Some(TempDir::new()) } else { None };
        let prefix = match (&self.prefix, &temp) {
            (Some(prefix), _) => prefix.clone(),
            (None, Some(temp)) => temp.path().to_owned(),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        fs::create_dir_all(&prefix)?;
        let ready = prefix.join("run/listeners.json");
        // What a process that was killed left behind says nothing about this one.
        match fs::remove_file(&ready) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let log = prefix.join("output.log");
        let child = self.spawn(&prefix, &log)?;
        let mut gateway = Gateway { child, prefix, log, listeners: Listeners::default(), _temp: temp };
        gateway.listeners = gateway.await_listeners(&ready, self.deadline)?;
        Ok(gateway)
    }

    fn spawn(&self, prefix: &Path, log: &Path) -> io::Result<Child> {
        let mut words = self.wrapper.clone();
        words.push(self.program.clone().into());
        match &self.args {
            Some(args) => words.extend_from_slice(args),
            None => words.extend(["start".into(), "--prefix".into(), prefix.into()]),
        }
        let out = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out);
        // What the tests' own environment says to Weir is not for it.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
            command.env_remove(name);
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", words[0].display())))
    }
}

/// Where a gateway listens, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// Plain HTTP for clients.
    pub proxy: Vec<SocketAddr>,
    /// TLS for clients.
    pub proxy_ssl: Vec<SocketAddr>,
    /// The Admin API.
    pub admin: Vec<SocketAddr>,
    /// Status and metrics.
    pub status: Vec<SocketAddr>,
}

impl Listeners {
    /// Reads what a gateway wrote; `None` when it is not what the module's first lines describe.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(text).ok()?;
        let kind = |name: &str| -> Option<Vec<SocketAddr>> {
            let Some(list) = document.get(name) else { return Some(Vec::new()) };
            list.as_array()?.iter().map(|addr| addr.as_str()?.parse().ok()).collect()
        };
        document.as_object()?;
        Some(Self {
            proxy: kind("proxy")?,
            proxy_ssl: kind("proxy_ssl")?,
            admin: kind("admin")?,
            status: kind("status")?,
        })
    }
}

/// A running gateway; killed when dropped.
///
/// ```no_run
/// let echo = testkit::Echo::start();
/// let gateway = testkit::Gateway::start("target/debug/weir");
/// gateway.post("/services", &serde_json::json!({"name": "orders", "url": echo.url()}));
/// gateway.post("/services/orders/routes", &serde_json::json!({"paths": ["/orders"]}));
/// let answer = testkit::Client::connect(gateway.proxy()).unwrap().get("/orders/7").unwrap();
/// assert_eq!(answer.json()["path"], "/7");
/// ```
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    prefix: PathBuf,
    log: PathBuf,
    listeners: Listeners,
    _temp: Option<TempDir>,
}

impl Gateway {
    /// Starts `PROGRAM start` in a directory of its own and waits until it is ready: [`Launch`] with its defaults.
    #[must_use]
    #[track_caller]
    pub fn start(program: impl Into<PathBuf>) -> Self {
        Launch::new(program).start()
    }

    /// Where it listens for clients, in plain.
    #[must_use]
    #[track_caller]
    pub fn proxy(&self) -> SocketAddr {
        first(&self.listeners.proxy, "proxy")
    }

    /// Where it listens for clients, with TLS.
    #[must_use]
    #[track_caller]
    pub fn proxy_ssl(&self) -> SocketAddr {
        first(&self.listeners.proxy_ssl, "proxy_ssl")
    }

    /// Where its Admin API is.
    #[must_use]
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        first(&self.listeners.admin, "admin")
    }

    /// Where its status and metrics are.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> SocketAddr {
        first(&self.listeners.status, "status")
    }

    /// Every address it listens on.
    #[must_use]
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Its working directory.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output and standard error.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Asks the Admin API: a request with a JSON body, none for `Value::Null`.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn ask_admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers: &[_] = if bytes.is_empty() { &[] } else { &[("Content-Type", "application/json")] };
        Client::connect(self.admin())
            .and_then(|mut client| client.request(method, path, headers, &bytes))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Creates an entity and hands it back.
    ///
    /// # Panics
    /// When the Admin API answers anything but 201, showing what it said.
    #[track_caller]
    pub fn post(&self, path: &str, entity: &Value) -> Value {
        let answer = self.ask_admin("POST", path, entity);
        if answer.status != 201 {
            panic!("POST {path} {entity}: {} {}", answer.status, answer.text());
        }
        answer.json()
    }

    /// Sends it a signal by name: `TERM`, `HUP`.
    ///
    /// # Panics
    /// When it is gone.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        // The shell's `kill`, as a signal to another process is beyond std and not worth a dependency.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to {}", self.pid());
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// `TimedOut` when it still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> io::Result<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("still runs after {deadline:?}"),
                ));
            }
            thread::sleep(POLL);
        }
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// As [`Gateway::wait`].
    pub fn terminate(&mut self, deadline: Duration) -> io::Result<ExitStatus> {
        self.signal("TERM");
        self.wait(deadline)
    }

    /// Kills it at once, as a power failure would, and waits for its end.
    pub fn kill(&mut self) {
        // It fails only when the process is gone already, which is what was asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn await_listeners(&mut self, ready: &Path, deadline: Duration) -> io::Result<Listeners> {
        let end = Instant::now() + deadline;
        loop {
            if let Ok(text) = fs::read_to_string(ready) {
                return Listeners::parse(&text)
                    .ok_or_else(|| self.failure(&format!("wrote {text:?} as listeners")));
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended before it was ready, {status}")));
            }
            if Instant::now() >= end {
                return Err(self.failure(&format!("did not write {} within {deadline:?}", ready.display())));
            }
            thread::sleep(POLL);
        }
    }

    fn failure(&self, what: &str) -> io::Error {
        io::Error::other(format!("the gateway {what}; its log ends:\n{}", tail(&self.log())))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            // Printed through the macro, so that the harness shows it with the failed test.
            #[expect(clippy::print_stderr, reason = "part of a test's failure message")]
            {
                eprintln!("the gateway's log ends:\n{}", tail(&self.log()));
            }
        }
    }
}

#[track_caller]
fn first(addresses: &[SocketAddr], kind: &str) -> SocketAddr {
    match addresses.first() {
        Some(address) => *address,
        None => panic!("the gateway has no {kind} listener"),
    }
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(LOG_TAIL);
    match log.as_bytes()[start..].iter().position(|byte| *byte == b'\n') {
        Some(end_of_line) if start > 0 => &log[start + end_of_line + 1..],
        _ => log,
    }
}
