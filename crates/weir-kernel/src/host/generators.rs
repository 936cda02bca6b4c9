//! Hardware generators: the kernel's hw_random framework, and a TPM.

use super::root::{Fact, Root, Unknown};

const HW_RANDOM: &str = "/sys/class/misc/hw_random";

/// The kernel's hw_random framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HwRandom {
    /// The generators that drivers offer, such as `virtio_rng.0`.
    pub available: Fact<Vec<String>>,
    /// The one in use. `Ok(None)`: none is.
    pub current: Fact<Option<String>>,
    /// What its driver says of it, in 1024ths of a bit of entropy a bit. Zero: the kernel does not feed itself from it.
    pub quality: Fact<u64>,
    /// Whether /dev/hwrng is there for programs.
    pub device: Fact<bool>,
}

impl HwRandom {
    pub(super) fn read(root: &Root) -> Self {
        let file = |name: &str| root.line(&format!("{HW_RANDOM}/{name}"));
        let available = file("rng_available").map(|line| {
            let names = line.split_ascii_whitespace().filter(|name| *name != "none");
            names.map(str::to_owned).collect()
        });
        Self {
            available,
            current: file("rng_current")
                .map(|name| Some(name).filter(|name| !name.is_empty() && name != "none")),
            quality: root.number(&format!("{HW_RANDOM}/rng_quality")),
            device: root.exists("/dev/hwrng"),
        }
    }
}

/// A trusted platform module, as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tpm {
    /// Such as `tpm0`.
    pub name: String,
    /// 1 or 2, where the kernel says it (5.6 and later).
    pub major: Fact<u64>,
}

pub(super) fn tpms(root: &Root) -> Fact<Vec<Tpm>> {
    let names = match root.list("/sys/class/tpm") {
        Ok(names) => names,
        Err(Unknown::Absent) => Vec::new(),
        Err(other) => return Err(other),
    };
    let tpm = |name: String| {
        let major = root.number(&format!("/sys/class/tpm/{name}/tpm_version_major"));
        Tpm { name, major }
    };
    Ok(names
        .into_iter()
        .filter(|name| name.starts_with("tpm") && !name.starts_with("tpmrm"))
        .map(tpm)
        .collect())
}
