//! A sequence of bits, as the tests of SP 800-22 take it: ε in the standard, packed eight to a byte, most significant first.

/// Bits of a slice of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Bits<'a> {
    /// All bits of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, len: 8 * bytes.len() }
    }

    /// The first `len` of them, or all if there are no more.
    pub fn first(self, len: usize) -> Self {
        let len = len.min(self.len);
        Self { bytes: &self.bytes[..len.div_ceil(8)], len }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at this place, 0 beyond the end.
    #[inline]
    pub fn get(&self, at: usize) -> u8 {
        self.bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1)
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<'a> {
        let bits = self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
        bits.take(self.len)
    }

    /// How many of `from..to` are ones.
    pub fn ones(&self, from: usize, to: usize) -> u64 {
        let (mut at, mut ones) = (from, 0);
        while at < to {
            let taken = (to - at).min(32);
            ones += u64::from(self.window(at, taken as u32).count_ones());
            at += taken;
        }
        ones
    }

    /// The `count` bits from a place on, at most 32, as a number whose lowest bit is the last of them; zeros beyond the end.
    #[inline]
    pub fn window(&self, at: usize, count: u32) -> u32 {
        let byte = at / 8;
        let eight = match self.bytes.get(byte..byte + 8).and_then(|bytes| bytes.first_chunk::<8>()) {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => (0..8).fold(0, |word, next| {
                word << 8 | u64::from(self.bytes.get(byte + next).copied().unwrap_or(0))
            }),
        };
        if count == 0 { 0 } else { ((eight << (at % 8)) >> (64 - count)) as u32 }
    }

    /// How often each pattern of `m` bits occurs, overlapping; with `wrap` the beginning follows the end.
    pub fn patterns(&self, m: u32, wrap: bool) -> Vec<u32> {
        let mut counts = vec![0u32; 1 << m];
        let mask = (1usize << m) - 1;
        let head = (m as usize).saturating_sub(1);
        let (mut pattern, mut seen) = (0, 0usize);
        let tail = if wrap { head } else { 0 };
        for bit in self.iter().chain((0..tail).map(|at| self.get(at))) {
            pattern = (pattern << 1 | usize::from(bit)) & mask;
            seen += 1;
            if seen > head {
                counts[pattern] += 1;
            }
        }
        counts
    }

    /// The part from a place on, of `len` bits: its bytes shifted, since a part may begin within a byte.
    pub fn to_bytes(self, from: usize, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).map(|byte| self.window(from + 8 * byte, 8) as u8).collect()
    }
}
