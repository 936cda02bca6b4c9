//! The workspace's one door to the time of day.
//!
//! Kept in one place so that a reader can see who depends on a clock that people and NTP set, and so that tests of
//! everything else need none. Durations are measured with [`std::time::Instant`], which needs no door.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The wall clock as a duration since 1970-01-01T00:00:00Z, leap seconds not counted. A clock set before that year
/// reads as that moment.
#[must_use]
pub fn since_unix_epoch() -> Duration {
    now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whole seconds since 1970.
#[must_use]
pub fn unix_seconds() -> i64 {
    i64::try_from(since_unix_epoch().as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since 1970 with their fraction; exact to a microsecond in this century.
#[must_use]
pub fn unix_seconds_f64() -> f64 {
    since_unix_epoch().as_secs_f64()
}

/// Whole milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(since_unix_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// Time since the machine started, suspension included (CLOCK_BOOTTIME). Nobody sets this clock.
#[cfg(target_os = "linux")]
#[must_use]
pub fn since_boot() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable for the length of the call.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) else {
        return Duration::ZERO;
    };
    if answer == 0 { Duration::new(seconds, nanoseconds) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_wall_clock_agree() {
        let before = unix_seconds();
        let (float, ms) = (unix_seconds_f64(), unix_ms());
        let after = unix_seconds();
        assert!(before <= float as i64 && float as i64 <= after);
        assert!(before <= (ms / 1000) as i64 && (ms / 1000) as i64 <= after);
    }

    #[test]
    fn time_since_boot_goes_forward_and_is_what_the_kernel_says() {
        let first = since_boot();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let kernel: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let second = since_boot();
        assert!(first.as_secs_f64() - 0.01 <= kernel && kernel <= second.as_secs_f64() + 0.01);
    }
}
