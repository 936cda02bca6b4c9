//! `replay [RUNS [ROUNDS]]`: how much of jitter's times is noise, and not a function of the addresses.
//!
//! Lets the source do the same rounds with the same addresses, again and again, and then guesses each sample of each
//! run in three ways by somebody who knows more than an attacker could: all samples of all other runs. Prints
//! min-entropies, bits a sample, by how often the guesses are right.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use weir_entropy::source::jitter::Jitter;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().map_or(Ok(300), |number| number.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(1024), |number| number.parse())?;
    if runs < 2 || rounds < 2 {
        return Err("usage: replay [RUNS [ROUNDS]], two at least".into());
    }
    let mut jitter = Jitter::open()?;
    let until = Instant::now() + Duration::from_secs(600);
    let all: Vec<Vec<u64>> = (0..runs).map(|_| replay(&mut jitter, rounds, until)).collect();
    let step = all.iter().flatten().fold(0, |step, &delta| gcd(step, delta)).max(1);
    let all: Vec<Vec<u8>> =
        all.iter().map(|run| run.iter().map(|delta| (delta / step) as u8).collect()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "most common sample:                          {:.2}", most_common(&all))?;
    writeln!(out, "most common in this round of all other runs: {:.2}", same_round(&all))?;
    writeln!(out, "change since the run before:                 {:.2}", run_before(&all))?;
    writeln!(out, "off the round's median, given the one before: {:.2}", off_median(&all))?;
    Ok(())
}

fn replay(jitter: &mut Jitter, rounds: usize, until: Instant) -> Vec<u64> {
    let mut deltas = vec![0; rounds];
    jitter.rewind();
    jitter.deltas(&mut deltas, until);
    deltas
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn bits(right: u32, guesses: usize) -> f64 {
    -(f64::from(right) / guesses as f64).log2()
}

fn mode(symbols: impl Iterator<Item = u8>) -> (u32, usize) {
    let (mut counts, mut all) = ([0; 256], 0);
    symbols.for_each(|symbol| {
        counts[usize::from(symbol)] += 1;
        all += 1;
    });
    (counts.into_iter().max().unwrap_or(0), all)
}

fn most_common(all: &[Vec<u8>]) -> f64 {
    let (right, guesses) = mode(all.iter().flatten().copied());
    bits(right, guesses)
}

fn run_before(all: &[Vec<u8>]) -> f64 {
    let pairs = all.windows(2).flat_map(|runs| runs[0].iter().zip(&runs[1]));
    let (right, guesses) = mode(pairs.map(|(before, now)| now.wrapping_sub(*before)));
    bits(right, guesses)
}

/// Each run's sample is guessed by the most common one of all others at its place.
fn same_round(all: &[Vec<u8>]) -> f64 {
    let (mut right, rounds) = (0, all[0].len());
    for round in 0..rounds {
        let mut counts = [0_u32; 256];
        all.iter().for_each(|run| counts[usize::from(run[round])] += 1);
        for run in all {
            counts[usize::from(run[round])] -= 1;
            let guess = (0..256).max_by_key(|&symbol| counts[symbol]).unwrap_or(0);
            right += u32::from(guess == usize::from(run[round]));
            counts[usize::from(run[round])] += 1;
        }
    }
    bits(right, all.len() * rounds)
}

/// What is left of a sample when the round's median is taken off is guessed by what was left of the one before.
fn off_median(all: &[Vec<u8>]) -> f64 {
    let median = |round: usize| {
        let mut symbols: Vec<u8> = all.iter().map(|run| run[round]).collect();
        symbols.sort_unstable();
        symbols[symbols.len() / 2]
    };
    let medians: Vec<u8> = (0..all[0].len()).map(median).collect();
    let mut counts = vec![0; 256 * 256];
    for run in all {
        let left: Vec<u8> =
            run.iter().zip(&medians).map(|(symbol, median)| symbol.wrapping_sub(*median)).collect();
        left.windows(2).for_each(|pair| counts[usize::from(pair[0]) * 256 + usize::from(pair[1])] += 1);
    }
    let right = counts.chunks(256).map(|followers| followers.iter().copied().max().unwrap_or(0)).sum();
    bits(right, all.len() * (all[0].len() - 1))
}
