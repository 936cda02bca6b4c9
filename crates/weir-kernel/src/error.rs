//! Why a draw failed, and what to do about it.
//!
//! Contract: a draw that returns one of these has given nothing. The caller's buffer has been erased, so that what is
//! left in it cannot pass for random bytes. There is no variant for "drawn from something weaker": that never happens.

use std::{fmt, io};

/// Why a draw from the kernel's generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The kernel has not gathered enough entropy since boot yet. The only error that waiting mends.
    NotReady,
    /// The kernel has no getrandom(2), which came with Linux 3.17 (ENOSYS).
    Unsupported,
    /// A policy of this process forbids getrandom(2): a seccomp filter, most often a container's (EPERM, EACCES).
    Denied,
    /// The answer was neither bytes nor an error: nothing, or more than was asked for. Linux never answers so;
    /// something between this program and the kernel does.
    Broken,
    /// Any other error number of the operating system.
    Os(i32),
}

impl Error {
    /// The error that the kernel's number stands for, in the context of a draw.
    #[cfg(target_os = "linux")]
    pub(crate) fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EAGAIN => Self::NotReady,
            libc::ENOSYS => Self::Unsupported,
            libc::EPERM | libc::EACCES => Self::Denied,
            other => Self::Os(other),
        }
    }

    /// Whether the same call can succeed later without anybody changing the host.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotReady)
    }

    /// What whoever runs the host can do, as a sentence.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotReady => {
                "wait, or see what the host lacks with `weir doctor`: a virtual machine usually lacks virtio-rng"
            }
            Self::Unsupported => "run this on Linux 3.17 or later",
            Self::Denied => {
                "allow the system call getrandom in the seccomp profile of this container or service"
            }
            Self::Broken => "look for a system-call emulator or a seccomp supervisor around this process",
            Self::Os(_) => "look the error number up with `errno`, and see `weir doctor`",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("the kernel's random number generator is not ready yet")?,
            Self::Unsupported => f.write_str("this kernel has no getrandom system call")?,
            Self::Denied => f.write_str("this process may not call getrandom")?,
            Self::Broken => f.write_str("getrandom answered neither bytes nor an error")?,
            Self::Os(errno) => {
                write!(f, "getrandom failed: {}", io::Error::from_raw_os_error(*errno))?;
            }
        }
        write!(f, "; {}", self.advice())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::NotReady => io::ErrorKind::WouldBlock,
            Error::Unsupported => io::ErrorKind::Unsupported,
            Error::Denied => io::ErrorKind::PermissionDenied,
            Error::Broken | Error::Os(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        for error in [Error::NotReady, Error::Unsupported, Error::Denied, Error::Broken, Error::Os(libc::EIO)]
        {
            let text = error.to_string();
            assert!(text.contains("; "), "{text}");
            assert!(text.ends_with(error.advice()), "{text}");
        }
    }

    #[test]
    fn only_waiting_for_the_kernel_is_worth_a_retry() {
        assert!(Error::NotReady.is_retryable());
        assert!(!Error::Unsupported.is_retryable());
        assert!(!Error::Denied.is_retryable());
        assert!(!Error::Broken.is_retryable());
        assert!(!Error::Os(libc::EIO).is_retryable());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn errno_maps_to_the_variant_that_names_the_cause() {
        assert_eq!(Error::from_errno(libc::EAGAIN), Error::NotReady);
        assert_eq!(Error::from_errno(libc::ENOSYS), Error::Unsupported);
        assert_eq!(Error::from_errno(libc::EPERM), Error::Denied);
        assert_eq!(Error::from_errno(libc::EACCES), Error::Denied);
        assert_eq!(Error::from_errno(libc::EFAULT), Error::Os(libc::EFAULT));
    }
}
