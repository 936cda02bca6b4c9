//! Most Common Value (6.3.1): how often the most frequent symbol comes, at the upper end of its confidence interval.

use super::estimate::{Estimate, NotEstimated, require_length, upper_bound};
use super::samples::Sequence;

pub(super) const NAME: &str = "Most Common Value Estimate";

/// Estimates from the most common symbol alone: the bound that no dependence between symbols can raise.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer than 2 symbols.
pub fn most_common_value(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_length(sequence, 2)?;
    let symbols = sequence.symbols();
    let mode = counts(symbols).into_iter().max().unwrap_or(0);
    let p_hat = mode as f64 / symbols.len() as f64;
    let p_u = upper_bound(p_hat, symbols.len());
    let figures = vec![("Mode count", mode.into()), ("p-hat", p_hat.into()), ("p_u", p_u.into())];
    Ok(Estimate::new(NAME, sequence, figures, -p_u.log2()))
}

/// How often each symbol occurs.
pub(super) fn counts(symbols: &[u8]) -> [u64; 256] {
    // Four tables, so that a run of one symbol does not wait for its own last increment.
    let mut tables = [[0_u64; 256]; 4];
    let mut quads = symbols.chunks_exact(4);
    for quad in &mut quads {
        for (table, &symbol) in tables.iter_mut().zip(quad) {
            table[usize::from(symbol)] += 1;
        }
    }
    for &symbol in quads.remainder() {
        tables[0][usize::from(symbol)] += 1;
    }
    std::array::from_fn(|symbol| tables.iter().map(|table| table[symbol]).sum())
}
