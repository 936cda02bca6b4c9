//! Compression (6.3.4): Maurer's universal statistic over blocks of six bits.

use super::bisect::bisect;
use super::estimate::{Estimate, NotEstimated, Z_ALPHA, require_bits, require_length};
use super::samples::Sequence;

pub(super) const NAME: &str = "Compression Estimate";

/// Bits of a block.
const BLOCK: usize = 6;
/// Different blocks.
const BLOCKS: usize = 1 << BLOCK;
/// Blocks that only fill the dictionary.
const INITIAL: usize = 1000;
/// Corrects the deviation for the dependence of overlapping distances, at this size of block (step 5).
const DEVIATION_FACTOR: f64 = 0.5907;

/// Estimates from the mean logarithm of the distance to the last occurrence of the same block.
///
/// # Errors
/// [`NotEstimated`] if the sequence is not of bits, or has fewer than 1002 blocks.
pub fn compression(sequence: &Sequence<'_>) -> Result<Estimate, NotEstimated> {
    require_bits(sequence)?;
    require_length(sequence, (INITIAL + 2) * BLOCK)?;
    let expectation = Expectation::new(sequence.symbols().len() / BLOCK);
    let (mean, deviation) = distances(sequence.symbols(), &expectation);
    let mean_bound = mean - Z_ALPHA * deviation / (expectation.tested() as f64).sqrt();
    let (p, min_entropy) = expectation.solve(mean_bound);
    let figures = vec![
        ("X-bar", mean.into()),
        ("sigma-hat", deviation.into()),
        ("X-bar'", mean_bound.into()),
        ("p", p.into()),
    ];
    Ok(Estimate::new(NAME, sequence, figures, min_entropy))
}

fn distances(bits: &[u8], expectation: &Expectation) -> (f64, f64) {
    let mut last = [0; BLOCKS];
    let (mut sum, mut squares) = (Sum::default(), Sum::default());
    for (index, block) in bits.chunks_exact(BLOCK).enumerate() {
        let block = block.iter().fold(0, |block, bit| block << 1 | usize::from(bit & 1));
        if index >= INITIAL {
            // A block that never came is as far as the beginning.
            let distance = expectation.log2[index + 1 - last[block]];
            sum.add(distance);
            squares.add(distance * distance);
        }
        last[block] = index + 1;
    }
    let tested = expectation.tested() as f64;
    let mean = sum.total() / tested;
    let variance = squares.total() / (tested - 1.0) - mean * mean;
    (mean, DEVIATION_FACTOR * variance.max(0.0).sqrt())
}

/// The expected statistic where one block has probability p and all others share the rest (step 7).
struct Expectation {
    /// `log2[i]` of every distance that can be.
    log2: Vec<f64>,
}

impl Expectation {
    fn new(blocks: usize) -> Self {
        let logarithms = (1..=blocks).map(|distance| (distance as f64).log2());
        Self { log2: std::iter::once(0.0).chain(logarithms).collect() }
    }

    fn blocks(&self) -> usize {
        self.log2.len() - 1
    }

    fn tested(&self) -> usize {
        self.blocks() - INITIAL
    }

    /// The probability at which `mean` is expected and the entropy of a bit that follows; 1 bit if no probability is.
    fn solve(&self, mean: f64) -> (f64, f64) {
        let uniform = 1.0 / BLOCKS as f64;
        if self.at(uniform) > mean {
            let p = bisect(|p| self.at(p), mean, uniform, 1.0);
            if p > uniform {
                return (p, -p.log2() / BLOCK as f64);
            }
        }
        (uniform, 1.0)
    }

    fn at(&self, p: f64) -> f64 {
        let others = BLOCKS as f64 - 1.0;
        let q = (1.0 - p) / others;
        self.of_one(p) + others * self.of_one(q)
    }

    /// The function G of step 7: the share of one block of probability z.
    ///
    /// With a(i) = log2(i)·(1-z)^(i-1), the double sum over all distances at all positions is one sum over distances,
    /// each weighed by the number of positions that can see it.
    fn of_one(&self, z: f64) -> f64 {
        let blocks = self.blocks();
        let tested = self.tested() as f64;
        let (mut inner, mut first) = (Sum::default(), Sum::default());
        let mut power = 1.0 - z;
        for distance in 2..=INITIAL {
            inner.add(self.log2[distance] * power);
            power *= 1.0 - z;
        }
        inner.scale(tested);
        for distance in INITIAL + 1..=blocks {
            let term = self.log2[distance] * power;
            inner.add((blocks - distance) as f64 * term);
            first.add(term);
            power *= 1.0 - z;
            if power < f64::MIN_POSITIVE {
                break;
            }
        }
        z * (z * inner.total() + first.total()) / tested
    }
}

/// A sum that carries what rounding loses (Kahan): a million terms of very different size.
#[derive(Default)]
struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, term: f64) {
        let term = term - self.lost;
        let total = self.total + term;
        self.lost = (total - self.total) - term;
        self.total = total;
    }

    fn scale(&mut self, factor: f64) {
        self.total *= factor;
        self.lost *= factor;
    }

    fn total(&self) -> f64 {
        self.total
    }
}
