//! The kernel and its generator: how it counts, whether it is ready, what `entropy_avail` means here.

use std::time::Duration;

use weir_kernel::Way;
use weir_kernel::host::{Accounting, Host, Unknown};

use crate::remedy::{ON_THE_HOST, early_source, in_container, seconds};
use crate::report::{Finding, Unseen, Verdict};

/// From here on a boot had to wait for randomness: services of a server start within ten seconds.
pub(crate) const LATE: Duration = Duration::from_secs(10);
/// Below this estimate old kernels made readers of /dev/random wait.
const LOW_ESTIMATE_BITS: u64 = 1000;

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    [accounting(host, unseen), ready(host, unseen), entropy(host), draw(host)].into_iter().flatten().collect()
}

fn accounting(host: &Host, unseen: &mut Vec<Unseen>) -> Option<Finding> {
    let release =
        host.kernel.release.as_ref().map_or("This kernel".to_owned(), |release| format!("Linux {release}"));
    match &host.pool.accounting {
        Ok(Accounting::Full256) => Some(Finding::ok(
            "kernel.accounting",
            format!("{release} counts entropy to 256 bits"),
            "This is the modern accounting: once 256 is reached it stays, and nothing has to be refilled.",
        )),
        Ok(Accounting::Estimate4096) => Some(Finding::new(
            "kernel.accounting",
            Verdict::Note,
            format!("{release} estimates entropy up to 4096 bits"),
            "This is the old accounting, whose estimate falls with use; kernels since 5.18 no longer have it.",
        )),
        Err(why) => {
            unseen.push(Unseen::new(host, "how the kernel counts entropy", why));
            None
        }
    }
}

fn ready(host: &Host, unseen: &mut Vec<Unseen>) -> Option<Finding> {
    match (&host.readiness.ready, &host.readiness.after_boot) {
        (Ok(true), Ok(at)) if *at < LATE => Some(Finding::ok(
            "kernel.ready",
            format!("The generator has been ready since {} after boot", seconds(*at)),
            "What has been drawn from it since then cannot be guessed.",
        )),
        (Ok(true), Ok(at)) => Some(late(host, *at)),
        (Ok(true), Err(why)) => {
            unseen.push(Unseen::new(host, "when the generator became ready", why));
            Some(Finding::ok(
                "kernel.ready",
                "The generator is ready",
                "What is drawn from it now cannot be guessed; since when that is so is not known.",
            ))
        }
        (Ok(false), _) => Some(not_ready(host)),
        (Err(why), _) => {
            unseen.push(Unseen::new(host, "whether the generator is ready", why));
            None
        }
    }
}

fn late(host: &Host, at: Duration) -> Finding {
    Finding::new(
        "kernel.ready",
        Verdict::Warning,
        format!("The generator became ready only {} after boot", seconds(at)),
        "Until then programs that asked for secrets had to wait, or were given bytes that could be guessed.",
    )
    .command(if in_container(host) { ON_THE_HOST } else { early_source(host) })
}

fn not_ready(host: &Host) -> Finding {
    let after = host.kernel.uptime.as_ref().map(|uptime| format!(" {} after boot", seconds(*uptime)));
    Finding::new(
        "kernel.ready",
        Verdict::Critical,
        format!("The generator is not ready{}", after.unwrap_or_default()),
        "Nothing secret can be drawn yet, and what is read from /dev/urandom all the same can be guessed.",
    )
    .command(if in_container(host) { ON_THE_HOST } else { early_source(host) })
}

/// What the most misread number of Linux means here.
fn entropy(host: &Host) -> Option<Finding> {
    let (Ok(accounting), Ok(bits)) = (&host.pool.accounting, &host.pool.available_bits) else { return None };
    Some(match accounting {
        Accounting::Full256 if *bits >= 256 => Finding::ok(
            "kernel.entropy",
            "entropy_avail is 256 of 256",
            "256 is full on this kernel, for ever; that values below 1000 are low is true of old kernels only.",
        ),
        Accounting::Full256 => Finding::new(
            "kernel.entropy",
            Verdict::Note,
            format!("entropy_avail is {bits} of 256"),
            "It counts up, and when it reaches 256 the generator is ready.",
        ),
        Accounting::Estimate4096 => estimate(host, *bits),
    })
}

fn estimate(host: &Host, bits: u64) -> Finding {
    let what = format!("entropy_avail is {bits} of 4096");
    // The file went away with the pool whose readers it woke.
    let random_blocks = host.pool.read_wakeup_bits != Err(Unknown::Absent);
    if !random_blocks {
        let why = "On this kernel the estimate makes nobody wait any more once the generator is ready.";
        return Finding::ok("kernel.entropy", what, why);
    }
    if bits >= LOW_ESTIMATE_BITS {
        let why = "On this kernel readers of /dev/random wait when the estimate runs low, and it is not low.";
        return Finding::ok("kernel.entropy", what, why);
    }
    let why =
        "On this kernel readers of /dev/random wait when the estimate runs low, and below 1000 they soon do.";
    Finding::new("kernel.entropy", Verdict::Warning, what, why).command(if in_container(host) {
        ON_THE_HOST
    } else {
        early_source(host)
    })
}

fn draw(host: &Host) -> Option<Finding> {
    Some(match &host.way {
        Ok(Way::Vdso) => Finding::ok(
            "kernel.draw",
            "Draws go through the vDSO, without a system call",
            "The kernel's own generator answers in the caller's memory, in about a tenth of a microsecond.",
        ),
        Ok(Way::Syscall) => Finding::ok(
            "kernel.draw",
            "Draws go by getrandom(2)",
            "That is as strong and some times slower than the vDSO's getrandom, which kernels have since 6.11.",
        ),
        // A recorded host.
        Err(Unknown::Absent) => return None,
        Err(Unknown::Denied) => Finding::new(
            "kernel.draw",
            Verdict::Warning,
            "This process may not call getrandom(2)",
            "A seccomp policy forbids it, so programs under it fail, or turn to something weaker.",
        )
        .command("grep Seccomp /proc/self/status  # then allow getrandom in the profile of this container or service"),
        Err(why) => Finding::new(
            "kernel.draw",
            Verdict::Warning,
            format!("getrandom(2) fails: {why}"),
            "Programs that need secrets fail, or turn to something weaker; Linux has this call since 3.17.",
        )
        .command("uname -r && grep Seccomp /proc/self/status"),
    })
}
