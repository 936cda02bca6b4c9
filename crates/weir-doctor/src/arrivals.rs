//! Seeds that came to this host from outside in this boot: what `weir seed` brought, and cloud-init's step.
//!
//! A seed that was mixed in is felt when the kernel takes its next key. Where nobody had it reseed, that is within a minute on
//! kernels that count to 256; on older ones it may be long, since they take a key only when their estimate allows.

use std::time::Duration;

use weir_kernel::host::arrivals::KEPT;
use weir_kernel::host::{Accounting, Arrival, Host};

use crate::remedy::{in_container, seconds, two_units};
use crate::report::{Finding, Unseen, Verdict};

/// How long a ready kernel that counts to 256 keeps a key (CRNG_RESEED_INTERVAL of drivers/char/random.c).
const RESEEDS_AFTER: Duration = Duration::from_secs(60);
/// So many of the newest are told one by one.
const TOLD: usize = 3;

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if let Err(why) = &host.arrivals {
        unseen.push(Unseen::new(host, "which seeds arrived in this boot", why));
    }
    let arrivals = host.arrivals.as_deref().unwrap_or_default();
    let cloud = if in_container(host) { None } else { cloud_init(host) };
    [arrived(arrivals), unfelt(host, arrivals), cloud].into_iter().flatten().collect()
}

/// Notes are kept of the newest alone, so that a number at that bound is the least that it can be.
fn arrived(arrivals: &[Arrival]) -> Option<Finding> {
    let arrivals = arrivals.get(arrivals.len().saturating_sub(KEPT)..)?;
    let told: Vec<String> = arrivals.iter().rev().take(TOLD).map(one).collect();
    let (last, earlier) = told.split_first()?;
    let earlier =
        if earlier.is_empty() { String::new() } else { format!("; before it: {}", earlier.join("; ")) };
    let what = match arrivals.len() {
        1 => format!("A seed arrived in this boot: {last}"),
        KEPT => format!("{KEPT} seeds or more arrived in this boot, the last: {last}{earlier}"),
        count => format!("{count} seeds arrived in this boot, the last: {last}{earlier}"),
    };
    let credited = arrivals.iter().filter(|arrival| arrival.credited_bits > 0).count();
    let believed = match credited {
        0 => "mixed in and not credited, so it can do no harm".to_owned(),
        _ if credited == arrivals.len() => "credited, because its sender asked for that".to_owned(),
        1 => "mixed in, and credited once, because its sender asked for that".to_owned(),
        _ => format!("mixed in, and credited {credited} times, because its sender asked for that"),
    };
    let ready = match arrivals.iter().find(|arrival| !arrival.ready_before && arrival.ready_after) {
        Some(_) => ", and made the generator ready",
        None if arrivals.iter().any(|arrival| !arrival.ready_after) => {
            ", and the generator was not ready then"
        }
        None => "",
    };
    Some(Finding::ok("seeds.arrived", what, format!("What came was {believed}{ready}.")))
}

/// What came, when and from where.
fn one(arrival: &Arrival) -> String {
    let from = if arrival.from == "-" { String::new() } else { format!(" from {}", arrival.from) };
    let when = utc(arrival.at).map(|at| format!("{at}, ")).unwrap_or_default();
    let after = match arrival.since_boot.as_secs() {
        0..60 => seconds(arrival.since_boot),
        long => two_units(long),
    };
    format!("{} bytes by {}{from}, {when}{after} after boot", arrival.bytes, arrival.way)
}

/// The date and the time of day at so many seconds since 1970; `None` before that and from the year 10000 on.
fn utc(seconds: i64) -> Option<String> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds < 253_402_300_800)?;
    // Years that begin in March end with their leap day. The first of March 2000 begins a cycle of 400 of them; 1600 one before.
    let days = seconds / 86_400 + 135_080;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (1600 + 400 * cycle + year + month / 10, (month + 2) % 12 + 1);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Some(format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// Seeds since which the kernel took no key that is known of.
fn unfelt(host: &Host, arrivals: &[Arrival]) -> Option<Finding> {
    let waiting = arrivals.iter().rev().take_while(|arrival| !arrival.reseeded);
    let waiting: Vec<&Arrival> = waiting.filter(|arrival| !reseeded_since(host, arrival)).collect();
    if waiting.is_empty() {
        return None;
    }
    let what = match waiting.len() {
        1 => "A seed that arrived may not be felt yet".to_owned(),
        count => format!("{count} seeds that arrived may not be felt yet"),
    };
    Some(
        Finding::new(
            "seeds.arrived-unfelt",
            Verdict::Note,
            what,
            "It is in the pool, and the kernel was not told to take a new key, which only root may ask for.",
        )
        .command("weir seed push --sudo THIS-HOST  # where the seed came from"),
    )
}

/// Whether the kernel has certainly taken a new key of its own since then.
fn reseeded_since(host: &Host, arrival: &Arrival) -> bool {
    host.readiness.ready == Ok(true)
        && host.pool.accounting == Ok(Accounting::Full256)
        && host.kernel.uptime.as_ref().is_ok_and(|now| now.saturating_sub(arrival.since_boot) > RESEEDS_AFTER)
}

/// cloud-init's step `seed_random`, which runs once an instance.
fn cloud_init(host: &Host) -> Option<Finding> {
    let at = *host.cloud.as_ref().ok()?.seeded.as_ref().ok()?;
    let booted = *host.kernel.booted.as_ref().ok()?;
    let when = match u64::try_from(at.saturating_sub(booted)) {
        Ok(after) => format!("in this boot, {after} s after it began"),
        Err(_) => "in an earlier boot".to_owned(),
    };
    Some(Finding::ok(
        "seeds.cloud-init",
        format!("cloud-init mixed in the seed of its data, if there is one, {when}"),
        "What is in user-data others can read too, so it is not credited; it does no harm.",
    ))
}

#[cfg(test)]
mod tests {
    use super::utc;

    /// Vectors by `date -u -d @N`.
    #[test]
    fn the_calendar() {
        for (seconds, said) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_367_110, "2026-11-22 17:05:10"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (253_402_300_799, "9999-12-31 23:59:59"),
        ] {
            assert_eq!(utc(seconds), Some(format!("{said} UTC")));
        }
        assert_eq!((utc(-1), utc(253_402_300_800)), (None, None));
    }
}
