//! Everything that can be said of a stream of any length in one pass and constant memory.
//!
//! Purpose: a verdict on gigabytes. FIPS 140-2's blocks, ENT's figures with their odds, the balance of each bit of a byte, and whether
//! eight bytes come again, each as a p-value; [`crate::verdict`] judges them, together with those of SP 800-22 on a part.
//!
//! Contract: for independent, uniform bytes every p-value is below any p with a probability of at most p, up to the error of
//! normal approximations over thousands of bytes; what is too short for a test has none of its p-values.
//!
//! Deliberately absent: tests that need the whole stream at once.

use crate::ent::{Ent, Figures, Unit};
use crate::fips140_2::{self, Tester};
use crate::probability::{chi_square_two_sided, normal_two_sided};
use crate::repeats::Repeats;
use crate::verdict::Named;

/// Fewer bytes leave chi-square without its expected five in each of 256 classes.
const LEAST_BYTES: u64 = 5 * 256;

/// Takes a stream piece by piece.
#[derive(Debug, Default)]
pub struct Battery {
    ent: Ent,
    fips: Tester,
    words: Repeats,
    /// The beginning of a word whose end has not come yet.
    partial: Vec<u8>,
    /// Whether only FIPS 140-2 is wanted, which alone is many times faster than all.
    only_fips140_2: bool,
}

impl Battery {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet, and nothing but FIPS 140-2 later on.
    pub fn of_fips140_2() -> Self {
        Self { only_fips140_2: true, ..Self::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.fips.push(bytes);
        if !self.only_fips140_2 {
            self.ent.push(bytes);
            self.push_words(bytes);
        }
    }

    fn push_words(&mut self, mut bytes: &[u8]) {
        if !self.partial.is_empty() {
            let (head, rest) = bytes.split_at((8 - self.partial.len()).min(bytes.len()));
            self.partial.extend_from_slice(head);
            bytes = rest;
            if let Ok(word) = <[u8; 8]>::try_from(self.partial.as_slice()) {
                self.words.push(u64::from_le_bytes(word));
                self.partial.clear();
            }
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.words.push(u64::from_le_bytes(*word));
        }
        self.partial.extend_from_slice(rest);
    }

    /// ENT's figures so far.
    pub fn figures(&self, unit: Unit) -> Figures {
        self.ent.figures(unit)
    }

    /// How often each byte came.
    pub fn counts(&self) -> &[u64; 256] {
        self.ent.counts()
    }

    /// FIPS 140-2 so far.
    pub fn fips140_2(&self) -> fips140_2::Report {
        self.fips.report()
    }

    /// Groups of eight bytes that had come before.
    pub fn repeats(&self) -> &Repeats {
        &self.words
    }

    /// The p-values of ENT's figures, of the bits of a byte, and of repeats.
    pub fn ent_p_values(&self) -> Vec<Named> {
        let (bytes, bits) = (self.figures(Unit::Bytes), self.figures(Unit::Bits));
        if bytes.symbols < LEAST_BYTES {
            return Vec::new();
        }
        let chi_square =
            |figures: &Figures, freedom| figures.chi_square.map(|x| chi_square_two_sided(x, freedom));
        let mut p_values = vec![
            ("byte frequencies", chi_square(&bytes, 255.0)),
            // As from a coin, where it cannot be too even: equal counts are the likeliest.
            ("bit frequencies", bits.chi_square_p),
            ("byte serial correlation", Some(bytes.serial_correlation_p().unwrap_or(0.0))),
            ("bit serial correlation", Some(bits.serial_correlation_p().unwrap_or(0.0))),
            ("pi by Monte Carlo", bytes.monte_carlo_pi_p()),
            ("repeated eight bytes", Some(self.words.odds())),
        ];
        const BITS: [&str; 8] = ["bit 0", "bit 1", "bit 2", "bit 3", "bit 4", "bit 5", "bit 6", "bit 7"];
        p_values.extend(BITS.into_iter().zip(0..).map(|(name, bit)| (name, Some(self.bit_p(bit)))));
        let named = |(name, p_value): (&str, Option<f64>)| {
            Some(Named { name: format!("ENT {name}"), p_value: p_value? })
        };
        p_values.into_iter().filter_map(named).collect()
    }

    /// The share of ones of each bit of a byte, the lowest first.
    pub fn bit_shares(&self) -> [f64; 8] {
        let bytes = self.counts().iter().sum::<u64>().max(1) as f64;
        [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| self.ones_at(bit) as f64 / bytes)
    }

    fn ones_at(&self, bit: u32) -> u64 {
        let with = self.counts().iter().zip(0u32..).filter(|(_, value)| value >> bit & 1 == 1);
        with.map(|(count, _)| count).sum()
    }

    fn bit_p(&self, bit: u32) -> f64 {
        let bytes = self.counts().iter().sum::<u64>() as f64;
        normal_two_sided((2.0 * self.ones_at(bit) as f64 - bytes) / bytes.sqrt())
    }

    /// The p-values of FIPS 140-2.
    pub fn fips140_2_p_values(&self) -> Vec<Named> {
        let report = self.fips140_2();
        let verdict = report.judge(crate::verdict::FALSE_ALARM);
        let named = |(name, p_value): (&str, f64)| Named { name: format!("FIPS 140-2 {name}"), p_value };
        if report.tally.blocks == 0 { Vec::new() } else { verdict.all().map(named).collect() }
    }

    /// All of them.
    pub fn p_values(&self) -> Vec<Named> {
        let mut p_values = self.fips140_2_p_values();
        p_values.extend(self.ent_p_values());
        p_values
    }
}
