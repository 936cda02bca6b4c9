//! Multi Markov Model with Counting (6.3.9): predicts what followed the last 1 to 16 symbols most often.

use super::context::{Contexts, Node};
use super::estimate::{Estimate, NotEstimated, require_length};
use super::prediction::Hits;
use super::samples::Sequence;

pub(super) const NAME: &str = "MultiMMC Prediction Estimate";

/// Symbols of the longest context (step 1).
const DEPTHS: usize = 16;
/// Pairs of a context and a symbol that one depth remembers (step 1).
const MAX_ENTRIES: u32 = 100_000;

/// Estimates from 16 Markov models that learn as they predict.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer symbols than the longest context and two.
pub fn multi_mmc(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_length(sequence, DEPTHS + 2)?;
    let symbols = sequence.symbols();
    let mut board = Scoreboard::default();
    if sequence.alphabet() == 2 {
        predict_bits(symbols, &mut board);
    } else {
        predict_symbols(symbols, &mut board);
    }
    Ok(board.hits.estimate(NAME, sequence, symbols.len() - 2))
}

/// Which depth was right how often, and the predictions of the one that was ahead.
#[derive(Default)]
struct Scoreboard {
    scores: [u64; DEPTHS],
    winner: usize,
    /// The winner's score.
    high: u64,
    hits: Hits,
}

impl Scoreboard {
    /// Counts the prediction of a depth; `ahead` is the winner from before this symbol.
    ///
    /// Whether a guess is right is what nobody foresees, the processor included: nothing here branches on it.
    #[inline]
    fn count(&mut self, depth: usize, ahead: usize, right: bool) {
        if depth == ahead {
            self.hits.count(right);
        }
        let score = self.scores[depth] + u64::from(right);
        self.scores[depth] = score;
        let leads = right & (score >= self.high);
        self.high = if leads { score } else { self.high };
        self.winner = if leads { depth } else { self.winner };
    }
}

/// Contexts of bits number all that there can be: each is an index.
fn predict_bits(bits: &[u8], board: &mut Scoreboard) {
    let mut counts: [Vec<[u32; 2]>; DEPTHS] = std::array::from_fn(|depth| vec![[0; 2]; 2 << depth]);
    let mut entries = [1_u32; DEPTHS];
    let mut start = 0;
    for (depth, counts) in counts.iter_mut().enumerate() {
        start = start << 1 | usize::from(bits[depth]);
        counts[start][usize::from(bits[depth + 1])] = 1;
    }
    let mut past = usize::from(bits[0]);
    for (index, &bit) in bits.iter().enumerate().skip(2) {
        past = past << 1 | usize::from(bits[index - 1]);
        let ahead = board.winner;
        let mut known = true;
        for depth in 0..DEPTHS.min(index - 1) {
            let followed = &mut counts[depth][past & ((2 << depth) - 1)];
            // A context that was not seen was not seen within a longer one either.
            known = known && followed[0] + followed[1] > 0;
            if known {
                board.count(depth, ahead, u8::from(followed[1] >= followed[0]) == bit);
            }
            let count = &mut followed[usize::from(bit)];
            if known && *count > 0 {
                *count += 1;
            } else if entries[depth] < MAX_ENTRIES {
                *count = 1;
                entries[depth] += 1;
            }
        }
    }
}

fn predict_symbols(symbols: &[u8], board: &mut Scoreboard) {
    let mut contexts = Contexts::default();
    let mut entries = [1_u32; DEPTHS];
    for depth in 0..DEPTHS {
        let mut node = Some(Contexts::ROOT);
        for &symbol in symbols[..=depth].iter().rev() {
            node = node.map(|node| contexts.child_or_new(node, symbol));
        }
        if let Some(node) = node {
            contexts.count(node, symbols[depth + 1]);
        }
    }
    for (index, &symbol) in symbols.iter().enumerate().skip(2) {
        let ahead = board.winner;
        // The context of this depth; nothing once one is unknown.
        let mut context: Option<Node> = Some(Contexts::ROOT);
        let mut known = true;
        for depth in 0..DEPTHS.min(index - 1) {
            let earlier = symbols[index - depth - 1];
            let shorter = context;
            context = shorter.and_then(|shorter| contexts.child(shorter, earlier));
            known = known && context.is_some_and(|node| contexts.is_known(node));
            let room = entries[depth] < MAX_ENTRIES;
            if let Some(node) = context.filter(|_| known) {
                board.count(depth, ahead, contexts.prediction(node).0 == symbol);
                if contexts.count_known(node, symbol) {
                    continue;
                }
                if room {
                    contexts.count(node, symbol);
                    entries[depth] += 1;
                }
            } else if room {
                // Where the shorter context found no room, nothing will ever ask for this one: it only takes room.
                context = context.or_else(|| shorter.map(|shorter| contexts.child_or_new(shorter, earlier)));
                if let Some(node) = context {
                    contexts.count(node, symbol);
                }
                entries[depth] += 1;
            }
        }
    }
}
