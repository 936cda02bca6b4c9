//! Seed files: present, fresh, private, creditable, and of this machine alone?

use weir_kernel::host::{Host, Meta, SeedFile, SeedKeeper, Unknown};

use crate::remedy::in_container;
use crate::report::{Finding, Unseen, Verdict};
use crate::sources::early_sources;

/// Fewer bytes than this make no kernel ready.
const LEAST_BYTES: u64 = 32;
/// How far clocks of file system and kernel may lie apart.
const TOLERANCE_S: i64 = 2;

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if in_container(host) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for file in &host.seed_files {
        match &file.meta {
            // The EFI system partition is often closed to users, and often mounted elsewhere.
            Err(_) if on_boot_partition(file) => {}
            Err(why) => unseen.push(Unseen::new(host, format!("the seed file {}", file.path), why)),
            Ok(meta) => findings.push(judge(host, file, meta)),
        }
    }
    if findings.is_empty() && unseen.iter().all(|item| !item.what.starts_with("the seed file")) {
        findings.push(none(host));
    }
    findings
}

fn none(host: &Host) -> Finding {
    let what = "There is no seed file";
    if !early_sources(host).is_empty() {
        return Finding::ok(
            "seeds.none",
            what,
            "It would be one more source at boot and is not needed here.",
        );
    }
    let why =
        "It would carry entropy from this boot to the next, which has no other early source that is known.";
    Finding::new("seeds.none", Verdict::Note, what, why).command("systemctl enable --now systemd-random-seed")
}

/// Whether a seed file makes the next boot ready, and only this machine's.
pub(crate) fn counts(host: &Host, file: &SeedFile) -> bool {
    let good = |meta: &Meta| judge(host, file, meta).verdict == Verdict::Ok;
    file.creditable == Ok(true) && file.meta.as_ref().is_ok_and(good)
}

fn judge(host: &Host, file: &SeedFile, meta: &Meta) -> Finding {
    let path = file.path;
    if file.keeper == SeedKeeper::Pollinate {
        return Finding::ok(
            "seeds.pollinate",
            "pollinate has fetched a seed from the network",
            "What comes over the network is mixed in and never believed in, so it can do no harm.",
        );
    }
    // weir-feed notices a seed of another machine by itself.
    let creditable = file.creditable == Ok(true) && file.keeper != SeedKeeper::WeirFeed;
    if from_image(host, meta) {
        return Finding::new(
            "seeds.file",
            if creditable { Verdict::Warning } else { Verdict::Note },
            format!("The seed file {path} is older than this instance"),
            "It came with the image, so every machine made from that image has it.",
        )
        .command(format!("rm {path} && {}", renew(file)));
    }
    if meta.mode & 0o077 != 0 && !on_boot_partition(file) {
        return Finding::new(
            "seeds.file",
            Verdict::Warning,
            format!("The seed file {path} can be read by others (mode {:04o})", meta.mode),
            "Who knows the seed knows what the next boot begins with.",
        )
        .command(format!("chmod 600 {path} && {}", renew(file)));
    }
    if meta.bytes < LEAST_BYTES {
        return Finding::new(
            "seeds.file",
            Verdict::Note,
            format!("The seed file {path} is only {} bytes long", meta.bytes),
            "A seed of less than 32 bytes cannot make the generator ready.",
        )
        .command(renew(file));
    }
    if stale(host, file, meta) {
        return Finding::new(
            "seeds.file",
            if creditable { Verdict::Warning } else { Verdict::Note },
            format!("The seed file {path} was not renewed in this boot"),
            "The next boot would begin with the same seed as this one.",
        )
        .command(renew(file));
    }
    Finding::ok(
        "seeds.file",
        format!("The seed file {path} is {}private", if stale_is_known(host) { "fresh and " } else { "" }),
        match &file.creditable {
            Ok(true) => "It is marked as creditable, so it makes the next boot ready early.",
            Ok(false) => "It is mixed in at the next boot, and not credited.",
            Err(Unknown::Absent) => "It is mixed in at the next boot.",
            Err(_) => "It is mixed in at the next boot; whether it is credited could not be seen.",
        },
    )
}

/// The EFI system partition has no owners and modes.
fn on_boot_partition(file: &SeedFile) -> bool {
    file.keeper == SeedKeeper::SystemdBoot
}

/// Whether the file is from before the present instance of a disk that was another's before.
fn from_image(host: &Host, meta: &Meta) -> bool {
    let Ok(cloud) = &host.cloud else { return false };
    cloud.previous.is_some() && cloud.since.as_ref().is_ok_and(|since| meta.modified + TOLERANCE_S < *since)
}

fn stale_is_known(host: &Host) -> bool {
    host.kernel.booted.is_ok()
}

/// Whether the file is still that which this boot began with.
fn stale(host: &Host, file: &SeedFile, meta: &Meta) -> bool {
    // systemd-boot renews its file before the kernel starts.
    !on_boot_partition(file)
        && host.kernel.booted.as_ref().is_ok_and(|booted| meta.modified + TOLERANCE_S < *booted)
}

fn renew(file: &SeedFile) -> &'static str {
    match file.keeper {
        SeedKeeper::SeedRng => "seedrng",
        SeedKeeper::SystemdBoot => "bootctl random-seed",
        SeedKeeper::InitScript => "service urandom restart",
        SeedKeeper::WeirFeed => "systemctl restart weir-feed",
        _ => "systemctl restart systemd-random-seed",
    }
}
