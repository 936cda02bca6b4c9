//! Multi Most Common in Window (6.3.7): predicts the symbol that was most frequent lately, over four lengths of "lately".

use super::estimate::{Estimate, NotEstimated, require_length};
use super::prediction::Hits;
use super::samples::Sequence;

pub(super) const NAME: &str = "MultiMCW Prediction Estimate";

/// Lengths of the windows (step 1).
const WINDOWS: [usize; 4] = [63, 255, 1023, 4095];

/// Estimates from a predictor that follows a drifting bias.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer symbols than the longest window and one.
pub fn multi_mcw(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_length(sequence, WINDOWS[3] + 1)?;
    let symbols = sequence.symbols();
    let mut windows = WINDOWS.map(|width| Window::new(width, sequence.alphabet(), symbols));
    let mut scores = [0_u64; 4];
    let mut winner = 0;
    let mut hits = Hits::default();
    for (index, &symbol) in symbols.iter().enumerate().skip(WINDOWS[0]) {
        hits.count(windows[winner].mode == symbol);
        for (number, window) in windows.iter_mut().enumerate().filter(|(_, window)| index >= window.width) {
            if window.mode == symbol {
                scores[number] += 1;
                if scores[number] >= scores[winner] {
                    winner = number;
                }
            }
            window.slide(index, symbols[index - window.width], symbol);
        }
    }
    Ok(hits.estimate(NAME, sequence, symbols.len() - WINDOWS[0]))
}

/// The last symbols, counted; their most common one, of equally common ones the latest.
struct Window {
    width: usize,
    counts: Vec<u32>,
    latest: Vec<usize>,
    mode: u8,
}

impl Window {
    /// Full of the first symbols.
    fn new(width: usize, alphabet: usize, symbols: &[u8]) -> Self {
        let mut window = Self { width, counts: vec![0; alphabet], latest: vec![0; alphabet], mode: 0 };
        for (index, &symbol) in symbols.iter().enumerate().take(width) {
            window.counts[usize::from(symbol)] += 1;
            window.latest[usize::from(symbol)] = index;
        }
        window.find_mode();
        window
    }

    #[inline]
    fn slide(&mut self, index: usize, leaves: u8, enters: u8) {
        self.counts[usize::from(leaves)] -= 1;
        self.counts[usize::from(enters)] += 1;
        self.latest[usize::from(enters)] = index;
        if leaves == self.mode {
            if enters != self.mode {
                self.find_mode();
            }
        } else if self.counts[usize::from(enters)] >= self.counts[usize::from(self.mode)] {
            self.mode = enters;
        }
    }

    fn find_mode(&mut self) {
        let mut best = (0, 0);
        for (symbol, counted) in self.counts.iter().copied().zip(self.latest.iter().copied()).enumerate() {
            if counted >= best {
                best = counted;
                self.mode = symbol as u8;
            }
        }
    }
}
