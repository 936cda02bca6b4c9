//! Length of the Longest Repeated Substring (5.2.5): whether the longest string that comes twice is too long for chance.

use serde::Serialize;

use super::super::tuple::longest_repeat;
use super::chi_square::proportions;

/// The longest repeated substring and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LongestRepeat {
    /// Chance that two samples are equal.
    pub p_col: f64,
    /// Length W of the longest string that occurs twice, in symbols.
    pub length: usize,
    /// Chance that any two strings of that length are equal.
    pub p_value: f64,
    /// Whether that chance is at least 0.001.
    pub passed: bool,
}

pub(super) fn test(symbols: &[u8], alphabet: usize) -> LongestRepeat {
    let p_col: f64 = proportions(symbols, alphabet).iter().map(|p| p * p).sum();
    let length = longest_repeat(symbols, alphabet);
    let places = (symbols.len() - length + 1) as u64;
    let pairs = (places * (places - 1) / 2) as f64;
    // Of no repeats: (1 - p^W)^pairs.
    let none = pairs * (-p_col.powf(length as f64)).ln_1p();
    LongestRepeat { p_col, length, p_value: -none.exp_m1(), passed: none <= 0.999_f64.ln() }
}
