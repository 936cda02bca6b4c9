//! C's pointers as slices.
//!
//! A pointer that is null, or a length that no object can have, is an error here, so that the rest of the crate sees slices
//! only. That the memory is there is the caller's word; C has no better.

use std::ffi::c_char;

use crate::result::{Failure, Outcome};

/// The memory at `at`, to write. Null is good for no bytes.
///
/// # Safety
/// If not null, `at` points to `size` bytes that may be written and that nobody else uses for `'a`.
pub(crate) unsafe fn output<'a>(at: *mut u8, size: usize) -> Outcome<&'a mut [u8]> {
    if size == 0 {
        return Ok(&mut []);
    }
    if at.is_null() {
        return Err(Failure::NULL);
    }
    if isize::try_from(size).is_err() {
        return Err(Failure::INVALID);
    }
    // SAFETY: not null, of a length that an object may have, and writable (the caller's promise). The memory is C's, and
    // any bytes that are in it are bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(at, size) })
}

/// The number at `at`, to write: zero until then.
///
/// # Safety
/// If not null, `at` points to a number that may be written and that nobody else uses for `'a`.
pub(crate) unsafe fn number<'a, T: Default>(at: *mut T) -> Outcome<&'a mut T> {
    if at.is_null() {
        return Err(Failure::NULL);
    }
    // SAFETY: not null, and writable (the caller's promise); a value of the type is written before it is referred to.
    unsafe {
        at.write(T::default());
        Ok(&mut *at)
    }
}

/// The text at `at`, which has at most `most` bytes before its zero.
///
/// # Safety
/// If not null, `at` points to bytes up to and including a zero, or to more than `most` bytes, which nobody writes
/// for `'a`.
pub(crate) unsafe fn text<'a>(at: *const c_char, most: usize) -> Outcome<&'a str> {
    if at.is_null() {
        return Err(Failure::NULL);
    }
    // SAFETY: reads up to the zero, or `most + 1` bytes, all of which are there (the caller's promise).
    let bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), libc::strnlen(at, most + 1)) };
    if bytes.len() > most {
        return Err(Failure::INVALID);
    }
    std::str::from_utf8(bytes).map_err(|_| Failure::INVALID)
}
