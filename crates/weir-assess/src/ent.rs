//! The figures of John Walker's program ENT: entropy, chi-square, mean, π by Monte Carlo, serial correlation.
//!
//! Purpose: the figures that people know and compare, equal to the program's to every digit that it prints, over a stream of
//! any length in constant memory and at a multiple of its speed.
//!
//! Contract: sums are kept as integers, so no figure depends on the order of additions; a figure that is not defined for
//! so short or so uniform an input is `None`. In bit mode a symbol is a bit, most significant first.
//!
//! Deliberately absent: a verdict. Chi-square is the only figure here that comes with odds; who judges is [`crate::battery`].

use serde::Serialize;

use crate::probability::{chi_square_above, erfc};

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A byte.
    Bytes,
    /// A bit.
    Bits,
}

/// Bytes of a point in the square: 24 bits for each coordinate.
const POINT_BYTES: usize = 6;
/// The square of the radius.
const RADIUS_SQUARED: u64 = 0xff_ffff * 0xff_ffff;

/// Takes a stream piece by piece. Keeps what both modes need, so that one pass serves both.
#[derive(Clone, Debug)]
pub struct Ent {
    counts: Box<[u64; 256]>,
    /// The sum of products of neighbouring bytes.
    products: u128,
    /// The number of neighbouring ones.
    pairs_of_ones: u64,
    first: Option<u8>,
    last: u8,
    point: Vec<u8>,
    points: u64,
    inside: u64,
}

impl Default for Ent {
    fn default() -> Self {
        Self {
            counts: Box::new([0; 256]),
            products: 0,
            pairs_of_ones: 0,
            first: None,
            last: 0,
            point: Vec::with_capacity(POINT_BYTES),
            points: 0,
            inside: 0,
        }
    }
}

impl Ent {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        // Few enough that sums of products fit 64 bits, and small enough to stay in the cache.
        for piece in bytes.chunks(32 << 10) {
            self.push_piece(piece);
        }
    }

    fn push_piece(&mut self, piece: &[u8]) {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return };
        count(piece, &mut self.counts);
        if self.first.is_some() {
            self.add_pair(self.last, *first);
        } else {
            self.first = Some(*first);
        }
        let inner: u64 =
            piece.iter().zip(&piece[1..]).map(|(a, b)| u64::from(u32::from(*a) * u32::from(*b))).sum();
        self.products += u128::from(inner);
        self.pairs_of_ones += pairs_of_ones(piece);
        self.last = *last;
        self.push_points(piece);
    }

    /// Adds the pairs that span two pieces.
    fn add_pair(&mut self, a: u8, b: u8) {
        self.products += u128::from(a) * u128::from(b);
        self.pairs_of_ones += u64::from(a & b >> 7 & 1);
    }

    fn push_points(&mut self, mut piece: &[u8]) {
        if !self.point.is_empty() {
            let (head, rest) = piece.split_at((POINT_BYTES - self.point.len()).min(piece.len()));
            self.point.extend_from_slice(head);
            piece = rest;
            if let Ok(point) = <[u8; POINT_BYTES]>::try_from(self.point.as_slice()) {
                self.points += 1;
                self.inside += u64::from(is_inside(&point));
                self.point.clear();
            }
        }
        let (points, rest) = piece.as_chunks::<POINT_BYTES>();
        self.points += points.len() as u64;
        self.inside += points.iter().map(|point| u64::from(is_inside(point))).sum::<u64>();
        self.point.extend_from_slice(rest);
    }

    /// The figures of what came so far.
    pub fn figures(&self, unit: Unit) -> Figures {
        let moments = match unit {
            Unit::Bytes => self.bytes(),
            Unit::Bits => self.bits(),
        };
        let (entropy, chi_square) = (moments.entropy(), moments.chi_square());
        let most = if unit == Unit::Bytes { 8.0 } else { 1.0 };
        let pi = (self.points > 0).then(|| 4.0 * (self.inside as f64 / self.points as f64));
        let n = moments.count as f64;
        Figures {
            unit,
            symbols: moments.count,
            entropy,
            compression_percent: (100.0 * (most - entropy) / most) as u32,
            chi_square,
            chi_square_p: chi_square.map(|value| chi_square_above(value, moments.counts.len() as f64 - 1.0)),
            mean: (moments.count > 0).then(|| moments.sum as f64 / n),
            monte_carlo_pi: pi,
            monte_carlo_pi_error_percent: pi
                .map(|pi| 100.0 * (std::f64::consts::PI - pi).abs() / std::f64::consts::PI),
            serial_correlation: moments.serial_correlation(),
            monte_carlo_points: self.points,
        }
    }

    fn bytes(&self) -> Moments<'_> {
        let weighted = |power: u32| {
            self.counts.iter().zip(0u128..).map(|(count, value)| u128::from(*count) * value.pow(power)).sum()
        };
        Moments {
            counts: self.counts.as_slice().into(),
            count: self.counts.iter().sum(),
            sum: weighted(1),
            squares: weighted(2),
            // The last one's neighbour is the first.
            products: self.products + u128::from(self.last) * u128::from(self.first.unwrap_or_default()),
        }
    }

    fn bits(&self) -> Moments<'_> {
        let bits = 8 * self.counts.iter().sum::<u64>();
        let ones: u64 = self
            .counts
            .iter()
            .zip(0u8..=255)
            .map(|(count, value)| count * u64::from(value.count_ones()))
            .sum();
        let around = self.last & self.first.unwrap_or_default() >> 7 & 1;
        Moments {
            counts: vec![bits - ones, ones].into(),
            count: bits,
            sum: ones.into(),
            squares: ones.into(),
            products: u128::from(self.pairs_of_ones + u64::from(around)),
        }
    }

    /// How often each byte came.
    pub fn counts(&self) -> &[u64; 256] {
        &self.counts
    }
}

/// Adds up byte values, in four tables so that equal neighbours do not wait for each other.
fn count(piece: &[u8], counts: &mut [u64; 256]) {
    let mut tables = [[0u32; 256]; 4];
    let (groups, rest) = piece.as_chunks::<4>();
    for group in groups {
        for (table, byte) in tables.iter_mut().zip(group) {
            table[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        tables[0][usize::from(*byte)] += 1;
    }
    for (value, count) in counts.iter_mut().enumerate() {
        *count += tables.iter().map(|table| u64::from(table[value])).sum::<u64>();
    }
}

/// The number of neighbouring bits that are both one, within a piece.
fn pairs_of_ones(piece: &[u8]) -> u64 {
    let within: u64 = piece.iter().map(|byte| u64::from((byte & byte << 1).count_ones())).sum();
    let across: u64 = piece.iter().zip(&piece[1..]).map(|(a, b)| u64::from(a & b >> 7 & 1)).sum();
    within + across
}

fn is_inside(point: &[u8; POINT_BYTES]) -> bool {
    let [a, b, c, d, e, f] = point.map(u64::from);
    let (x, y) = (a << 16 | b << 8 | c, d << 16 | e << 8 | f);
    x * x + y * y <= RADIUS_SQUARED
}

/// Exact sums over symbols.
struct Moments<'a> {
    counts: std::borrow::Cow<'a, [u64]>,
    count: u64,
    sum: u128,
    squares: u128,
    products: u128,
}

impl Moments<'_> {
    fn entropy(&self) -> f64 {
        let n = self.count as f64;
        let shares = self.counts.iter().filter(|count| **count > 0).map(|count| *count as f64 / n);
        shares.map(|share| share * (1.0 / share).log2()).sum()
    }

    fn chi_square(&self) -> Option<f64> {
        let expected = self.count as f64 / self.counts.len() as f64;
        let distances = self.counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected);
        (self.count > 0).then(|| distances.sum())
    }

    /// Knuth, The Art of Computer Programming 3.3.2 K; `None` if all symbols are equal.
    fn serial_correlation(&self) -> Option<f64> {
        let n = u128::from(self.count);
        let square = self.sum.checked_pow(2)?;
        let difference = |sum: u128| Some(n.checked_mul(sum)? as i128 - square as i128);
        let (covariance, variance) = (difference(self.products)?, difference(self.squares)?);
        (variance != 0).then(|| covariance as f64 / variance as f64)
    }
}

/// The figures. Names are those of ENT's CSV, spelled out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// What a symbol is.
    pub unit: Unit,
    /// How many came.
    pub symbols: u64,
    /// Shannon entropy of the symbols' frequencies, in bits per symbol. No bound for whoever knows more than frequencies.
    pub entropy: f64,
    /// By how much a code for these frequencies would shorten the input, rounded down.
    pub compression_percent: u32,
    /// The distance of the frequencies from equal ones, of 255 degrees of freedom, or 1 for bits.
    pub chi_square: Option<f64>,
    /// The probability that independent uniform symbols exceed it.
    pub chi_square_p: Option<f64>,
    /// The mean of the symbols.
    pub mean: Option<f64>,
    /// Four times the share of points within the circle, each point from six bytes.
    pub monte_carlo_pi: Option<f64>,
    /// Its distance from π, in percent of π.
    pub monte_carlo_pi_error_percent: Option<f64>,
    /// The correlation of each symbol with the next, the last one's being the first.
    pub serial_correlation: Option<f64>,
    /// How many points there were.
    #[serde(skip)]
    pub monte_carlo_points: u64,
}

impl Figures {
    /// The two-sided probability of the serial correlation, for independent uniform symbols: it is -1/(n-1) on average, with
    /// a variance of nearly 1/n (Knuth 3.3.2 K).
    pub fn serial_correlation_p(&self) -> Option<f64> {
        let n = self.symbols as f64;
        let distance = self.serial_correlation? + 1.0 / (n - 1.0);
        (n > 100.0).then(|| erfc(distance.abs() * (n / 2.0).sqrt()))
    }

    /// The two-sided probability of the estimate of π, by the binomial variance of the points inside. The points
    /// lie on a grid whose share inside differs from π/4 by less than 1e-7.
    pub fn monte_carlo_pi_p(&self) -> Option<f64> {
        const SHARE: f64 = std::f64::consts::FRAC_PI_4;
        let n = self.monte_carlo_points as f64;
        let distance = (self.monte_carlo_pi? / 4.0 - SHARE).abs() - 1e-7;
        (n > 100.0).then(|| erfc(distance.max(0.0) * (n / (2.0 * SHARE * (1.0 - SHARE))).sqrt()))
    }

    /// The two lines of `ent -t`, without the line ends.
    pub fn terse(&self) -> [String; 2] {
        let unit = if self.unit == Unit::Bytes { "bytes" } else { "bits" };
        // What C prints for the quotient of two zeros on the machines that matter.
        let figure = |value: Option<f64>| value.map_or("-nan".to_owned(), |value| format!("{value:.6}"));
        [
            format!("0,File-{unit},Entropy,Chi-square,Mean,Monte-Carlo-Pi,Serial-Correlation"),
            format!(
                "1,{},{:.6},{},{},{},{:.6}",
                self.symbols,
                self.entropy,
                figure(self.chi_square),
                figure(self.mean),
                figure(self.monte_carlo_pi),
                self.serial_correlation.unwrap_or(-100_000.0),
            ),
        ]
    }
}
