//! Words that random number instructions give when they are broken.
//!
//! AMD's families 15h and 16h answered all ones, with success, after the machine had slept; early Zen 2 did so from the
//! start (both are why Linux and systemd look at what RDRAND gives). All zeros is what unpowered logic reads as. A healthy
//! generator gives each once in 2^64 words, and gives the word before again as rarely.

use super::Failure;

/// Watches whole words.
#[derive(Default)]
pub struct Words {
    last: Option<u64>,
}

impl Words {
    /// Takes the next word.
    ///
    /// # Errors
    /// [`Failure::KnownBad`], [`Failure::WordRepeated`].
    pub fn feed(&mut self, word: u64) -> Result<(), Failure> {
        // All ones in either half: 32-bit forms of the instructions fail alike.
        let halves = [(word >> 32) as u32, word as u32];
        if word == 0 || word == u64::MAX || halves == [u32::MAX, 0] || halves == [0, u32::MAX] {
            return Err(Failure::KnownBad { word });
        }
        if self.last.replace(word) == Some(word) {
            return Err(Failure::WordRepeated);
        }
        Ok(())
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bad_words_and_repetitions_are_found() {
        for word in [0, u64::MAX, 0xffff_ffff, 0xffff_ffff_0000_0000] {
            assert_eq!(Words::default().feed(word), Err(Failure::KnownBad { word }));
        }
        let mut words = Words::default();
        assert_eq!(
            [1, 2, 1, 1].map(|word| words.feed(word)),
            [Ok(()), Ok(()), Ok(()), Err(Failure::WordRepeated)]
        );
    }
}
