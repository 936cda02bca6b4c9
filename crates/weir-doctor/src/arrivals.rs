//! Seeds that came to this host from outside in this boot: what `weir seed` brought, and cloud-init's step.
//!
//! A seed that was mixed in is felt when the kernel takes its next key. Where nobody had it reseed, that is within a minute on
//! kernels that count to 256; on older ones it may be long, since they take a key only when their estimate allows.

use std::time::Duration;

use weir_kernel::host::{Accounting, Arrival, Host};

use crate::remedy::{in_container, seconds};
use crate::report::{Finding, Unseen, Verdict};

/// How long a ready kernel that counts to 256 keeps a key (CRNG_RESEED_INTERVAL of drivers/char/random.c).
const RESEEDS_AFTER: Duration = Duration::from_secs(60);

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if let Err(why) = &host.arrivals {
        unseen.push(Unseen::new(host, "which seeds arrived in this boot", why));
    }
    let arrivals = host.arrivals.as_deref().unwrap_or_default();
    let cloud = if in_container(host) { None } else { cloud_init(host) };
    [arrived(arrivals), unfelt(host, arrivals), cloud].into_iter().flatten().collect()
}

fn arrived(arrivals: &[Arrival]) -> Option<Finding> {
    let last = arrivals.last()?;
    let from = if last.from == "-" { String::new() } else { format!(" from {}", last.from) };
    let last = format!("{} bytes by {}{from}, {} after boot", last.bytes, last.way, seconds(last.since_boot));
    let what = match arrivals.len() {
        1 => format!("A seed arrived in this boot: {last}"),
        count => format!("{count} seeds arrived in this boot, the last of {last}"),
    };
    let credited = arrivals.iter().filter(|arrival| arrival.credited_bits > 0).count();
    let believed = match credited {
        0 => "mixed in and not credited, so it can do no harm".to_owned(),
        _ if credited == arrivals.len() => "credited, because its sender asked for that".to_owned(),
        _ => format!("mixed in, and credited {credited} times, because the sender asked for that"),
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
