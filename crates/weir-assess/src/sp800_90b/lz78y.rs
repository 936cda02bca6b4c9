//! LZ78Y (6.3.10): predicts from the longest contexts that a dictionary of limited size has learnt.

use super::context::{Contexts, Node};
use super::estimate::{Estimate, NotEstimated, require_length};
use super::prediction::Hits;
use super::samples::Sequence;

pub(super) const NAME: &str = "LZ78Y Prediction Estimate";

/// Symbols of the longest context (step 1).
const DEPTHS: usize = 16;
/// Contexts that the dictionary takes (step 1).
const MAX_CONTEXTS: usize = 65_536;

/// Estimates from a dictionary in the manner of LZ78 that fills with the first contexts that come.
///
/// # Errors
/// [`NotEstimated::TooShort`] of fewer symbols than the longest context and three.
pub fn lz78y(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_length(sequence, DEPTHS + 3)?;
    let symbols = sequence.symbols();
    let hits = if sequence.alphabet() == 2 { predict_bits(symbols) } else { predict_symbols(symbols) };
    Ok(hits.estimate(NAME, sequence, symbols.len() - DEPTHS - 1))
}

/// Contexts of bits number all that there can be: each is an index.
fn predict_bits(bits: &[u8]) -> Hits {
    let mut counts: [Vec<[u32; 2]>; DEPTHS] = std::array::from_fn(|depth| vec![[0; 2]; 2 << depth]);
    let mut contexts = 0;
    let mut hits = Hits::default();
    let mut past = bits[..DEPTHS].iter().fold(0, |past, bit| past << 1 | usize::from(*bit));
    for (index, &bit) in bits.iter().enumerate().skip(DEPTHS) {
        // The most frequent of the contexts that follow; of equally frequent ones the longest.
        let mut best = (0, 0);
        for (depth, counts) in counts.iter_mut().enumerate().rev() {
            let followed = &mut counts[past & ((2 << depth) - 1)];
            let likelier = u8::from(followed[1] >= followed[0]);
            let count = followed[usize::from(likelier)];
            if count > best.0 {
                best = (count, likelier);
            }
            if count > 0 {
                followed[usize::from(bit)] += 1;
            } else if contexts < MAX_CONTEXTS {
                followed[usize::from(bit)] = 1;
                contexts += 1;
            }
        }
        if index > DEPTHS {
            hits.count(best.0 > 0 && best.1 == bit);
        }
        past = past << 1 | usize::from(bit);
    }
    hits
}

fn predict_symbols(symbols: &[u8]) -> Hits {
    let mut dictionary = Contexts::default();
    let mut contexts = 0;
    let mut hits = Hits::default();
    for (index, &symbol) in symbols.iter().enumerate().skip(DEPTHS) {
        let past = &symbols[index - DEPTHS..index];
        let path = path(&mut dictionary, past, contexts < MAX_CONTEXTS);
        let mut best = (0, 0);
        for &node in path.iter().flatten().rev() {
            let (likeliest, count) = dictionary.prediction(node);
            if count > best.0 {
                best = (count, likeliest);
            }
            if count == 0 {
                if contexts == MAX_CONTEXTS {
                    continue;
                }
                contexts += 1;
            }
            dictionary.count(node, symbol);
        }
        if index > DEPTHS {
            hits.count(best.0 > 0 && best.1 == symbol);
        }
    }
    hits
}

/// The contexts that end before a symbol, from the shortest. While there is room, those that are missing are made, so
/// that longer ones have a place; one that then finds no room any more stays without a count, and is not known.
fn path(dictionary: &mut Contexts, past: &[u8], room: bool) -> [Option<Node>; DEPTHS] {
    let mut path = [None; DEPTHS];
    let mut node = Contexts::ROOT;
    for (place, &earlier) in path.iter_mut().zip(past.iter().rev()) {
        node = if room {
            dictionary.child_or_new(node, earlier)
        } else {
            match dictionary.child(node, earlier) {
                Some(child) => child,
                None => break,
            }
        };
        *place = Some(node);
    }
    path
}
