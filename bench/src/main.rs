//! What a draw and a token cost, in each way there is.
//!
//! `cargo xtask bench randomness` builds this, runs it and makes tables of what it prints: a line `group|name|bytes`
//! followed by the nanoseconds a call took in each round, separated by blanks. The ways of a group take turns, round
//! after round, so that whatever disturbs a measurement disturbs them alike.
//!
//! Arguments: the number of rounds, and the milliseconds of a round of one way.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
    call: Box<dyn FnMut(&mut [u8])>,
    /// Calls in a round, so that it lasts as long as was asked for.
    calls: u32,
    rounds_ns: Vec<f64>,
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

/// A credential: ours, and what Kong does for one, in Rust instead of Lua.
fn tokens() -> Vec<Way> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    vec![
        Way::new("token", "weir_mint::key", 0, |_| {
            let _ = black_box(weir_mint::key());
        }),
        Way::new("token", "Kong's way", 0, move |buf| {
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
        Self { group, name, bytes, call: Box::new(call), calls: 1, rounds_ns: Vec::new() }
    }

    /// Doubles the calls of a round until it lasts.
    fn calibrate(&mut self, buffer: &mut [u8], lasting: Duration) {
        while self.time(buffer) * f64::from(self.calls) < lasting.as_nanos() as f64 && self.calls < 1 << 30 {
            self.calls *= 2;
        }
    }

    /// Nanoseconds a call takes, over a round of calls.
    fn time(&mut self, buffer: &mut [u8]) -> f64 {
        let buffer = if self.bytes == 0 { buffer } else { &mut buffer[..self.bytes] };
        let start = Instant::now();
        for _ in 0..self.calls {
            (self.call)(black_box(buffer));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(self.calls)
    }
}
