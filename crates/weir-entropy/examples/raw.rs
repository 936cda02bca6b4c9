//! `raw SOURCE COUNT > FILE`: raw samples of a source, one a byte, before any conditioning, for an assessment.
//! `raw deltas COUNT > FILE`: the whole times that jitter's samples are cut from, eight bytes each, lowest first.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use weir_entropy::Spec;
use weir_entropy::source::jitter::Jitter;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, count] = arguments.as_slice() else { return Err("usage: raw SOURCE COUNT > FILE".into()) };
    let count: usize = count.parse()?;
    if source == "deltas" { deltas(count) } else { samples(&source.parse()?, count) }
}

fn samples(source: &Spec, mut missing: usize) -> Result<(), Box<dyn Error>> {
    let mut source = weir_entropy::open(source)?;
    let mut out = std::io::stdout().lock();
    let mut samples = [0; 4096];
    while missing > 0 {
        let most = missing.min(samples.len());
        let taken = source.sample(&mut samples[..most], Instant::now() + Duration::from_secs(10))?;
        out.write_all(&samples[..taken])?;
        missing -= taken;
    }
    Ok(())
}

fn deltas(mut missing: usize) -> Result<(), Box<dyn Error>> {
    let mut jitter = Jitter::open()?;
    let mut out = std::io::stdout().lock();
    let mut deltas = [0; 512];
    while missing > 0 {
        let most = missing.min(deltas.len());
        let taken = jitter.deltas(&mut deltas[..most], Instant::now() + Duration::from_secs(10));
        for delta in &deltas[..taken] {
            out.write_all(&delta.to_le_bytes())?;
        }
        missing -= taken;
    }
    Ok(())
}
