//! Where the kernel's entropy comes from, and whether the next boot will have some early.

use weir_kernel::host::{BootSeed, Cpu, Host, Trust, Unknown};

use crate::kernel::LATE;
use crate::remedy::{and, early_source, in_container, in_virtual_machine, quoted, seconds};
use crate::report::{Finding, Unseen, Verdict};
use crate::seeds::counts;

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if let Err(why @ (Unknown::Denied | Unknown::Os(_))) = &host.boot_seeds {
        unseen.push(Unseen::new(host, "seeds from firmware and boot loader", why));
    }
    if let Err(why @ (Unknown::Denied | Unknown::Os(_))) = &host.hw_random.available {
        unseen.push(Unseen::new(host, "hardware generators", why));
    }
    [cpu(host, unseen), hardware(host), firmware(host), tpm(host), trust(host), next_boot(host)]
        .into_iter()
        .flatten()
        .collect()
}

fn cpu(host: &Host, unseen: &mut Vec<Unseen>) -> Option<Finding> {
    let cpu = match &host.cpu {
        Ok(cpu) => cpu,
        Err(why) => {
            unseen.push(Unseen::new(host, "the CPU's random number instructions", why));
            return None;
        }
    };
    if cpu.random.any() {
        let names: Vec<String> = cpu.random.names().into_iter().map(str::to_owned).collect();
        return Some(Finding::ok(
            "sources.cpu",
            format!("The CPU has {}", and(&names)),
            "The kernel mixes it in from its first moment on.",
        ));
    }
    // A processor of this decade without it is one whose model hides it.
    let hidden = cpu.hypervisor == Some(true);
    let finding = Finding::new(
        "sources.cpu",
        if hidden { Verdict::Note } else { Verdict::Ok },
        "The CPU has no random number instruction",
        if hidden {
            "The virtual CPU's model hides what nearly every x86 processor has."
        } else {
            "Many processors have none, and the kernel does not depend on it."
        },
    );
    Some(if hidden && !in_container(host) {
        finding.command("virt-xml GUEST --edit --cpu host-passthrough  # on the hypervisor")
    } else {
        finding
    })
}

fn hardware(host: &Host) -> Option<Finding> {
    let hw_random = &host.hw_random;
    let available = hw_random.available.as_ref().ok()?;
    let current = hw_random.current.as_ref().ok()?;
    Some(match (current, available.first(), &hw_random.quality) {
        (Some(name), _, Ok(0)) => Finding::new(
            "sources.hardware",
            Verdict::Note,
            format!("The hardware generator {name} is there and the kernel does not feed itself from it"),
            "Its driver vouches for no quality, so it takes a word from the administrator or a daemon such as rngd.",
        )
        .command("echo 512 > /sys/class/misc/hw_random/rng_quality"),
        (Some(name), ..) => Finding::ok(
            "sources.hardware",
            format!("The hardware generator {name} is in use"),
            "The kernel feeds itself from it, without any daemon.",
        ),
        (None, Some(name), _) => Finding::new(
            "sources.hardware",
            Verdict::Note,
            format!("The hardware generator {name} is there and not in use"),
            "None is chosen.",
        )
        .command(format!("echo {} > /sys/class/misc/hw_random/rng_current", quoted(name))),
        (None, None, _) if wants_virtio(host) => Finding::new(
            "sources.hardware",
            Verdict::Note,
            "There is no virtio-rng",
            "With it the hypervisor would make this guest ready at once, whatever its CPU can do.",
        )
        .command(early_source(host)),
        (None, None, _) => Finding::ok(
            "sources.hardware",
            "There is no hardware generator",
            "Most machines have none beside the CPU's own.",
        ),
    })
}

/// A guest of KVM could have virtio-rng for the asking; others could not.
fn wants_virtio(host: &Host) -> bool {
    use weir_kernel::host::Hypervisor::{Kvm, Qemu};
    matches!(&host.hypervisor, Ok(Some(Kvm | Qemu))) && !in_container(host)
}

fn firmware(host: &Host) -> Option<Finding> {
    let seeds = host.boot_seeds.as_ref().ok()?;
    let names: Vec<String> = seeds.iter().map(|seed| boot_seed_name(*seed).to_owned()).collect();
    (!names.is_empty()).then(|| {
        Finding::ok(
            "sources.firmware",
            format!("Firmware or boot loader gave a seed: {}", and(&names)),
            "The kernel mixes it in before anything else runs.",
        )
    })
}

fn boot_seed_name(seed: BootSeed) -> &'static str {
    match seed {
        BootSeed::EfiTable => "the EFI table",
        BootSeed::EfiSystemToken => "systemd-boot's system token",
        BootSeed::DeviceTree => "the device tree",
        BootSeed::SetupData => "the boot loader's setup data",
        BootSeed::AzureOem0 => "Azure's table OEM0",
        _ => "another",
    }
}

fn tpm(host: &Host) -> Option<Finding> {
    let tpm = host.tpms.as_ref().ok()?.first()?;
    let version = tpm.major.as_ref().map(|major| format!(" (version {major})")).unwrap_or_default();
    Some(Finding::ok(
        "sources.tpm",
        format!("There is a TPM, {}{version}", tpm.name),
        "Its generator is one more source, which the kernel uses as a hardware generator.",
    ))
}

fn trust(host: &Host) -> Option<Finding> {
    let trust = host.kernel.trust.as_ref().ok()?;
    let said =
        |name: &str, value: Option<bool>| value.map(|on| format!("{name}={}", if on { "on" } else { "off" }));
    let mut words: Vec<String> =
        [said("random.trust_cpu", trust.cpu), said("random.trust_bootloader", trust.bootloader)]
            .into_iter()
            .flatten()
            .collect();
    if trust.no_rdrand {
        words.push("nordrand".to_owned());
    }
    if words.is_empty() {
        return Some(Finding::ok(
            "sources.trust",
            "Trust in CPU and boot loader is left to the kernel's default",
            "Since Linux 6.2 both are trusted to make the generator ready, and mixed with all else in any case.",
        ));
    }
    let distrusted = trust.cpu == Some(false) || trust.bootloader == Some(false) || trust.no_rdrand;
    let (verdict, why) = if distrusted {
        (
            Verdict::Note,
            "What is not trusted is still mixed in, and does not make the generator ready by itself.",
        )
    } else {
        (Verdict::Ok, "What is trusted can make the generator ready at boot, mixed with all else.")
    };
    Some(Finding::new("sources.trust", verdict, format!("The command line says {}", and(&words)), why))
}

/// Whether something makes the generator ready early at the next boot.
fn next_boot(host: &Host) -> Option<Finding> {
    if in_container(host) {
        return None;
    }
    let sources = early_sources(host);
    if !sources.is_empty() {
        return Some(Finding::ok(
            "sources.boot",
            format!("The next boot has early entropy from {}", and(&sources)),
            "One source that is not known to an attacker is enough.",
        ));
    }
    // Judged by what happened, where that is known; a source that this look missed may have been at work.
    let at = host.readiness.after_boot.as_ref().ok().filter(|_| host.readiness.ready == Ok(true));
    let quick = at.is_some_and(|at| *at < LATE);
    if quick || host.cpu.is_err() || (at.is_none() && host.readiness.ready == Ok(true)) {
        return None;
    }
    let took = at.map_or(String::new(), |at| format!(", which took {} this time", seconds(*at)));
    Some(
        Finding::new(
            "sources.boot",
            Verdict::Warning,
            "Nothing gives this host entropy early at boot",
            format!("The generator has to be filled from interrupts and timing{took}."),
        )
        .command(early_source(host)),
    )
}

/// The sources that give entropy before services start.
pub(crate) fn early_sources(host: &Host) -> Vec<String> {
    let trust = host.kernel.trust.as_ref().copied().unwrap_or_default();
    let mut sources = Vec::new();
    if host.cpu.as_ref().is_ok_and(|cpu| cpu_counts(cpu, trust)) {
        sources.push("the CPU".to_owned());
    }
    if let (Ok(Some(name)), true) = (&host.hw_random.current, host.hw_random.quality != Ok(0)) {
        sources.push(name.clone());
    }
    let seeds = host.boot_seeds.as_deref().unwrap_or_default();
    if trust.bootloader != Some(false) && !seeds.is_empty() {
        sources
            .push(if in_virtual_machine(host) { "the virtual firmware" } else { "the firmware" }.to_owned());
    }
    if host.seed_files.iter().any(|file| counts(host, file)) {
        sources.push("a seed file".to_owned());
    }
    sources
}

fn cpu_counts(cpu: &Cpu, trust: Trust) -> bool {
    cpu.random.any() && trust.cpu != Some(false) && !trust.no_rdrand
}
