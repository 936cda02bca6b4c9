//! What functions answer: 0, or a negated error number of `errno.h`; and what those mean here.

use std::ffi::{CStr, c_char, c_int};

use weir_kernel::Error;
use weir_mint::scannable::FillError;

/// Why a call did nothing: an error number, not negated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure(c_int);

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) const NULL: Self = Self(libc::EFAULT);
    pub(crate) const INVALID: Self = Self(libc::EINVAL);
    pub(crate) const NO_ROOM: Self = Self(libc::ERANGE);
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(match error {
            Error::NotReady => libc::EAGAIN,
            Error::Unsupported => libc::ENOSYS,
            Error::Denied => libc::EPERM,
            Error::Os(number) if number > 0 => number,
            _ => libc::EIO,
        })
    }
}

impl From<FillError> for Failure {
    fn from(error: FillError) -> Self {
        match error {
            FillError::Room(_) => Self::NO_ROOM,
            FillError::Draw(error) => error.into(),
            _ => Self::INVALID,
        }
    }
}

/// An outcome as C sees it.
pub(crate) fn answer(outcome: Outcome<()>) -> c_int {
    match outcome {
        Ok(()) => 0,
        Err(Failure(number)) => -number,
    }
}

/// What a result means, as a text that is never freed.
#[unsafe(no_mangle)]
pub extern "C" fn weir_strerror(result: c_int) -> *const c_char {
    meaning(result).as_ptr()
}

fn meaning(result: c_int) -> &'static CStr {
    match result.checked_neg().map(c_int::abs) {
        Some(0) => c"success",
        Some(libc::EAGAIN) => c"the kernel's random number generator is not ready yet",
        Some(libc::EFAULT) => c"a pointer is null",
        Some(libc::EINVAL) => c"an argument is out of range",
        Some(libc::ERANGE) => c"the text does not fit into the buffer",
        Some(libc::ENOSYS) => c"this kernel has no getrandom system call",
        Some(libc::EPERM) => c"this process may not call getrandom: a seccomp policy denies it",
        Some(libc::EIO) => c"getrandom answered neither bytes nor an error",
        _ => c"getrandom failed with this error number",
    }
}

/// The version of this library.
#[unsafe(no_mangle)]
pub extern "C" fn weir_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_draw_has_a_number_and_a_meaning() {
        let errors = [
            (Error::NotReady, libc::EAGAIN, "not ready"),
            (Error::Unsupported, libc::ENOSYS, "no getrandom"),
            (Error::Denied, libc::EPERM, "may not"),
            (Error::Broken, libc::EIO, "neither"),
            (Error::Os(libc::EFAULT), libc::EFAULT, "null"),
            (Error::Os(libc::ENOMEM), libc::ENOMEM, "this error number"),
            (Error::Os(0), libc::EIO, "neither"),
            (Error::Os(-7), libc::EIO, "neither"),
        ];
        for (error, number, text) in errors {
            let result = answer(Err(error.into()));
            assert_eq!(result, -number, "{error:?}");
            let said = meaning(result).to_str().expect("ASCII");
            assert!(said.contains(text), "{error:?}: {said}");
            assert_eq!(meaning(-result), meaning(result), "with and without its sign");
        }
        assert_eq!(meaning(answer(Ok(()))), c"success");
        assert_eq!(meaning(c_int::MIN), meaning(c_int::MAX));
    }
}
