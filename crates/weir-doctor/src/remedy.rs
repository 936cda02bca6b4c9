//! What to do where the kernel gets too little: the same advice wherever it is given.

use weir_kernel::host::{Host, Hypervisor};

/// Gives a guest of KVM the hypervisor's generator.
const VIRTIO_RNG: &str = "virt-xml GUEST --add-device --rng /dev/urandom  # on the hypervisor";
/// Feeds the kernel from the CPU's timing. Measured: it makes kernels ready that would wait for ever, old and new.
const FEEDER: &str = "systemctl enable --now jitterentropy  # from the package jitterentropy-rngd";

/// How to give this host's kernel an early source of entropy.
pub(crate) fn early_source(host: &Host) -> &'static str {
    match &host.hypervisor {
        Ok(Some(Hypervisor::Kvm | Hypervisor::Qemu)) => VIRTIO_RNG,
        _ => FEEDER,
    }
}

/// How to look at the host around a container.
pub(crate) const ON_THE_HOST: &str = "weir doctor  # on the host that runs the container";

/// Whether the facts about the kernel are those of a host around this container.
pub(crate) fn in_container(host: &Host) -> bool {
    matches!(&host.container, Ok(Some(_)))
}

/// Whether the kernel runs in a virtual machine.
pub(crate) fn in_virtual_machine(host: &Host) -> bool {
    matches!(&host.hypervisor, Ok(Some(_)))
}

/// Seconds with as many decimals as matter.
pub(crate) fn seconds(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.0} s") }
}

/// `a, b and c`.
pub(crate) fn and(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
