//! What is assessed: a file, standard input, or a noise source; read once, piece by piece.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use weir_entropy::source::{Source, Spec};

use super::Failure;

/// The kernel's generator, which is no noise source and therefore not among them.
pub(super) const GETRANDOM: &str = "getrandom";
/// A read is worth a system call and stays in a core's cache.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// A source that gives nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where bytes come from.
pub(super) struct Input {
    /// What to call it in a report.
    pub(super) name: String,
    /// How long it is, if that is known before.
    pub(super) bytes: Option<u64>,
    /// Bits of a sample, if the source knows.
    pub(super) bits: Option<u32>,
    /// What the source says that a sample is worth, and why.
    pub(super) claim: Option<(f64, &'static str)>,
    reader: Box<dyn Read>,
}

impl Input {
    pub(super) fn stdin() -> Self {
        Self {
            name: "standard input".to_owned(),
            bytes: None,
            bits: None,
            claim: None,
            reader: Box::new(io::stdin().lock()),
        }
    }

    pub(super) fn file(path: &OsStr) -> Result<Self, Failure> {
        if path == "-" {
            return Ok(Self::stdin());
        }
        let name = path.to_string_lossy().into_owned();
        let failed = |error: io::Error| Failure::Read(format!("{name}: {error}"));
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(Failure::Read(format!("{name}: a folder, not a file")));
        }
        let bytes = about.is_file().then_some(about.len());
        Ok(Self { name, bytes, bits: None, claim: None, reader: Box::new(file) })
    }

    /// So many raw samples of a source, one a byte.
    pub(super) fn source(name: &str, samples: u64) -> Result<Self, Failure> {
        if name == GETRANDOM {
            let reader = Box::new(Kernel.take(samples));
            return Ok(Self { name: name.to_owned(), bytes: Some(samples), bits: None, claim: None, reader });
        }
        let spec: Spec = name.parse().map_err(|error| Failure::Usage(format!("--source {name}: {error}")))?;
        let source =
            weir_entropy::open(&spec).map_err(|error| Failure::Read(format!("--source {name}: {error}")))?;
        Ok(Self {
            name: format!("{name}, raw samples"),
            bytes: Some(samples),
            bits: Some(source.kind().bits_per_sample.into()),
            claim: Some((source.claim(), source.kind().claim.reason)),
            reader: Box::new(Raw(source).take(samples)),
        })
    }

    /// Hands every piece to `take`, until the end or until it says that it has enough.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    if !take(buffer.get(..length).unwrap_or_default())? {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Read(format!("{}: {error}", self.name))),
            }
        }
    }
}

/// The kernel's generator as a reader.
struct Kernel;

impl Read for Kernel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        weir_kernel::fill(buffer).map_err(io::Error::other)?;
        Ok(buffer.len())
    }
}

/// Raw samples of a noise source as a reader.
struct Raw(Box<dyn Source>);

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.sample(buffer, Instant::now() + PATIENCE).map_err(io::Error::other)
    }
}

/// Puts symbols of less than eight bits end to end, for the tests that read bits.
pub(super) struct Packer {
    bits: u32,
    held: u32,
    holds: u32,
    taken: u64,
}

impl Packer {
    pub(super) fn new(bits: u32) -> Self {
        Self { bits, held: 0, holds: 0, taken: 0 }
    }

    /// The bytes that these symbols fill.
    pub(super) fn pack(&mut self, symbols: &[u8], packed: &mut Vec<u8>) -> Result<(), Failure> {
        for symbol in symbols {
            if u32::from(*symbol) >> self.bits != 0 {
                let (at, bits) = (self.taken, self.bits);
                return Err(Failure::Read(format!(
                    "sample {at} is {symbol}, which does not fit in {bits} bits"
                )));
            }
            self.taken += 1;
            self.held = self.held << self.bits | u32::from(*symbol);
            self.holds += self.bits;
            if self.holds >= 8 {
                self.holds -= 8;
                packed.push((self.held >> self.holds) as u8);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_put_end_to_end() {
        for (bits, symbols, expected) in [
            (1, vec![1, 0, 1, 0, 0, 0, 0, 1, 1], vec![0xa1]),
            (4, vec![1, 2, 3], vec![0x12]),
            (3, vec![7, 0, 7, 0, 7, 0, 7, 0], vec![0b1110_0011, 0b1000_1110, 0b0011_1000]),
            (8, vec![1, 255], vec![1, 255]),
        ] {
            let (mut packer, mut packed) = (Packer::new(bits), Vec::new());
            let (head, rest) = symbols.split_at(1);
            assert!(packer.pack(head, &mut packed).is_ok() && packer.pack(rest, &mut packed).is_ok());
            assert_eq!(packed, expected);
        }
        assert!(Packer::new(4).pack(&[3, 16], &mut Vec::new()).is_err());
    }
}
