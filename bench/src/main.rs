//! What a draw and a token cost, in each way there is.
//!
//! `cargo xtask bench randomness` builds this, runs it and makes tables of what it prints: a line `group|name|bytes`
//! followed by the nanoseconds a call took in each round, separated by blanks. The ways of a group take turns, round
//! after round, so that whatever disturbs a measurement disturbs them alike; and time is the thread's own on the CPU, so
//! that what else runs on the core in between is not counted.
//!
//! Arguments: the number of rounds, and the milliseconds of a round of one way. Where there is a `luajit`, Kong's way is
//! measured in it too.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::time::{ClockId, clock_gettime};
use weir_kernel::raw;

/// What most secrets are: 256 bits.
const DRAW: usize = 32;
/// A bulk draw.
const BULK: usize = 64 << 10;
/// What Kong draws for a key: 24 bytes become 32 letters of base64.
const KONG_KEY: usize = 24;

/// A way to come by randomness.
struct Way {
    group: &'static str,
    name: &'static str,
    bytes: usize,
    work: Work,
    /// Calls in a round, so that it lasts as long as was asked for.
    calls: u32,
    rounds_ns: Vec<f64>,
}

/// Fills a buffer, or leaves it alone and makes something else.
type Call = dyn FnMut(&mut [u8]);

/// What is timed.
enum Work {
    Call(Box<Call>),
    /// Done and timed by another process.
    Other(Lua),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [rounds, milliseconds] = arguments[..] else { return Err("usage: bench ROUNDS MILLISECONDS".into()) };
    let mut ways = ways()?;
    let mut buffer = vec![0; BULK];
    for way in &mut ways {
        way.calibrate(&mut buffer, Duration::from_millis(milliseconds));
    }
    for _ in 0..rounds {
        for way in &mut ways {
            let ns = way.time(&mut buffer);
            way.rounds_ns.push(ns);
        }
    }
    for Way { group, name, bytes, rounds_ns, .. } in &ways {
        let rounds: Vec<_> = rounds_ns.iter().map(|ns| format!("{ns:.2}")).collect();
        println!("{group}|{name}|{bytes} {}", rounds.join(" "));
    }
    Ok(())
}

fn ways() -> io::Result<Vec<Way>> {
    let mut ways = draws("draw", DRAW)?;
    ways.extend(tokens());
    ways.extend(
        Lua::start().map(|lua| Way {
            work: Work::Other(lua),
            ..Way::new("token", "Kong's way, in LuaJIT", 0, |_| {})
        }),
    );
    ways.extend(draws("bulk", BULK)?);
    Ok(ways)
}

/// The sources themselves.
fn draws(group: &'static str, bytes: usize) -> io::Result<Vec<Way>> {
    let mut ways = vec![Way::new(group, "weir_kernel::fill", bytes, |buf| answered(weir_kernel::fill(buf)))];
    // A bulk draw is not what the bare call is for, and it would not be asked for one.
    if let (Some(vdso), DRAW) = (raw::Vdso::get(), bytes) {
        ways.insert(0, Way::new(group, "vDSO, bare call", bytes, move |buf| whole(vdso.call(buf), buf)));
    }
    ways.push(Way::new(group, "getrandom(2)", bytes, |buf| whole(raw::syscall(buf), buf)));
    ways.push(Way::new(group, "AWS-LC RAND_bytes", bytes, |buf| answered(aws_lc_rs::rand::fill(buf))));
    ways.push(Way::new(group, "OpenSSL RAND_bytes", bytes, |buf| answered(openssl::rand::rand_bytes(buf))));
    let mut kept = File::open("/dev/urandom")?;
    ways.push(Way::new(group, "/dev/urandom, kept open", bytes, move |buf| answered(kept.read_exact(buf))));
    ways.push(Way::new(group, "/dev/urandom, opened each time", bytes, |buf| answered(read_urandom(buf))));
    Ok(ways)
}

/// A credential: the draw that it is made of, ours, and what Kong does for one.
fn tokens() -> Vec<Way> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    vec![
        Way::new("token", "weir_kernel::fill, 32 bytes", DRAW, |buf| answered(weir_kernel::fill(buf))),
        Way::new("token", "weir_mint::key", 0, |_| {
            let _ = black_box(weir_mint::key());
        }),
        Way::new("token", "Kong's way, in Rust", 0, move |buf| {
            let bytes = &mut buf[..KONG_KEY];
            answered(read_urandom(bytes));
            // What is not a letter or a digit is replaced by one from a generator that is not a secret one.
            let replace = |c: char| match c {
                '+' | '/' | '=' => {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    char::from(b'0' + (state >> 33) as u8 % 10)
                }
                c => c,
            };
            let key: String = BASE64_STANDARD.encode(bytes).chars().map(replace).collect();
            black_box(key);
        }),
    ]
}

fn read_urandom(buf: &mut [u8]) -> io::Result<()> {
    File::open("/dev/urandom")?.read_exact(buf)
}

fn answered<E: std::fmt::Debug>(result: Result<(), E>) {
    assert!(black_box(&result).is_ok(), "{result:?}");
}

fn whole(written: isize, buf: &[u8]) {
    assert_eq!(black_box(written), buf.len() as isize);
}

impl Way {
    fn new(
        group: &'static str,
        name: &'static str,
        bytes: usize,
        call: impl FnMut(&mut [u8]) + 'static,
    ) -> Self {
        Self { group, name, bytes, work: Work::Call(Box::new(call)), calls: 1, rounds_ns: Vec::new() }
    }

    /// Doubles the calls of a round until it lasts. The first call is left out: in some libraries it sets everything up.
    fn calibrate(&mut self, buffer: &mut [u8], lasting: Duration) {
        self.time(buffer);
        while self.time(buffer) * f64::from(self.calls) < lasting.as_nanos() as f64 && self.calls < 1 << 30 {
            self.calls *= 2;
        }
    }

    /// Nanoseconds a call takes, over a round of calls.
    fn time(&mut self, buffer: &mut [u8]) -> f64 {
        let buffer = if self.bytes == 0 { buffer } else { &mut buffer[..self.bytes] };
        let ns = match &mut self.work {
            Work::Call(call) => {
                let start = cpu_ns();
                for _ in 0..self.calls {
                    call(black_box(buffer));
                }
                cpu_ns() - start
            }
            Work::Other(lua) => lua.time(self.calls).expect("it answers as long as it is asked"),
        };
        ns as f64 / f64::from(self.calls)
    }
}

/// A process that runs `kong.lua`.
struct Lua {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Lua {
    /// `None` where it cannot run.
    fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/kong.lua");
        let mut luajit = Command::new("luajit");
        let mut child = luajit.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (to, from) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut lua = Self { child, to, from };
        // Compiled by the time that it is measured.
        lua.time(1000).ok().map(|_| lua)
    }

    /// Nanoseconds for so many calls.
    fn time(&mut self, calls: u32) -> io::Result<i64> {
        writeln!(self.to, "{calls}")?;
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        answer.trim().parse().map_err(io::Error::other)
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long this thread has been on a CPU, in the kernel as well.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
