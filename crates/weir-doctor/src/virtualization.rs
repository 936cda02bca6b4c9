//! Hypervisor and container: whose kernel this is, and whether a clone of this machine would know that it is one.

use weir_kernel::host::{Host, Hypervisor, Unknown, VmGenId};

use crate::remedy::{ON_THE_HOST, in_container, seconds};
use crate::report::{Finding, Unseen, Verdict, hypervisor_name};

pub(crate) fn findings(host: &Host, unseen: &mut Vec<Unseen>) -> Vec<Finding> {
    if let Err(why) = &host.hypervisor {
        unseen.push(Unseen::new(host, "under what the kernel runs", why));
    }
    [container(host), hypervisor(host), clone_signal(host, unseen), vmclock(host), forks(host)]
        .into_iter()
        .flatten()
        .collect()
}

fn container(host: &Host) -> Option<Finding> {
    let container = host.container.as_ref().ok()?.as_ref()?;
    let release =
        host.kernel.release.as_ref().map(|release| format!(", Linux {release}")).unwrap_or_default();
    let kernel = match container.manager.as_str() {
        "gvisor" => "an imitation by gVisor",
        "wsl" => "the one that Windows runs for it",
        _ => "that of the host around it",
    };
    let files =
        container.system.as_ref().map(|system| format!("; only its files are {system}")).unwrap_or_default();
    Some(
        Finding::new(
            "virtualization.container",
            Verdict::Note,
            format!("This is a container ({}), and its kernel is {kernel}{release}", container.manager),
            format!("What is said here about the kernel is true of that host, and can be changed only there{files}."),
        )
        .command(ON_THE_HOST),
    )
}

fn hypervisor(host: &Host) -> Option<Finding> {
    Some(match host.hypervisor.as_ref().ok()? {
        None => Finding::ok(
            "virtualization.hypervisor",
            "The kernel runs on hardware",
            "No hypervisor stands between it and its sources.",
        ),
        Some(Hypervisor::Unnamed) => Finding::ok(
            "virtualization.hypervisor",
            "The kernel runs in a virtual machine",
            "The CPU says that there is a hypervisor, and nothing says which.",
        ),
        Some(hypervisor) => Finding::ok(
            "virtualization.hypervisor",
            format!("The kernel runs in a virtual machine under {}", hypervisor_name(hypervisor)),
            "Interrupts tell little there, so a source from the hypervisor or the CPU matters.",
        ),
    })
}

/// Whether the kernel would learn that this machine was cloned.
fn clone_signal(host: &Host, unseen: &mut Vec<Unseen>) -> Option<Finding> {
    let hypervisor = host.hypervisor.as_ref().ok()?.as_ref()?;
    let vmgenid = match &host.clone_signals.vmgenid {
        Ok(vmgenid) => vmgenid,
        Err(why) => {
            unseen.push(Unseen::new(host, "the VM generation ID", why));
            return None;
        }
    };
    let finding = match vmgenid {
        VmGenId::Listening => Finding::ok(
            "virtualization.clone",
            "The kernel listens to a VM generation ID",
            "When this machine is cloned or restored, the kernel reseeds itself at once.",
        ),
        VmGenId::WithoutDriver => Finding::new(
            "virtualization.clone",
            Verdict::Note,
            "The hypervisor offers a VM generation ID and this kernel has no driver for it",
            "Clones of this machine would draw the same bytes until the next reseed; drivers came with Linux 5.18 and 6.10.",
        )
        .command("modprobe vmgenid || uname -r"),
        VmGenId::None => Finding::new(
            "virtualization.clone",
            Verdict::Note,
            "Nothing tells the kernel when this machine is cloned",
            "Clones of this machine would draw the same bytes until the next reseed, which can be a minute away.",
        ),
    };
    let offer = matches!(hypervisor, Hypervisor::Kvm | Hypervisor::Qemu) && *vmgenid == VmGenId::None;
    Some(if offer && !in_container(host) {
        finding.command("virt-xml GUEST --edit --metadata genid_enable=yes  # on the hypervisor")
    } else {
        finding
    })
}

fn vmclock(host: &Host) -> Option<Finding> {
    let vmclock = &host.clone_signals.vmclock;
    if vmclock.offered != Ok(true) {
        return None;
    }
    Some(match &vmclock.page {
        Ok(page) if page.generation.is_some() => Finding::ok(
            "virtualization.vmclock",
            "VMClock counts the lives of this machine",
            "Programs can poll the counter and learn of a clone or restore without asking the kernel.",
        ),
        Ok(_) => Finding::ok(
            "virtualization.vmclock",
            "VMClock is there, without a generation counter",
            "It tells of time and not of clones.",
        ),
        Err(Unknown::Denied) => Finding::ok(
            "virtualization.vmclock",
            "VMClock is there and may not be read by this user",
            "Its generation counter would tell of a clone or restore.",
        ),
        Err(_) => Finding::ok(
            "virtualization.vmclock",
            "The hypervisor offers VMClock and this kernel does not show it",
            "Its generation counter would tell programs of a clone or restore.",
        ),
    })
}

fn forks(host: &Host) -> Option<Finding> {
    let forks = &host.log.as_ref().ok()?.facts.forks;
    let times = match forks.len() {
        0 => return None,
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    let last = forks.iter().rev().find_map(|at| *at);
    let last = last.map(|at| format!(", last {} after boot", seconds(at))).unwrap_or_default();
    let what = format!("The kernel was told {times} that this machine was cloned or restored{last}");
    let why = "It reseeded itself then; programs with a generator of their own went on with the old state unless restarted.";
    let command = "systemctl restart SERVICE  # each that keeps a generator of its own, as OpenSSL does";
    Some(Finding::new("virtualization.forks", Verdict::Note, what, why).command(command))
}
