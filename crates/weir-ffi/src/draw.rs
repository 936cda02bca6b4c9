//! Bytes, readiness, numbers, and erasing.

use std::ffi::{c_int, c_void};
use std::time::Duration;

use weir_kernel::Purpose;

use crate::memory;
use crate::result::{Failure, Outcome, answer};

/// Fills memory, waiting for the kernel's generator if it has to.
///
/// # Safety
/// `out` points to `size` bytes that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_fill(out: *mut c_void, size: usize) -> c_int {
    // SAFETY: this function's own contract.
    let out = unsafe { memory::output(out.cast(), size) };
    answer(out.and_then(|out| Ok(weir_kernel::fill(out)?)))
}

/// As [`weir_fill`], but never waits.
///
/// # Safety
/// As [`weir_fill`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_try_fill(out: *mut c_void, size: usize) -> c_int {
    // SAFETY: this function's own contract.
    let out = unsafe { memory::output(out.cast(), size) };
    answer(out.and_then(|out| Ok(weir_kernel::try_fill(out)?)))
}

/// Whether a draw would be answered at once.
#[unsafe(no_mangle)]
pub extern "C" fn weir_ready() -> c_int {
    answer(weir_kernel::ready().map_err(Failure::from))
}

/// Waits until [`weir_ready`] is 0, at most so many milliseconds; without limit if negative.
#[unsafe(no_mangle)]
pub extern "C" fn weir_wait_ready(timeout_ms: c_int) -> c_int {
    let ready = match (weir_kernel::ready(), u64::try_from(timeout_ms)) {
        // Nothing to wait for, or no time to: without the preparations of a wait.
        (Ok(()), _) => Ok(()),
        (error, Ok(0)) => error,
        (_, timeout_ms) => weir_kernel::wait_ready(timeout_ms.map_or(Duration::MAX, Duration::from_millis)),
    };
    answer(ready.map_err(Failure::from))
}

/// A whole number from `low` to `high`, both included.
///
/// # Safety
/// `out` points to a number that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_uniform_u64(low: u64, high: u64, out: *mut u64) -> c_int {
    // SAFETY: this function's own contract.
    answer(unsafe { memory::number(out) }.and_then(|out| {
        if low > high {
            return Err(Failure::INVALID);
        }
        weir_kernel::ready()?;
        *out = weir_mint::uniform(low..=high)?;
        Ok(())
    }))
}

/// A number of [0, 1): a multiple of 2^-53, each equally likely.
///
/// # Safety
/// `out` points to a number that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_double(out: *mut f64) -> c_int {
    // SAFETY: this function's own contract.
    answer(unsafe { memory::number(out) }.and_then(|out| {
        let word = word(Purpose::Other)?;
        // 53 bits are what a double holds exactly, so nothing is rounded, and never up to 1.
        *out = (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        Ok(())
    }))
}

/// 64 bits for the seed of a generator whose output need not be secret.
///
/// # Safety
/// `out` points to a number that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_seed(out: *mut u64) -> c_int {
    // SAFETY: this function's own contract.
    answer(unsafe { memory::number(out) }.and_then(|out| {
        *out = word(Purpose::Seed)?;
        Ok(())
    }))
}

/// Overwrites memory that held a secret with zeros.
///
/// # Safety
/// `at` points to `size` bytes that may be written, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn weir_erase(at: *mut c_void, size: usize) -> c_int {
    // SAFETY: this function's own contract.
    answer(unsafe { memory::output(at.cast(), size) }.map(weir_mint::erase))
}

fn word(purpose: Purpose) -> Outcome<u64> {
    let mut word = [0; 8];
    weir_kernel::try_fill_for(purpose, &mut word)?;
    Ok(u64::from_ne_bytes(word))
}
