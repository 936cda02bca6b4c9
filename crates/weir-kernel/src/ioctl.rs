//! Giving entropy to the kernel: random(4)'s ioctls.
//!
//! Two words are kept apart throughout. To *mix* bytes into the pool can never harm and needs no right. To *credit* them
//! with bits of entropy makes the kernel believe in them, which needs CAP_SYS_ADMIN and a reason. The kernel
//! itself takes any credit it is told, a million bits for 32 bytes too; here a [`Sample`] carries its credit, and
//! one above eight bits a byte cannot be made.
//!
//! What the kernel does with it depends on the time: before it is ready, credit counts towards readiness; after that
//! it only mixes. Neither is felt before the next reseed, so a feeder calls [`Pool::reseed`] when it matters.
//!
//! Absent on purpose: RNDADDTOENTCNT (credit without bytes), RNDZAPENTCNT and RNDCLEARPOOL (of no use to anybody).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::{error, fmt};

use zeroize::Zeroize;

use crate::syscall::last_errno;

// Computed, because architectures encode direction and size differently (<asm/ioctl.h>, <linux/random.h>).
const RNDGETENTCNT: libc::Ioctl = libc::_IOR::<libc::c_int>(b'R' as u32, 0x00);
const RNDADDENTROPY: libc::Ioctl = libc::_IOW::<[libc::c_int; 2]>(b'R' as u32, 0x03);
const RNDRESEEDCRNG: libc::Ioctl = libc::_IO(b'R' as u32, 0x07);

/// Bytes together with the entropy that they are said to hold: at most eight bits a byte.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    bytes: &'a [u8],
    credit_bits: u32,
}

impl<'a> Sample<'a> {
    /// The longest sample. The kernel refuses to credit a longer one if a signal comes in between.
    pub const MAX_BYTES: usize = 4096;

    /// Bytes that count for nothing: mixed in, not believed in.
    ///
    /// # Errors
    /// [`SampleError::TooLong`].
    pub fn uncredited(bytes: &'a [u8]) -> Result<Self, SampleError> {
        Self::credited(bytes, 0)
    }

    /// Bytes worth `bits` of entropy. Whoever calls this states the reason next to the number.
    ///
    /// # Errors
    /// [`SampleError::OverCredit`] for more than eight bits a byte, [`SampleError::TooLong`].
    pub fn credited(bytes: &'a [u8], bits: u32) -> Result<Self, SampleError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(SampleError::TooLong { bytes: bytes.len() });
        }
        let most = 8 * bytes.len() as u32;
        if bits > most {
            return Err(SampleError::OverCredit { bits, most });
        }
        Ok(Self { bytes, credit_bits: bits })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The credit in bits.
    #[must_use]
    pub fn credit_bits(&self) -> u32 {
        self.credit_bits
    }
}

impl fmt::Debug for Sample<'_> {
    /// The bytes stay unsaid: they may become the kernel's seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sample({} bytes, {} bits)", self.bytes.len(), self.credit_bits)
    }
}

/// Why bytes and a credit make no [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleError {
    /// More bits than the bytes can hold.
    OverCredit {
        /// What was asked for.
        bits: u32,
        /// The most that these bytes can hold.
        most: u32,
    },
    /// More than [`Sample::MAX_BYTES`].
    TooLong {
        /// How many there were.
        bytes: usize,
    },
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OverCredit { bits, most } => {
                write!(f, "a credit of {bits} bits is more than these bytes can hold, which is {most}")
            }
            Self::TooLong { bytes } => {
                write!(f, "a sample of {bytes} bytes is longer than {}; add it in pieces", Sample::MAX_BYTES)
            }
        }
    }
}

impl error::Error for SampleError {}

/// Why the kernel did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolError {
    /// No /dev/random here.
    Absent,
    /// CAP_SYS_ADMIN is missing, or the device may not be opened.
    Denied,
    /// A reseed was asked for before the kernel was ready; it would have nothing to take it from.
    NotReady,
    /// This kernel does not know the request (a reseed, before Linux 4.17).
    Unsupported,
    /// Any other error number.
    Os(i32),
}

impl PoolError {
    fn from_errno(errno: i32) -> Self {
        match errno {
            libc::ENOENT | libc::ENXIO | libc::ENODEV => Self::Absent,
            libc::EPERM | libc::EACCES => Self::Denied,
            libc::ENODATA => Self::NotReady,
            // The device answers EINVAL, and not ENOTTY, to a request that it does not know.
            libc::EINVAL | libc::ENOTTY => Self::Unsupported,
            other => Self::Os(other),
        }
    }

    fn last() -> Self {
        Self::from_errno(last_errno())
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no /dev/random here; mount /dev"),
            Self::Denied => {
                f.write_str("crediting or reseeding needs CAP_SYS_ADMIN in the host's user namespace")
            }
            Self::NotReady => {
                f.write_str("the kernel's generator is not ready yet, so it cannot reseed; feed it first")
            }
            Self::Unsupported => {
                f.write_str("this kernel does not know the request; a reseed needs Linux 4.17")
            }
            Self::Os(errno) => write!(f, "/dev/random: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

impl error::Error for PoolError {}

/// The kernel's entropy pool.
#[derive(Debug)]
pub struct Pool {
    device: File,
}

impl Pool {
    /// Opens /dev/random. Reading and writing where that is allowed, else reading, which is enough for all but
    /// [`Pool::mix`].
    ///
    /// # Errors
    /// [`PoolError::Absent`], [`PoolError::Denied`] or [`PoolError::Os`].
    pub fn open() -> Result<Self, PoolError> {
        let open = |write: bool| {
            let mut options = File::options();
            options.read(true).write(write).custom_flags(libc::O_CLOEXEC | libc::O_NOCTTY);
            options.open("/dev/random")
        };
        let device = open(true).or_else(|_| open(false));
        let errno = |error: io::Error| PoolError::from_errno(error.raw_os_error().unwrap_or(libc::EIO));
        Ok(Self { device: device.map_err(errno)? })
    }

    /// Mixes bytes in, crediting nothing. Needs no right.
    ///
    /// # Errors
    /// [`PoolError`]; what was written before it stays mixed in, which harms nobody.
    pub fn mix(&self, bytes: &[u8]) -> Result<(), PoolError> {
        let errno = |error: io::Error| PoolError::from_errno(error.raw_os_error().unwrap_or(libc::EIO));
        (&self.device).write_all(bytes).map_err(errno)
    }

    /// Mixes a sample in and credits it. Needs CAP_SYS_ADMIN, even for a credit of zero.
    ///
    /// # Errors
    /// [`PoolError`]; nothing was credited then.
    pub fn add(&self, sample: Sample<'_>) -> Result<(), PoolError> {
        let mut request = Request {
            credit_bits: sample.credit_bits.cast_signed(),
            bytes: sample.bytes.len() as i32,
            buf: [0; Sample::MAX_BYTES],
        };
        if let Some(start) = request.buf.get_mut(..sample.bytes.len()) {
            start.copy_from_slice(sample.bytes);
        }
        // SAFETY: the kernel reads the two numbers and then `bytes` bytes of `buf`, which holds them.
        let answer = unsafe { libc::ioctl(self.device.as_raw_fd(), RNDADDENTROPY, &raw const request) };
        // The copy could become a seed; it must not stay on the stack.
        request.buf.zeroize();
        if answer == 0 { Ok(()) } else { Err(PoolError::last()) }
    }

    /// Has the kernel take a new key from its pool at once. Needs CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn reseed(&self) -> Result<(), PoolError> {
        // SAFETY: this request has no argument.
        let answer = unsafe { libc::ioctl(self.device.as_raw_fd(), RNDRESEEDCRNG) };
        if answer == 0 { Ok(()) } else { Err(PoolError::last()) }
    }

    /// What the kernel says it holds, in bits: on kernels that count to 256, 256 is full.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn count_bits(&self) -> Result<u32, PoolError> {
        let mut bits: libc::c_int = 0;
        // SAFETY: the kernel writes one int.
        let answer = unsafe { libc::ioctl(self.device.as_raw_fd(), RNDGETENTCNT, &raw mut bits) };
        if answer == 0 {
            u32::try_from(bits).map_err(|_| PoolError::Os(libc::ERANGE))
        } else {
            Err(PoolError::last())
        }
    }
}

/// `struct rand_pool_info`, with room for the longest sample.
#[repr(C)]
struct Request {
    credit_bits: i32,
    bytes: i32,
    buf: [u8; Sample::MAX_BYTES],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_never_more_than_eight_bits_a_byte() {
        let bytes = [0; Sample::MAX_BYTES + 1];
        for length in [0, 1, 31, 32, 4096] {
            let most = 8 * length as u32;
            let piece = &bytes[..length];
            assert_eq!(Sample::credited(piece, most).expect("the most is allowed").credit_bits(), most);
            for over in [most + 1, 1_000_000, u32::MAX] {
                let error = Sample::credited(piece, over).expect_err("more than the most");
                assert_eq!(error, SampleError::OverCredit { bits: over, most });
            }
        }
        let error = Sample::uncredited(&bytes).expect_err("longer than the longest");
        assert_eq!(error, SampleError::TooLong { bytes: 4097 });
    }

    #[test]
    fn a_sample_does_not_print_its_bytes() {
        let sample = Sample::credited(&[0x5a; 4], 3).expect("valid");
        assert_eq!(format!("{sample:?}"), "Sample(4 bytes, 3 bits)");
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn request_numbers_are_those_of_the_kernel() {
        // <linux/random.h> as the preprocessor gives it on these architectures.
        assert_eq!([RNDGETENTCNT, RNDADDENTROPY, RNDRESEEDCRNG], [0x8004_5200, 0x4008_5203, 0x5207]);
    }
}
