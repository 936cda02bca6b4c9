//! What a credential costs, beside the draw and beside the way of a gateway that opens /dev/urandom for each key.
//! `cargo run --release -p weir-mint --example keys`

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Instant;

const ROUNDS: usize = 60;
const CALLS: u32 = 2000;

fn round(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    (0..CALLS).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// Open, read 24 bytes, close, base64, and two characters replaced: 32 characters.
fn by_opening_a_file() -> io::Result<String> {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let text: String = bytes
        .chunks_exact(3)
        .flat_map(|three| {
            let group = three.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte));
            [18, 12, 6, 0].map(|shift| char::from(BASE64[(group >> shift & 63) as usize]))
        })
        .collect();
    Ok(text.replace('/', "a").replace('+', "b"))
}

/// Something to measure, and the best of its rounds.
struct Work<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
    best_ns: f64,
}

impl<'a> Work<'a> {
    fn new<T>(name: &'static str, mut run: impl FnMut() -> T + 'a) -> Self {
        let run = move || {
            black_box(run());
        };
        Self { name, run: Box::new(run), best_ns: f64::INFINITY }
    }
}

fn main() -> io::Result<()> {
    let mut draw = [0; 32];
    let mut works = [
        Work::new("draw of 32 bytes", || weir_kernel::fill(black_box(&mut draw))),
        Work::new("weir_mint::key", weir_mint::key),
        Work::new("weir_mint::Uuid::v4", weir_mint::Uuid::v4),
        Work::new("weir_mint::Uuid::v7", weir_mint::Uuid::v7),
        Work::new("weir_mint::uniform(0..=99)", || weir_mint::uniform(0..=99)),
        Work::new("open, read, close, encode", by_opening_a_file),
    ];
    for _ in 0..ROUNDS {
        for work in &mut works {
            work.best_ns = work.best_ns.min(round(&mut work.run));
        }
    }
    let mut out = io::stdout().lock();
    for work in &works {
        writeln!(out, "{:28} {:9.1} ns", work.name, work.best_ns)?;
    }
    Ok(())
}
