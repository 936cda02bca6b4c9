//! Seeds: what firmware or boot loader handed to the kernel, and the files that carry entropy from one boot to the next.

use super::log::KernelLog;
use super::root::{Fact, Meta, Root, Unknown};

/// A seed from before the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootSeed {
    /// The firmware's table LINUX_EFI_RANDOM_SEED, mixed in by the kernel.
    EfiTable,
    /// systemd-boot's system token in an EFI variable, which makes its seed file differ from machine to machine.
    EfiSystemToken,
    /// `rng-seed` under /chosen of the device tree. The kernel removes it after use, so most are not seen.
    DeviceTree,
    /// x86 setup data of type 9, from a boot loader or a virtual machine monitor.
    SetupData,
    /// Azure's ACPI table OEM0.
    AzureOem0,
}

pub(super) fn boot_seeds(root: &Root, log: &Fact<KernelLog>) -> Fact<Vec<BootSeed>> {
    const TOKEN: &str = "/sys/firmware/efi/efivars/LoaderSystemToken-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    let mut seeds = Vec::new();
    if log.as_ref().is_ok_and(|log| log.facts.efi_seed) {
        seeds.push(BootSeed::EfiTable);
    }
    for (path, seed) in [
        (TOKEN, BootSeed::EfiSystemToken),
        ("/proc/device-tree/chosen/rng-seed", BootSeed::DeviceTree),
        ("/sys/firmware/acpi/tables/OEM0", BootSeed::AzureOem0),
    ] {
        if root.exists(path)? {
            seeds.push(seed);
        }
    }
    if has_setup_data_seed(root)? {
        seeds.push(BootSeed::SetupData);
    }
    Ok(seeds)
}

/// Whether the boot protocol's setup data holds an entry of type SETUP_RNG_SEED.
fn has_setup_data_seed(root: &Root) -> Fact<bool> {
    const FOLDER: &str = "/sys/kernel/boot_params/setup_data";
    let entries = match root.list(FOLDER) {
        Ok(entries) => entries,
        Err(Unknown::Absent) => return Ok(false),
        Err(other) => return Err(other),
    };
    let is_seed = |entry: &String| root.line(&format!("{FOLDER}/{entry}/type")).as_deref() == Ok("0x9");
    Ok(entries.iter().any(is_seed))
}

/// Who writes a seed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedKeeper {
    /// systemd-random-seed.service.
    Systemd,
    /// SeedRNG, of OpenRC, BusyBox, Alpine and others.
    SeedRng,
    /// Init scripts of older systems.
    InitScript,
    /// systemd-boot, on the EFI system partition.
    SystemdBoot,
    /// Ubuntu's pollinate, which marks that it ran.
    Pollinate,
    /// weir-feed, which credits it only on the machine that saved it.
    WeirFeed,
}

/// A seed file, or the place where it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFile {
    /// Where.
    pub path: &'static str,
    /// Whose.
    pub keeper: SeedKeeper,
    /// What the file system says.
    pub meta: Fact<Meta>,
    /// Whether its keeper may credit it: systemd's extended attribute, or the name that SeedRNG gives it.
    pub creditable: Fact<bool>,
}

/// Where seed files are kept.
const PLACES: &[(&str, SeedKeeper)] = &[
    ("/var/lib/systemd/random-seed", SeedKeeper::Systemd),
    ("/var/lib/seedrng/seed.credit", SeedKeeper::SeedRng),
    ("/var/lib/seedrng/seed.no-credit", SeedKeeper::SeedRng),
    ("/var/lib/misc/random-seed", SeedKeeper::InitScript),
    ("/var/lib/urandom/random-seed", SeedKeeper::InitScript),
    ("/var/lib/random-seed", SeedKeeper::InitScript),
    ("/boot/loader/random-seed", SeedKeeper::SystemdBoot),
    ("/efi/loader/random-seed", SeedKeeper::SystemdBoot),
    ("/boot/efi/loader/random-seed", SeedKeeper::SystemdBoot),
    ("/var/cache/pollinate/seeded", SeedKeeper::Pollinate),
    ("/var/lib/weir-feed/seed", SeedKeeper::WeirFeed),
];

/// The seed files that are there, and those places that could not be looked at.
pub(super) fn seed_files(root: &Root) -> Vec<SeedFile> {
    let file = |&(path, keeper): &(&'static str, SeedKeeper)| {
        let meta = root.meta(path);
        let creditable = match keeper {
            _ if meta.is_err() => Err(Unknown::Absent),
            SeedKeeper::Systemd => match root.attribute(path, "user.random-seed-creditable") {
                Ok(value) => Ok(value == "1"),
                Err(Unknown::Absent) => Ok(false),
                Err(other) => Err(other),
            },
            SeedKeeper::SeedRng => Ok(path.ends_with("seed.credit")),
            SeedKeeper::WeirFeed => Ok(true),
            _ => Ok(false),
        };
        SeedFile { path, keeper, meta, creditable }
    };
    PLACES.iter().map(file).filter(|file| file.meta != Err(Unknown::Absent)).collect()
}
