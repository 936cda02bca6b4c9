//! Under what this kernel runs, and under what this process runs: hypervisor, clone signals, container.

use super::cpu::Cpu;
use super::log::KernelLog;
use super::root::{Fact, Root, Unknown};
use super::vmclock::{PAGE_BYTES, VmClock};

/// A kind of hypervisor, as far as advice differs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hypervisor {
    /// KVM, under QEMU or one of its relatives or clouds.
    Kvm,
    /// QEMU's own emulation of a CPU.
    Qemu,
    /// Xen.
    Xen,
    /// Microsoft Hyper-V and Azure.
    HyperV,
    /// VMware.
    Vmware,
    /// VirtualBox.
    VirtualBox,
    /// User-mode Linux.
    UserMode,
    /// One that says its name.
    Other(String),
    /// The CPU says that there is one, and nothing says which.
    Unnamed,
}

/// Under what the kernel runs. `Ok(None)`: on the hardware itself, as far as can be told.
pub(super) fn hypervisor(root: &Root, cpu: &Fact<Cpu>, log: &Fact<KernelLog>) -> Fact<Option<Hypervisor>> {
    let flag = cpu.as_ref().ok().and_then(|cpu| cpu.hypervisor);
    if cpu.as_ref().is_ok_and(|cpu| cpu.vendor.as_deref() == Some("User Mode Linux")) {
        return Ok(Some(Hypervisor::UserMode));
    }
    if root.line("/sys/hypervisor/type").as_deref() == Ok("xen") {
        // The first domain drives the hardware, so its sources are those of bare metal.
        let privileged = root.line("/proc/xen/capabilities").is_ok_and(|line| line.contains("control_d"));
        return Ok((!privileged).then_some(Hypervisor::Xen));
    }
    let from_log = log.as_ref().ok().and_then(|log| log.facts.hypervisor.as_deref()).map(from_kernel_words);
    let named = from_log.or_else(|| from_cpuid(root, flag)).or_else(|| from_device_tree(root));
    if let Some(named) = named {
        return Ok(Some(named));
    }
    match flag {
        // Makers of hypervisors sell hardware too, so their name counts only beside the CPU's word.
        Some(true) => Ok(Some(from_dmi(root).unwrap_or(Hypervisor::Unnamed))),
        Some(false) => Ok(None),
        None => cpu.as_ref().map(|_| from_dmi(root)).map_err(Clone::clone),
    }
}

/// What x86 kernels print as detected.
fn from_kernel_words(words: &str) -> Hypervisor {
    match words {
        "KVM" => Hypervisor::Kvm,
        "Microsoft Hyper-V" => Hypervisor::HyperV,
        "VMware" => Hypervisor::Vmware,
        words if words.starts_with("Xen") => Hypervisor::Xen,
        words => Hypervisor::Other(words.to_owned()),
    }
}

/// The hypervisor's signature in CPUID leaf 0x40000000, on the running host.
#[cfg(target_arch = "x86_64")]
fn from_cpuid(root: &Root, flag: Option<bool>) -> Option<Hypervisor> {
    if !root.is_live() || flag != Some(true) {
        return None;
    }
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    let signature = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    match signature.as_slice() {
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => Some(Hypervisor::Kvm),
        b"TCGTCGTCGTCG" => Some(Hypervisor::Qemu),
        b"XenVMMXenVMM" => Some(Hypervisor::Xen),
        b"Microsoft Hv" => Some(Hypervisor::HyperV),
        b"VMwareVMware" => Some(Hypervisor::Vmware),
        b"VBoxVBoxVBox" => Some(Hypervisor::VirtualBox),
        b"bhyve bhyve " => Some(Hypervisor::Other("bhyve".to_owned())),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn from_cpuid(_: &Root, _: Option<bool>) -> Option<Hypervisor> {
    None
}

fn from_device_tree(root: &Root) -> Option<Hypervisor> {
    if let Ok(compatible) = root.line("/proc/device-tree/hypervisor/compatible") {
        let names: Vec<&str> = compatible.split('\0').collect();
        return Some(match names.first() {
            Some(&"linux,kvm") => Hypervisor::Kvm,
            Some(name) if name.starts_with("xen") => Hypervisor::Xen,
            Some(&"vmware") => Hypervisor::Vmware,
            Some(name) => Hypervisor::Other((*name).to_owned()),
            None => Hypervisor::Unnamed,
        });
    }
    let machine = root.line("/proc/device-tree/compatible").ok()?;
    machine.split('\0').any(|name| name == "linux,dummy-virt").then_some(Hypervisor::Kvm)
}

fn from_dmi(root: &Root) -> Option<Hypervisor> {
    let field = |name: &str| root.line(&format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    let (vendor, product) = (field("sys_vendor"), field("product_name"));
    // EC2's bare-metal machines carry the same vendor.
    if product.ends_with(".metal") {
        return None;
    }
    Some(match (vendor.as_str(), product.as_str()) {
        ("Microsoft Corporation", "Virtual Machine") => Hypervisor::HyperV,
        ("Xen", _) => Hypervisor::Xen,
        ("innotek GmbH", _) | (_, "VirtualBox") => Hypervisor::VirtualBox,
        (vendor, _) if vendor.starts_with("VMware") => Hypervisor::Vmware,
        ("QEMU" | "Amazon EC2" | "Google" | "DigitalOcean" | "Hetzner" | "OpenStack Foundation", _)
        | (_, "KVM" | "Google Compute Engine" | "OpenStack Nova" | "RHEV Hypervisor" | "Alibaba Cloud ECS") => {
            Hypervisor::Kvm
        }
        ("Apple Inc.", "Apple Virtualization Generic Platform") => Hypervisor::Other("Apple".to_owned()),
        ("Parallels International GmbH." | "Parallels Software International Inc.", _) => {
            Hypervisor::Other("Parallels".to_owned())
        }
        ("BHYVE", _) => Hypervisor::Other("bhyve".to_owned()),
        _ => return None,
    })
}

/// What would tell this machine that it was cloned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSignals {
    /// A VM generation ID: the kernel reseeds when it changes, if a driver listens.
    pub vmgenid: Fact<VmGenId>,
    /// A VMClock device.
    pub vmclock: VmClockDevice,
}

/// The VM generation ID device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmGenId {
    /// The hypervisor offers none.
    None,
    /// It offers one, and this kernel has no driver for it.
    WithoutDriver,
    /// The kernel reseeds itself when the machine is cloned.
    Listening,
}

/// The VMClock device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmClockDevice {
    /// Whether the hypervisor offers one.
    pub offered: Fact<bool>,
    /// What its page says; absent where the kernel has no driver for it.
    pub page: Fact<VmClock>,
}

/// Where VMClock's page is.
pub(crate) const VMCLOCK_DEVICE: &str = "/dev/vmclock0";

pub(super) fn clone_signals(root: &Root) -> CloneSignals {
    let page = root.bytes(VMCLOCK_DEVICE, PAGE_BYTES).and_then(|page| VmClock::parse(&page));
    let offered = has_device(root, &["amznc10c", "vmclock"]);
    CloneSignals {
        vmgenid: vmgenid(root),
        vmclock: VmClockDevice { offered: if page.is_ok() { Ok(true) } else { offered }, page },
    }
}

pub(crate) fn vmgenid(root: &Root) -> Fact<VmGenId> {
    if !has_device(root, &["vm_gen_counter", "vmgenctr", "microsoft,vmgenid"])? {
        return Ok(VmGenId::None);
    }
    let driver = |bus: &str| root.exists(&format!("/sys/bus/{bus}/drivers/vmgenid"));
    Ok(if driver("platform")? || driver("acpi")? { VmGenId::Listening } else { VmGenId::WithoutDriver })
}

/// Whether a device on the ACPI or platform bus carries one of these (lower-case) names in its modalias.
fn has_device(root: &Root, names: &[&str]) -> Fact<bool> {
    let mut seen = Err(Unknown::Absent);
    for bus in ["/sys/bus/acpi/devices", "/sys/bus/platform/devices"] {
        let devices = match root.list(bus) {
            Ok(devices) => devices,
            Err(Unknown::Absent) => continue,
            Err(other) => return Err(other),
        };
        seen = Ok(false);
        for device in devices {
            let alias =
                root.line(&format!("{bus}/{device}/modalias")).unwrap_or_default().to_ascii_lowercase();
            if names.iter().any(|name| alias.contains(name)) {
                return Ok(true);
            }
        }
    }
    seen
}

/// A container, whose kernel is that of the host around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// What runs it: docker, podman, lxc, systemd-nspawn, kubernetes, gvisor, wsl, ...
    pub manager: String,
    /// How its own files name their system, from os-release.
    pub system: Option<String>,
}

/// The container that this process is in. `Ok(None)`: none, as far as can be told.
pub(super) fn container(root: &Root, log: &Fact<KernelLog>) -> Fact<Option<Container>> {
    let system = || {
        let text = root.text("/etc/os-release").or_else(|_| root.text("/usr/lib/os-release")).ok()?;
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches(['"', '\'']).chars().filter(|c| !c.is_control()).take(80).collect())
    };
    Ok(manager(root, log)?.map(|manager| Container { manager, system: system() }))
}

fn manager(root: &Root, log: &Fact<KernelLog>) -> Fact<Option<String>> {
    if log.as_ref().is_ok_and(|log| log.facts.gvisor) {
        return Ok(Some("gvisor".to_owned()));
    }
    if root
        .line("/proc/sys/kernel/osrelease")
        .is_ok_and(|release| release.to_lowercase().contains("microsoft"))
    {
        return Ok(Some("wsl".to_owned()));
    }
    // A virtual machine whose files come from a container's image carries the image's marks.
    if in_first_namespaces(root) {
        return Ok(None);
    }
    if let Ok(name) = root.line("/run/systemd/container") {
        return Ok(Some(name.chars().filter(char::is_ascii_graphic).take(40).collect()));
    }
    for (path, manager) in [
        ("/run/.containerenv", "podman"),
        ("/.dockerenv", "docker"),
        ("/var/run/secrets/kubernetes.io", "kubernetes"),
        ("/dev/lxd", "lxd"),
        ("/dev/incus", "incus"),
    ] {
        if root.exists(path) == Ok(true) {
            return Ok(Some(manager.to_owned()));
        }
    }
    if let Some(name) = from_environment(root).or_else(|| from_cgroup(root)) {
        return Ok(Some(name));
    }
    Ok((root.exists("/proc/vz") == Ok(true) && root.exists("/proc/bc") == Ok(false))
        .then(|| "openvz".to_owned()))
}

/// Whether this process is where the kernel started the first one, with nothing set apart. The numbers are the kernel's
/// (`PROC_*_INIT_INO`), the same on every host.
fn in_first_namespaces(root: &Root) -> bool {
    let first = [("pid", "pid:[4026531836]"), ("uts", "uts:[4026531838]"), ("ipc", "ipc:[4026531839]")];
    first.iter().all(|(name, number)| root.link(&format!("/proc/self/ns/{name}")).as_deref() == Ok(number))
}

/// The variable `container` that managers give to the first process. Only root may look.
fn from_environment(root: &Root) -> Option<String> {
    let environment = root.text("/proc/1/environ").ok()?;
    let value = environment.split('\0').find_map(|entry| entry.strip_prefix("container="))?;
    Some(value.chars().filter(char::is_ascii_graphic).take(40).collect())
        .filter(|name: &String| !name.is_empty())
}

/// Version 1 control groups carry the manager's name; version 2 hides it in a namespace.
fn from_cgroup(root: &Root) -> Option<String> {
    let groups = root.text("/proc/1/cgroup").ok()?;
    let managers = [
        ("kubepods", "kubernetes"),
        ("docker", "docker"),
        ("libpod", "podman"),
        ("lxc", "lxc"),
        ("garden", "garden"),
    ];
    let found = managers.into_iter().find(|(mark, _)| groups.contains(&format!("/{mark}")));
    found.map(|(_, manager)| manager.to_owned())
}
