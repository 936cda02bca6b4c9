//! `gather BITS [SOURCE ...]`: gathers as the daemon does, from the sources named or from all that make sense by
//! themselves, and prints the account and its own memory, and no bytes.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use weir_entropy::{Config, Gatherer, Spec, State};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bits: u32 = arguments.next().ok_or("usage: gather BITS [SOURCE ...]")?.parse()?;
    let sources = arguments.map(|name| name.parse()).collect::<Result<Vec<Spec>, _>>()?;
    let mut config = Config::default();
    if !sources.is_empty() {
        config.sources = sources;
    }
    let mut gatherer = Gatherer::new(config);
    let begin = Instant::now();
    let batch = gatherer.gather(bits, Duration::from_secs(10));
    let took = begin.elapsed();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} bits in {} blocks after {took:?}", batch.credit_bits(), batch.blocks().count())?;
    let memory = std::fs::read_to_string("/proc/self/status")?;
    for line in memory.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        writeln!(out, "{line}")?;
    }
    for status in gatherer.status() {
        let measured = status.measured.map_or("-".to_owned(), |bits| format!("{bits:.2}"));
        let (name, state) = (&status.name, status.state.word());
        write!(out, "{name}: {state}, {} samples, {} bits credited", status.samples, status.credited_bits)?;
        write!(out, ", claim {} a sample, measured {measured}", status.claim)?;
        match &status.state {
            State::Absent { reason: why } | State::SetAside { why, .. } => writeln!(out, "; {why}")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}
