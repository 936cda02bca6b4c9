//! Keys made before the generator was ready, and keys that other machines have too.
//!
//! When a key was made is taken from its file's time of change. Keys from before this boot cannot be judged by its
//! log; they are listed as unseen, with the command that asks the journal. All comparisons leave two seconds, since file times are whole seconds and the moment of the boot
//! is computed from two clocks.

use weir_kernel::host::{EarlyReader, Host, KeyKind, KnownKey, MachineId, Unknown};

use crate::remedy::{and, in_container, quoted, seconds};
use crate::report::{Finding, Unseen, Verdict};

const TOLERANCE_S: i64 = 2;

/// Programs that make keys from what they read.
const KEY_MAKERS: &[&str] = &[
    "ssh-keygen",
    "dropbear",
    "dropbearkey",
    "openssl",
    "gpg",
    "gpg-agent",
    "certtool",
    "certutil",
    "wg",
    "keytool",
    "make-ssl-cert",
];

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    for key in &host.keys {
        if let Err(why) = &key.meta {
            unseen.push(Unseen::new(host, format!("the key {}", key.path), why));
        }
    }
    unseen.extend(before_this_boot(host));
    let mut findings: Vec<Finding> = [early(host), early_makers(host)].into_iter().flatten().collect();
    findings.extend(copied(host));
    findings.extend(made_elsewhere(host, &findings));
    findings.extend(no_machine_id(host));
    if findings.iter().all(|finding| finding.verdict == Verdict::Ok) {
        findings.extend(fine(host));
    }
    findings
}

/// Whether a program's name says that it makes keys.
pub(crate) fn makes_keys(reader: &EarlyReader) -> bool {
    KEY_MAKERS.contains(&reader.program.as_str())
}

fn modified(key: &KnownKey) -> Option<i64> {
    key.meta.as_ref().ok().map(|meta| meta.modified)
}

fn names(keys: &[&KnownKey]) -> String {
    and(&keys.iter().map(|key| key.path.clone()).collect::<Vec<_>>())
}

/// Keys made in this boot before the generator was ready. `None`: that cannot be told, since it is not known when it was.
#[must_use]
pub fn early_keys(host: &Host) -> Option<Vec<&KnownKey>> {
    let booted = *host.kernel.booted.as_ref().ok()?;
    let until = match (&host.readiness.ready, &host.readiness.after_boot) {
        (Ok(false), _) => i64::MAX,
        (_, Ok(at)) => booted.saturating_add(i64::try_from(at.as_secs()).ok()?).saturating_sub(TOLERANCE_S),
        _ => return None,
    };
    let too_early = |key: &&KnownKey| {
        key.kind != KeyKind::Identity && modified(key).is_some_and(|made| (booted..until).contains(&made))
    };
    Some(host.keys.iter().filter(too_early).collect())
}

fn early(host: &Host) -> Option<Finding> {
    let keys = early_keys(host).filter(|keys| !keys.is_empty())?;
    let ready = host.readiness.after_boot.as_ref();
    let ready = ready
        .map_or("it is not ready yet".to_owned(), |at| format!("it was ready {} after boot", seconds(*at)));
    Some(
        Finding::new(
            "keys.early",
            Verdict::Critical,
            format!("Made in this boot before the generator was ready: {}", names(&keys)),
            format!("Who knows how such machines boot may guess these keys; {ready}."),
        )
        .command(make_again(&keys)),
    )
}

/// Keys from before this boot, of which this kernel's log does not tell.
fn before_this_boot(host: &Host) -> Option<Unseen> {
    let booted = *host.kernel.booted.as_ref().ok()?;
    let earlier = |key: &&KnownKey| {
        key.kind != KeyKind::Identity && modified(key).is_some_and(|made| made + TOLERANCE_S < booted)
    };
    let made = match host.keys.iter().filter(earlier).count() {
        0 => return None,
        1 => "one well-known key was made".to_owned(),
        count => format!("{count} well-known keys were made"),
    };
    // A container has no journal of its own, and its keys may be of anywhere.
    let command =
        (!in_container(host)).then(|| "journalctl _TRANSPORT=kernel -g 'crng (init )?done'".to_owned());
    Some(Unseen {
        what: format!("whether the generator was ready when {made}, before this boot"),
        why: "the kernel log is of this boot alone".to_owned(),
        command,
    })
}

/// Programs that make keys and did not wait.
fn early_makers(host: &Host) -> Option<Finding> {
    let readers = &host.log.as_ref().ok()?.facts.early_readers;
    let makers: Vec<String> =
        readers.iter().filter(|reader| makes_keys(reader)).map(|reader| reader.program.clone()).collect();
    (!makers.is_empty()).then(|| {
        Finding::new(
            "keys.early-program",
            Verdict::Critical,
            format!("{} read random bytes in this boot before the generator was ready", and(&makers)),
            "A key that was made from such bytes may be guessed; the kernel log has the moments.",
        )
        .command("dmesg | grep 'uninitialized urandom read'")
    })
}

/// Keys and identities that were there before this machine was itself.
fn copied(host: &Host) -> Vec<Finding> {
    let Some((since, how)) = became_itself(host) else { return Vec::new() };
    let older = |key: &&KnownKey| modified(key).is_some_and(|made| made + TOLERANCE_S < since);
    let (identities, keys): (Vec<&KnownKey>, Vec<&KnownKey>) =
        host.keys.iter().filter(older).partition(|key| key.kind == KeyKind::Identity);
    let finding = |id, keys: &[&KnownKey]| {
        let command = make_again(keys);
        let what = format!("Older than this machine: {}", names(keys));
        Finding::new(id, Verdict::Warning, what, how).command(command)
    };
    let keys = (!keys.is_empty()).then(|| finding("keys.copied", &keys));
    let identities = (!identities.is_empty()).then(|| finding("keys.copied-identity", &identities));
    keys.into_iter().chain(identities).collect()
}

/// Since when this machine is not another, in seconds since 1970, and why what is older is shared.
fn became_itself(host: &Host) -> Option<(i64, &'static str)> {
    // A container's files come from its image, whatever happened to the host.
    if in_container(host) {
        return None;
    }
    let forked = host.log.as_ref().ok().and_then(|log| log.facts.forks.iter().rev().find_map(|at| *at));
    if let (Some(at), Ok(booted)) = (forked, &host.kernel.booted) {
        let moment = booted.saturating_add(i64::try_from(at.as_secs()).ok()?);
        return Some((
            moment,
            "They were in the snapshot that this machine was started from, so every machine started from it has them.",
        ));
    }
    let cloud = host.cloud.as_ref().ok().filter(|cloud| cloud.previous.is_some())?;
    let since = *cloud.since.as_ref().ok()?;
    Some((
        since,
        "They came with the image, which was another instance before, so every machine made from it has them.",
    ))
}

/// SSH host keys whose comment names another machine.
fn made_elsewhere(host: &Host, already: &[Finding]) -> Option<Finding> {
    if already.iter().any(|finding| finding.id == "keys.copied") {
        return None;
    }
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let hostname = short(host.kernel.hostname.as_ref().ok()?);
    let elsewhere = |key: &KnownKey| key.made_on.clone().filter(|name| short(name) != hostname);
    let name = host.keys.iter().find_map(elsewhere)?;
    Some(
        Finding::new(
            "keys.made-elsewhere",
            Verdict::Note,
            format!("SSH host keys were made when this machine was called {name}"),
            "Either it has been renamed, or the keys were copied and other machines have them too.",
        )
        .command("ssh-keyscan -t ed25519 OTHER-MACHINE | ssh-keygen -lf - && ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
    )
}

fn no_machine_id(host: &Host) -> Option<Finding> {
    (host.machine_id == Ok(MachineId::Unset)).then(|| {
        Finding::ok(
            "keys.machine-id",
            "The machine has no ID yet",
            "It is made at the first boot, as it should be in an image.",
        )
    })
}

fn fine(host: &Host) -> Option<Finding> {
    let secret = host.keys.iter().filter(|key| key.kind != KeyKind::Identity && key.meta.is_ok()).count();
    if secret == 0 {
        return None;
    }
    let what = match secret {
        1 => "One well-known key was looked at".to_owned(),
        count => format!("{count} well-known keys were looked at"),
    };
    let judged = host.kernel.booted.is_ok()
        && (host.readiness.after_boot.is_ok() || host.readiness.after_boot == Err(Unknown::Absent));
    Some(if judged {
        Finding::ok(
            "keys.fine",
            what,
            "None was made in this boot before the generator was ready, and there is no sign that one was copied.",
        )
    } else {
        Finding::ok(
            "keys.fine",
            what,
            "There is no sign that one was copied; whether one was made too early could not be seen.",
        )
    })
}

/// How keys of these kinds are made again.
fn make_again(keys: &[&KnownKey]) -> String {
    let any = |test: fn(&KnownKey) -> bool| keys.iter().any(|key| test(key));
    let mut commands = Vec::new();
    if any(|key| key.path.starts_with("/etc/ssh/")) {
        commands.push("rm /etc/ssh/ssh_host_*_key* && ssh-keygen -A && systemctl try-restart ssh sshd");
    }
    if any(|key| key.path.starts_with("/etc/dropbear/")) {
        commands.push("rm /etc/dropbear/dropbear_*_host_key && dropbearkey -t ed25519 -f /etc/dropbear/dropbear_ed25519_host_key");
    }
    if any(|key| key.path.ends_with("snakeoil.key")) {
        commands.push("make-ssl-cert generate-default-snakeoil --force-overwrite");
    }
    if any(|key| key.path.ends_with("machine-id")) {
        commands.push("rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup && reboot");
    }
    if commands.is_empty() {
        let paths: Vec<String> = keys.iter().map(|key| quoted(&key.path)).collect();
        return format!("ls -l {}  # make these again", paths.join(" "));
    }
    commands.join(" && ")
}
