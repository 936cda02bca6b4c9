//! The receiving end: a seed goes into this host's pool, and a note of it into a file that `weir doctor` reads.
//!
//! To mix needs no right. To credit and to reseed need CAP_SYS_ADMIN; without a reseed the seed is mixed in all the same and
//! felt at the kernel's next own one. The kernel's answer is kept apart from the act: a seed that was mixed in is
//! mixed in, whatever fails afterwards.

mod input;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use weir_kernel::clock;
use weir_kernel::host::arrivals;
use weir_kernel::host::{Arrival, Host, arrivals::MAX_BYTES};
use weir_kernel::ioctl::{Pool, PoolError, Sample};
use weir_kernel::{Generation, Signal};

use crate::record::Record;

pub use input::{InputError, read_file, read_stdin};

/// What became of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// How many bytes are in the pool now.
    pub bytes: u32,
    /// What was credited, in bits, or why nothing was although it was asked for.
    pub credited_bits: Result<u32, CreditError>,
    /// Whether the kernel was ready before.
    pub ready_before: bool,
    /// Whether it was afterwards.
    pub ready_after: bool,
    /// Whether the kernel took a new key at once, or why not.
    pub reseeded: Result<(), PoolError>,
}

/// Why nothing was credited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreditError {
    /// The bytes are all alike, or one block over and over.
    #[error("the bytes repeat themselves, so they are no seed")]
    Repeats,
    /// The kernel did not.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl Given {
    /// What is answered to whoever brought it. `early_keys`: those that were made too early, where that can be told.
    #[must_use]
    pub fn record(&self, host: &Host, generation: Generation, early_keys: Option<Vec<String>>) -> Record {
        Record {
            by: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: host.kernel.hostname.clone().ok(),
            kernel: host.kernel.release.clone().ok(),
            boot_id: host.kernel.boot_id.clone().ok(),
            generation: Some(words(generation)),
            bytes: self.bytes,
            superuser: host.superuser.clone().ok(),
            ready_before: Some(self.ready_before),
            ready_after: Some(self.ready_after),
            credited_bits: *self.credited_bits.as_ref().unwrap_or(&0),
            credit_refused: self.credited_bits.as_ref().err().map(CreditError::to_string),
            reseeded: self.reseeded.is_ok(),
            reseed_refused: self.reseeded.as_ref().err().map(PoolError::to_string),
            note_failed: None,
            early_keys,
        }
    }

    /// The note of it: it came just now, by `way`, from `from`.
    #[must_use]
    pub fn arrival(&self, way: &str, from: &str) -> Arrival {
        let ms = u64::try_from(clock::since_boot().as_millis()).unwrap_or(u64::MAX);
        Arrival {
            at: clock::unix_seconds(),
            since_boot: Duration::from_millis(ms),
            way: way.to_owned(),
            from: from.to_owned(),
            bytes: self.bytes,
            credited_bits: *self.credited_bits.as_ref().unwrap_or(&0),
            ready_before: self.ready_before,
            ready_after: self.ready_after,
            reseeded: self.reseeded.is_ok(),
        }
    }
}

/// What tells this life of the machine from others.
fn words(generation: Generation) -> String {
    let signal = match generation.signal {
        Signal::Counter(count) => format!("counter {count}"),
        Signal::Forks(count) => format!("forks {count}"),
        Signal::Denied => "denied".to_owned(),
        _ => "unseen".to_owned(),
    };
    generation.published.map_or(signal.clone(), |count| format!("{signal} weir-feed {count}"))
}

/// Gives bytes to this host's kernel and has it reseed. `credit_bits`: what whoever calls this vouches for, usually nothing.
///
/// # Errors
/// [`PoolError`]: then nothing was mixed in. What fails after that is in the answer.
pub fn give(bytes: &[u8], credit_bits: u32) -> Result<Given, PoolError> {
    let pool = Pool::open()?;
    let ready_before = weir_kernel::is_ready();
    pool.mix(bytes)?;
    let credited_bits = if credit_bits == 0 { Ok(0) } else { credit(&pool, bytes, credit_bits) };
    let reseeded = pool.reseed();
    Ok(Given {
        bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        credited_bits,
        ready_before,
        ready_after: weir_kernel::is_ready(),
        reseeded,
    })
}

/// Adds them once more, credited: mixed in twice, bytes do no harm and count once.
fn credit(pool: &Pool, bytes: &[u8], credit_bits: u32) -> Result<u32, CreditError> {
    if repeats(bytes) {
        return Err(CreditError::Repeats);
    }
    let bytes = bytes.get(..Sample::MAX_BYTES).unwrap_or(bytes);
    let sample = Sample::credited(bytes, credit_bits).map_err(|_| PoolError::Unsupported)?;
    pool.add(sample)?;
    Ok(credit_bits)
}

/// Whether bytes are one block at least twice, the last one whole or not. Of 32 bytes that were drawn, less than one in 2^124 is.
fn repeats(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|block| bytes.get(block..).is_some_and(|rest| bytes.starts_with(rest)))
}

/// Notes an arrival under `root` (`/` but for tests). The file is replaced as a whole, so that a reader sees all of it or the
/// one before.
///
/// # Errors
/// That it cannot be written; then the file is as it was before.
pub fn note(root: &Path, arrival: &Arrival) -> io::Result<()> {
    let path = root.join(arrivals::PATH.trim_start_matches('/'));
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // Two that arrive at the same time must not lose each other's line.
    let lock =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"))?;
    lock.lock()?;
    let mut all = arrivals::parse(&read(&path)?);
    all.push(arrival.clone());
    let beside = folder.join("arrivals.new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o644).open(&beside)?;
    file.write_all(arrivals::format(&all).as_bytes())?;
    fs::rename(&beside, &path)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES as u64).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_noted_one_after_the_other() {
        let root = tempfile::tempdir().unwrap();
        let given = Given {
            bytes: 64,
            credited_bits: Err(PoolError::Denied.into()),
            ready_before: true,
            ready_after: true,
            reseeded: Err(PoolError::Denied),
        };
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (root, given) = (root.path(), &given);
                scope.spawn(move || note(root, &given.arrival("push", &format!("host{number}"))).unwrap());
            }
        });
        let text = fs::read_to_string(root.path().join("run/weir-seed/arrivals")).unwrap();
        let all = arrivals::parse(&text);
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|arrival| !arrival.reseeded && arrival.credited_bits == 0));
    }

    #[test]
    fn what_repeats_itself_is_mixed_in_and_not_credited() {
        let block: Vec<u8> = (0..16).collect();
        for bytes in [vec![0; 64], block.repeat(2), block.repeat(5).split_at(70).0.to_vec()] {
            let given = give(&bytes, 256).unwrap();
            assert_eq!((given.bytes as usize, given.credited_bits), (bytes.len(), Err(CreditError::Repeats)));
        }
        let block: Vec<u8> = (0..33).collect();
        assert!(!repeats(&block) && !repeats(&[block.clone(), vec![7; 32]].concat()) && !repeats(&[]));
    }

    #[test]
    fn bytes_are_mixed_in_whoever_asks() {
        let given = give(&[7; 64], 0).unwrap();
        assert_eq!((given.bytes, given.credited_bits, given.ready_after), (64, Ok(0), true));
    }
}
