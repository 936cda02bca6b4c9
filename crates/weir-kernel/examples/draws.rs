//! What a draw costs, in each way there is. `cargo run --release -p weir-kernel --example draws`
//!
//! The ways take turns, round after round, and each line is the best of its rounds: whatever disturbs a measurement
//! makes it longer, and it should disturb them all alike.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Instant;

use weir_kernel::raw;

const ROUNDS: usize = 40;

type Draw<'a> = dyn FnMut(&mut [u8]) + 'a;

/// A way to draw, and the nanoseconds of its best round.
struct Way<'a> {
    name: &'static str,
    draw: Box<Draw<'a>>,
    best_ns: f64,
}

impl<'a> Way<'a> {
    fn new(name: &'static str, draw: impl FnMut(&mut [u8]) + 'a) -> Self {
        Self { name, draw: Box::new(draw), best_ns: f64::INFINITY }
    }

    fn round(&mut self, calls: u32, buffer: &mut [u8]) {
        let start = Instant::now();
        for _ in 0..calls {
            (self.draw)(black_box(buffer));
        }
        let ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(calls);
        self.best_ns = self.best_ns.min(ns);
    }
}

fn ways() -> io::Result<Vec<Way<'static>>> {
    let mut ways = vec![Way::new("weir_kernel::fill", |buf| {
        let _ = black_box(weir_kernel::fill(buf));
    })];
    if let Some(vdso) = raw::Vdso::get() {
        ways.push(Way::new("vDSO, bare call", move |buf| {
            black_box(vdso.call(buf));
        }));
    }
    ways.push(Way::new("getrandom(2)", |buf| {
        black_box(raw::syscall(buf));
    }));
    let mut kept = File::open("/dev/urandom")?;
    ways.push(Way::new("/dev/urandom, kept open", move |buf| {
        let _ = black_box(kept.read_exact(buf));
    }));
    ways.push(Way::new("/dev/urandom, open-read-close", |buf| {
        let _ = black_box(File::open("/dev/urandom").and_then(|mut file| file.read_exact(buf)));
    }));
    Ok(ways)
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "this thread draws by: {:?}", weir_kernel::way())?;
    for bytes in [16, 32, 64, 256, 512, 1024, 2047, 2048, 4096, 16384, 65536, 1 << 20] {
        let mut buffer = vec![0; bytes];
        let calls = u32::try_from(1_000_000 / bytes.max(400)).unwrap_or(1).max(2);
        let mut ways = ways()?;
        for _ in 0..ROUNDS {
            ways.iter_mut().for_each(|way| way.round(calls, &mut buffer));
        }
        writeln!(out, "\n{bytes} bytes")?;
        let fill_ns = ways.first().map_or(f64::NAN, |fill| fill.best_ns);
        for Way { name, best_ns, .. } in ways {
            let (rate, ratio) = (bytes as f64 / best_ns, best_ns / fill_ns);
            writeln!(out, "  {name:30} {best_ns:12.1} ns {rate:9.3} GB/s {ratio:7.2} x fill")?;
        }
    }
    Ok(())
}
