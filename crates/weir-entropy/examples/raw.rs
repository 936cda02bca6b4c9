//! `raw SOURCE COUNT > FILE`: raw samples of a source, one a byte, before any conditioning, for an assessment.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use weir_entropy::Spec;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, count] = arguments.as_slice() else { return Err("usage: raw SOURCE COUNT > FILE".into()) };
    let spec: Spec = source.parse()?;
    let mut source = weir_entropy::open(&spec)?;
    let mut missing: usize = count.parse()?;
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
