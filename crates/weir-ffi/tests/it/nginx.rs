//! The module in nginx's workers: thousands of draws in a request, and what the system sees of them.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::TempDir;

use crate::support::{CRATE, has, installed};

const MODULES: &str = "/usr/lib/nginx/modules";
/// For whatever has to happen at all; never how long something may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// System calls that a request may make while it draws: the allocator's, those of a compiler that is at it, and the one
/// of a draw.
const WHILE_DRAWING: [&str; 7] = ["brk", "getrandom", "madvise", "mmap", "mprotect", "mremap", "munmap"];

macro_rules! needs_nginx {
    () => {
        if !has("nginx") || !Path::new(MODULES).join("ngx_http_lua_module.so").exists() {
            testkit::skip!("nginx with libnginx-mod-http-lua is not installed");
        }
    };
}

/// A running nginx; ended when dropped.
struct Nginx {
    process: Child,
    dir: TempDir,
}

impl Nginx {
    /// Starts it, as an argument of `wrapper` if there is one.
    fn start(wrapper: &[&str], workers: usize) -> Self {
        let dir = TempDir::new();
        let lib = installed(&dir);
        let conf = fs::read_to_string(format!("{CRATE}/tests/nginx/nginx.conf")).unwrap();
        let conf = conf
            .replace("{DIR}", dir.path().to_str().unwrap())
            .replace("{LUA}", &format!("{CRATE}/lua"))
            .replace("{LIB}", lib.to_str().unwrap())
            .replace("{MODULES}", MODULES)
            .replace("{WORKERS}", &workers.to_string());
        fs::write(dir.join("nginx.conf"), conf).unwrap();
        let words: Vec<_> =
            wrapper.iter().map(|word| word.replace("{DIR}", dir.path().to_str().unwrap())).collect();
        let words: Vec<_> = words.iter().map(String::as_str).chain(["nginx"]).collect();
        let log = fs::File::create(dir.join("output.log")).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("-p").arg(dir.path()).arg("-c").arg(dir.join("nginx.conf"));
        // Administration commands are not in every user's PATH.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { process: command.spawn().unwrap(), dir }
    }

    /// Waits until it answers; an error if it ends before.
    fn answers(&mut self) -> Result<(), String> {
        let end = Instant::now() + DEADLINE;
        while !self.dir.join("nginx.pid").exists() || UnixStream::connect(self.dir.join("socket")).is_err() {
            if self.process.try_wait().unwrap().is_some() || Instant::now() > end {
                return Err(self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        read("output.log") + &read("error.log")
    }

    /// The body of the answer to a GET.
    #[track_caller]
    fn get(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.dir.join("socket")).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{}", self.log());
        body.to_owned()
    }

    /// Sends the master a signal, by its name.
    fn signal(&self, name: &str) {
        if let Ok(pid) = fs::read_to_string(self.dir.join("nginx.pid")) {
            let _ = Command::new("sh").args(["-c", "kill -s \"$0\" $1", name, pid.trim()]).status();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.signal("TERM");
        let end = Instant::now() + DEADLINE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The names of the system calls between the two marks, by the process that made them.
fn calls_while_drawing(trace: &str) -> Vec<&str> {
    let begin = trace.lines().position(|line| line.contains("weir: draws begin")).expect("a mark");
    let pid = trace.lines().nth(begin).and_then(|line| line.split(" ").next()).expect("a process");
    let own = trace.lines().skip(begin + 1).filter_map(|line| {
        let (process, rest) = line.split_once(' ')?;
        (process == pid).then_some(rest.trim_start())
    });
    let mut ended = false;
    let calls = own
        .take_while(|call| {
            ended = call.contains("weir: draws end");
            !ended
        })
        .map(|call| call.trim_start_matches("<... ").split(['(', ' ']).next().unwrap_or_default())
        .collect();
    assert!(ended, "no second mark");
    calls
}

#[test]
fn ten_thousand_draws_open_no_file_and_wait_for_nothing() {
    needs_nginx!();
    if !has("strace") {
        testkit::skip!("strace is not installed");
    }
    let mut nginx = Nginx::start(&["strace", "-f", "-qq", "-o", "{DIR}/trace"], 1);
    if let Err(log) = nginx.answers() {
        if log.contains("ptrace") {
            testkit::skip!("processes may not be traced here: {log}");
        }
        panic!("{log}");
    }
    // The first request meets the interpreter, the second what was compiled.
    for _ in 0..2 {
        assert_eq!(nginx.get("/draws"), "done\n");
    }
    let file = nginx.dir.join("trace");
    nginx.signal("QUIT");
    nginx.process.wait().unwrap();
    let trace = fs::read_to_string(file).unwrap();
    let second = trace.match_indices("weir: draws begin").nth(1).expect("two requests").0;
    let second = trace[..second].rfind('\n').unwrap() + 1;
    for request in [&trace[..second], &trace[second..]] {
        let calls = calls_while_drawing(request);
        let others: Vec<_> = calls.iter().filter(|call| !WHILE_DRAWING.contains(call)).collect();
        assert!(others.is_empty(), "a draw made system calls: {others:?}");
        if weir_kernel::way() == weir_kernel::Way::Vdso {
            // Only when the kernel has been reseeded meanwhile, which it is once a minute.
            let draws = calls.iter().filter(|call| **call == "getrandom").count();
            assert!(draws <= 4, "{draws} of 10,000 draws were system calls");
        }
    }
}

#[test]
fn workers_and_their_requests_never_draw_the_same() {
    needs_nginx!();
    let mut nginx = Nginx::start(&[], 2);
    nginx.answers().unwrap();
    let nginx = &nginx;
    let (bodies, light) = thread::scope(|scope| {
        let heavy: Vec<_> = (0..8).map(|_| scope.spawn(|| nginx.get("/ids"))).collect();
        // Others are answered meanwhile.
        let light: HashSet<_> = (0..50).map(|_| nginx.get("/light")).collect();
        (heavy.into_iter().map(|request| request.join().unwrap()).collect::<Vec<_>>(), light)
    });
    let mut seen = HashSet::new();
    let mut shared = HashSet::new();
    for body in &bodies {
        let mut ids = body.lines();
        shared.insert(ids.next().unwrap());
        assert!(ids.all(|id| id.len() == 36 && seen.insert(id)), "an id came twice");
    }
    assert_eq!((seen.len(), shared.len()), (8 * 9999, 1), "the master's own draw is the one that all have");
    assert!(!light.is_empty());
    assert_eq!(nginx.get("/drop-ins"), "16 24 32 36\n");
}

#[test]
fn a_reload_loads_the_module_again() {
    needs_nginx!();
    let mut nginx = Nginx::start(&[], 1);
    nginx.answers().unwrap();
    let worker = nginx.get("/light");
    let drawn = nginx.get("/ids");
    nginx.signal("HUP");
    let end = Instant::now() + DEADLINE;
    // Until then the old worker may answer as well.
    while Path::new("/proc").join(worker.trim()).exists() {
        assert!(Instant::now() < end, "{}", nginx.log());
        thread::sleep(Duration::from_millis(5));
    }
    let again = nginx.get("/ids");
    let first: HashSet<_> = drawn.lines().collect();
    assert!(again.lines().all(|id| !first.contains(id)), "the new workers have draws of their own");
}
