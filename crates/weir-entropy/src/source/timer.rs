//! The finest clock that this machine has: the CPU's counter, else CLOCK_MONOTONIC_RAW.
//!
//! Contract: reading it executes the same instructions each time, and nothing before or after the reading moves
//! across it. Ticks have no unit; only differences are used.

/// Reads the clock.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both belong to what every x86-64 CPU has. Where a process has forbidden itself the counter
    // (PR_SET_TSC), it gets a signal; nobody does that to a feeder.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// Reads the clock.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: Linux lets user space read the virtual counter. The barriers keep the reading in its place; the work
    // between two readings must not move, hence memory is not declared untouched.
    unsafe {
        std::arch::asm!("isb", "mrs {}, cntvct_el0", "isb", out(reg) ticks, options(nostack, preserves_flags));
    }
    ticks
}

/// Reads the clock.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
pub(super) fn ticks() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable for the length of the call. It cannot fail for this clock since Linux 2.6.28; if it
    // does, time stands still, which the tests of the source notice.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// The step in which the clock counts, as far as these differences show it: their greatest common divisor.
pub(super) fn granularity(deltas: &[u64]) -> u64 {
    deltas.iter().fold(0, |step, &delta| gcd(step, delta)).max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let first = ticks();
        let mut second = ticks();
        for _ in 0..1_000_000 {
            second = ticks();
        }
        assert!(second > first);
    }

    #[test]
    fn the_step_is_what_all_differences_share() {
        assert_eq!(granularity(&[]), 1);
        assert_eq!(granularity(&[0, 0]), 1);
        assert_eq!(granularity(&[1000, 0, 3000, 5000]), 1000);
        assert_eq!(granularity(&[36, 26]), 2);
        assert_eq!(granularity(&[7, u64::MAX]), 1);
    }
}
