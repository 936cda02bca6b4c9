//! What to do where the kernel gets too little: the same advice wherever it is given.

use weir_kernel::host::{Host, Hypervisor};

/// Gives a guest of KVM the hypervisor's generator.
const VIRTIO_RNG: &str = "virt-xml GUEST --add-device --rng /dev/urandom  # on the hypervisor";
/// Feeds the kernel from the CPU's timing. Measured: it makes kernels ready that would wait for ever, old and new.
const FEEDER: &str = "systemctl enable --now weir-feed";

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

/// The two largest units of a time.
pub(crate) fn two_units(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A word for the shell. Names of files come from whoever made the host that is looked at, and commands are copied.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `a, b and c`.
pub(crate) fn and(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_words_that_mean_something_to_a_shell_are_quoted() {
        assert_eq!(quoted("/etc/ssh/ssh_host_rsa_key"), "/etc/ssh/ssh_host_rsa_key");
        assert_eq!(quoted("virtio_rng.0"), "virtio_rng.0");
        assert_eq!(quoted("/etc/wireguard/$(reboot).conf"), "'/etc/wireguard/$(reboot).conf'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
