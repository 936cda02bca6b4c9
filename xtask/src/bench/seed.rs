//! `weir seed verify`: how long the search for primes in common takes, and how much memory, by the number of RSA keys.
//!
//! The moduli are odd numbers of 2048 bits that are drawn for this run, and two of them have a prime in common, which has to
//! be found. That the others are no products of two primes makes no difference to the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Args, report};
use crate::{packages, workspace};

/// How many keys.
const COUNTS: [usize; 3] = [100, 1000, 10_000];
const BYTES: usize = 256;

pub(super) fn run(args: &Args) -> Result<()> {
    packages::ensure(packages::BENCH_SEED)?;
    let weir = match &args.weir {
        Some(program) => program.clone(),
        None => workspace::build_weir(&["--release", "--package", "weir"])?,
    };
    let folder = workspace::target()?.join("bench/seed");
    fs::create_dir_all(&folder)?;
    let mut rows = Vec::new();
    for count in COUNTS {
        let file = folder.join(format!("moduli-{count}"));
        fs::write(&file, moduli(&weir, count)?)?;
        let (mut seconds, mut peak) = (Vec::new(), 0.0);
        for _ in 0..args.rounds {
            let (took, mib) = measure(&weir, &file, &folder.join("peak"))?;
            seconds.push(took);
            peak = f64::max(peak, mib);
        }
        rows.push(vec![
            count.to_string(),
            format!("{:.2}", report::median(&seconds)),
            format!("{peak:.0} MiB"),
        ]);
    }
    let text = report::table(&["keys", "seconds", "peak memory"], &rows);
    let conditions =
        format!("{}; wall time, medians of {} rounds; RSA of 2048 bits.", report::machine()?, args.rounds);
    println!("\n{text}\n{conditions}");
    match &args.write {
        Some(file) => report::put(file, "seed", &format!("{conditions}\n\n{text}")),
        None => Ok(()),
    }
}

/// Lines that `weir seed verify --files` reads. The first and the last have a prime in common.
fn moduli(weir: &Path, count: usize) -> Result<String> {
    let drawn = Command::new(weir).args(["mint", "bytes", &(count * BYTES).to_string()]).output()?;
    if !drawn.status.success() || drawn.stdout.len() != count * BYTES {
        bail!("{} mint bytes: {}", weir.display(), drawn.status);
    }
    let mut text = String::new();
    for (at, bytes) in drawn.stdout.chunks(BYTES).enumerate() {
        let mut number = bytes.to_vec();
        number[0] |= 0x80;
        number[BYTES / 2 - 1] |= 1;
        number[BYTES - 1] |= 1;
        if at == 0 || at == count - 1 {
            number = times_prime(&number[..BYTES / 2]);
        }
        let digits: String = number.iter().map(|byte| format!("{byte:02X}")).collect();
        text.push_str(&format!("Modulus={digits}\n"));
    }
    Ok(text)
}

/// A number, from its most significant byte, times 2^1024 - 105, the largest prime below 2^1024.
fn times_prime(number: &[u8]) -> Vec<u8> {
    let mut product = [number, &vec![0; number.len()]].concat();
    let mut borrow = 0;
    for (at, place) in product.iter_mut().rev().enumerate() {
        let digit = number.len().checked_sub(at + 1).map_or(0, |at| i32::from(number[at]));
        let rest = i32::from(*place) - 105 * digit - borrow;
        *place = rest.rem_euclid(256) as u8;
        borrow = -rest.div_euclid(256);
    }
    product
}

/// Seconds by the wall, and the most memory that the process had, in MiB.
fn measure(weir: &Path, file: &Path, peak: &PathBuf) -> Result<(f64, f64)> {
    // GNU time writes the most memory that its child had, in KiB, to a file.
    let mut command = Command::new("/usr/bin/time");
    command.args(["--quiet", "--format=%M", "--output"]).arg(peak).arg(weir);
    command.args(["seed", "verify", "--json", "--files"]).arg(file).stdin(Stdio::null());
    let begun = Instant::now();
    let output = command.output()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !String::from_utf8_lossy(&output.stdout).contains("have a prime in common, of 1024 bits") {
        bail!("the pair that has a prime in common was not found: {}", output.status);
    }
    let kib: f64 = fs::read_to_string(peak)?.trim().parse().context("no peak memory")?;
    Ok((seconds, kib / 1024.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_that_of_the_prime() {
        // Of one byte of 128: 3·(2^8 - 105) in its small form.
        assert_eq!(times_prime(&[3]), [1, 0xc5]);
        assert_eq!(times_prime(&[1, 0]), [0, 0xff, 0x97, 0]);
    }
}
