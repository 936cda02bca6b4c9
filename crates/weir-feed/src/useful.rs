//! Whether a daemon does any good on this host, and what: the answer that operators ask for and seldom get.

use weir_kernel::host::{Accounting, Hypervisor, Root, Surroundings};

/// What a daemon is good for here, or why it is for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Use {
    /// For this.
    Good(&'static str),
    /// For nothing.
    None(&'static str),
}

/// What is known of the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) ready: bool,
    pub(crate) accounting: Accounting,
    /// Whether a hypervisor's word is listened for.
    pub(crate) words: bool,
}

/// What a daemon is good for on the running host.
pub(crate) fn of(known: Known) -> Use {
    judge(known, || Surroundings::read(&Root::live()))
}

/// The surroundings are looked at only if the kernel alone does not decide.
fn judge(known: Known, around: impl FnOnce() -> Surroundings) -> Use {
    if !known.ready {
        return Use::Good("the kernel is not ready");
    }
    if known.accounting == Accounting::Estimate4096 {
        return Use::Good("this kernel counts down from 4096 bits, and readers depend on its estimate");
    }
    if known.words {
        return Use::Good("a hypervisor may tell of clones");
    }
    let around = around();
    if matches!(around.container, Ok(Some(_))) {
        return Use::None("this is a container, and entropy is a matter of the host's kernel");
    }
    if matches!(around.hypervisor, Ok(Some(Hypervisor::UserMode))) {
        return Use::None(
            "this kernel is ready, and gets what it needs from the host that it is a process of",
        );
    }
    if matches!(around.hypervisor, Ok(Some(_))) {
        return Use::Good("this is a virtual machine, which may be cloned");
    }
    if around.hw_random.quality == Ok(0) && matches!(around.hw_random.current, Ok(Some(_))) {
        return Use::Good("the kernel does not feed itself from the hardware generator that is there");
    }
    Use::None("this kernel is ready, keeps itself seeded, and runs on no hypervisor that could clone it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_kernel::host::{HwRandom, Unknown};

    fn around(hypervisor: Option<Hypervisor>, quality: Option<u64>) -> Surroundings {
        Surroundings {
            hypervisor: Ok(hypervisor),
            container: Ok(None),
            hw_random: HwRandom {
                available: Ok(Vec::new()),
                current: Ok(quality.map(|_| "rng.0".to_owned())),
                quality: quality.ok_or(Unknown::Absent),
                device: Ok(true),
            },
        }
    }

    fn good(known: Known, around: Surroundings) -> bool {
        matches!(judge(known, || around), Use::Good(_))
    }

    #[test]
    fn it_is_good_where_a_kernel_or_a_machine_needs_it() {
        let new = Known { ready: true, accounting: Accounting::Full256, words: false };
        let old = Known { accounting: Accounting::Estimate4096, ..new };
        assert!(!good(new, around(None, None)));
        assert!(!good(new, around(None, Some(1024))));
        assert!(!good(new, around(Some(Hypervisor::UserMode), None)));
        assert!(good(new, around(None, Some(0))));
        assert!(good(new, around(Some(Hypervisor::Kvm), None)));
        assert!(good(old, around(None, None)));
        assert!(good(Known { ready: false, ..new }, around(None, None)));
        assert!(good(Known { words: true, ..new }, around(None, None)));
    }
}
