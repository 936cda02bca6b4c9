//! Facts of recorded trees, and of trees that mean harm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::TempDir;
use weir_kernel::host::{
    Accounting, BootSeed, Daemon, Fact, Host, Hypervisor, LogSource, ReadyBy, Root, Unknown, VmClock, VmGenId,
};

fn recorded(name: &str) -> Host {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hosts").join(name);
    Host::read(&Root::at(&dir).unwrap())
}

/// A tree of a test's own.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(TempDir::new())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn host(&self) -> Host {
        Host::read(&Root::at(self.0.path()).unwrap())
    }
}

#[test]
fn accounting_is_told_by_the_size_of_the_pool_and_not_by_the_release() {
    for (name, expected) in [
        ("bare-metal", Accounting::Full256),
        ("azure-haveged", Accounting::Full256), // 5.15, where the change was backported to
        ("xen-unprivileged", Accounting::Full256),
        ("old-drained", Accounting::Estimate4096),
        ("keys-too-early", Accounting::Estimate4096),
    ] {
        assert_eq!(recorded(name).pool.accounting, Ok(expected), "{name}");
    }
}

#[test]
fn readiness_and_its_moment_come_from_the_log() {
    let seconds = |seconds: f64| Ok(Duration::from_secs_f64(seconds));
    for (name, ready, at) in [
        ("bare-metal", Ok(true), seconds(0.000_004)),
        ("kvm-no-virtio-rng", Ok(true), seconds(21.482_930)),
        ("old-drained", Ok(true), seconds(88.331_902)),
        ("arm-board", Ok(true), seconds(1.870_226)),
        ("not-ready", Ok(false), Err(Unknown::Absent)),
        ("container", Ok(true), Err(Unknown::Denied)),
        ("xen-unprivileged", Ok(true), Err(Unknown::Denied)),
    ] {
        let readiness = recorded(name).readiness;
        assert_eq!((readiness.ready, readiness.after_boot), (ready, at), "{name}");
    }
}

#[test]
fn a_log_that_was_overwritten_proves_nothing() {
    let tree = Tree::new();
    tree.write("/proc/sys/kernel/random/poolsize", "4096\n");
    tree.write("/proc/sys/kernel/random/entropy_avail", "3000\n");
    tree.write("/dev/kmsg", "[99999.000000] usb 1-1: new device\n");
    let host = tree.host();
    assert_eq!(host.readiness.ready, Err(Unknown::Lost));
    assert_eq!(host.readiness.after_boot, Err(Unknown::Lost));
}

#[test]
fn sources_are_found() {
    let host = recorded("bare-metal");
    assert_eq!(host.cpu.unwrap().random.names(), ["RDRAND", "RDSEED"]);
    assert_eq!(host.hw_random.current, Ok(Some("tpm-rng-0".to_owned())));
    assert_eq!((host.hw_random.quality, host.hw_random.device), (Ok(1024), Ok(true)));
    assert_eq!(
        host.tpms.map(|tpms| (tpms[0].name.clone(), tpms[0].major.clone())),
        Ok(("tpm0".to_owned(), Ok(2)))
    );
    assert_eq!(host.boot_seeds, Ok(vec![BootSeed::EfiTable]));
    let seed = &host.seed_files[0];
    assert_eq!((seed.path, &seed.creditable), ("/var/lib/systemd/random-seed", &Ok(true)));
    assert_eq!(seed.meta.as_ref().map(|meta| (meta.mode, meta.bytes)), Ok((0o600, 32)));

    let host = recorded("azure-haveged");
    assert_eq!(host.boot_seeds, Ok(vec![BootSeed::AzureOem0]));
    assert_eq!(host.hw_random.current, Ok(None));

    let host = recorded("arm-board");
    assert!(!host.cpu.unwrap().random.any());
    assert_eq!(host.hw_random.available, Ok(vec!["fe104000.rng".to_owned()]));
    assert_eq!(recorded("not-ready").kernel.trust.map(|trust| trust.cpu), Ok(Some(false)));
}

#[test]
fn hypervisors_and_clone_signals_are_found() {
    for (name, hypervisor, vmgenid) in [
        ("bare-metal", None, VmGenId::None),
        ("arm-board", None, VmGenId::None),
        ("kvm-virtio-rng", Some(Hypervisor::Kvm), VmGenId::Listening),
        ("kvm-no-virtio-rng", Some(Hypervisor::Kvm), VmGenId::None),
        ("azure-haveged", Some(Hypervisor::HyperV), VmGenId::WithoutDriver),
        ("xen-unprivileged", Some(Hypervisor::Xen), VmGenId::None),
        ("baked-image", Some(Hypervisor::Kvm), VmGenId::None),
        // No log here: the name comes from DMI, the fact from the CPU.
        ("container", Some(Hypervisor::Kvm), VmGenId::Listening),
    ] {
        let host = recorded(name);
        assert_eq!(host.hypervisor, Ok(hypervisor), "{name}");
        assert_eq!(host.clone_signals.vmgenid, Ok(vmgenid), "{name}");
    }
    let host = recorded("cloned-vm");
    let log = host.log.unwrap();
    assert_eq!(
        log.facts.forks,
        [Some(Duration::from_micros(86_412_331_872))],
        "only the kernel's own line counts"
    );
    assert_eq!(log.source, LogSource::Device);
    assert_eq!(host.clone_signals.vmclock.offered, Ok(true));
    assert_eq!(host.clone_signals.vmclock.page, Err(Unknown::Absent));
}

#[test]
fn a_vmclock_page_is_read() {
    let tree = Tree::new();
    let mut page = vec![0; 4096];
    page[..4].copy_from_slice(b"VCLK");
    page[4..8].copy_from_slice(&4096u32.to_le_bytes());
    page[8] = 1;
    page[25] = 1; // flag bit 8
    page[104] = 42;
    tree.write("/dev/vmclock0", page);
    let clock = tree.host().clone_signals.vmclock;
    assert_eq!(clock.page, Ok(VmClock { generation: Some(42), disruption: 0 }));
    assert_eq!(clock.offered, Ok(true));
}

#[test]
fn a_container_is_told_from_a_machine_made_of_a_containers_image() {
    let container = recorded("container").container.unwrap().unwrap();
    assert_eq!(container.manager, "docker");
    assert_eq!(container.system.as_deref(), Some("Alpine Linux v3.20"));
    assert_eq!(recorded("kvm-virtio-rng").container, Ok(None));

    let tree = Tree::new();
    tree.write("/.dockerenv", "");
    assert_eq!(tree.host().container.map(|container| container.is_some()), Ok(true));
    tree.write(
        "/RECORDED",
        "/proc/self/ns/pid text=pid:[4026531836]\n/proc/self/ns/uts text=uts:[4026531838]\n\
         /proc/self/ns/ipc text=ipc:[4026531839]\n",
    );
    assert_eq!(tree.host().container, Ok(None));
}

#[test]
fn processes_that_wait_and_that_feed_are_found() {
    let waiting = recorded("old-drained").processes.unwrap().waiting;
    let waiting: Vec<_> =
        waiting.iter().map(|(process, function)| (&process.name[..], &function[..])).collect();
    assert_eq!(waiting, [("java", "_random_read"), ("gpg", "_random_read")]);
    let processes = recorded("azure-haveged").processes.unwrap();
    assert_eq!(processes.daemons.len(), 1);
    assert_eq!(processes.daemons[0].0, Daemon::Haveged);
    assert_eq!(recorded("xen-unprivileged").processes.unwrap().hidden, 1);
    assert_eq!(recorded("bare-metal").processes.unwrap().waiting, []);
}

#[test]
fn a_proc_without_processes_says_nothing_of_them() {
    let tree = Tree::new();
    tree.write("/proc/uptime", "1.00 1.00\n");
    assert_eq!(tree.host().processes, Err(Unknown::Absent));
}

#[test]
fn keys_seeds_and_instances_carry_their_times() {
    let host = recorded("baked-image");
    let key = host.keys.iter().find(|key| key.path.ends_with("ed25519_key")).unwrap();
    assert_eq!(key.made_on.as_deref(), Some("packer-65f0a1"));
    assert_eq!(key.meta.as_ref().map(|meta| meta.modified), Ok(1_719_000_000));
    let cloud = host.cloud.unwrap();
    assert_eq!(cloud.previous.as_deref(), Some("2203847759302847"));
    assert_eq!(cloud.since, Ok(1_722_000_011));
    assert_eq!(host.kernel.now, Ok(1_722_001_000));

    let denied = recorded("xen-unprivileged");
    let snakeoil = denied.keys.iter().find(|key| key.path.contains("snakeoil")).unwrap();
    assert_eq!(snakeoil.meta, Err(Unknown::Denied));
}

#[test]
fn early_readers_are_named() {
    let log = recorded("keys-too-early").log.unwrap();
    let names: Vec<_> =
        log.facts.early_readers.iter().map(|reader| (&reader.program[..], reader.reads)).collect();
    assert_eq!(names, [("udevd", 1), ("ssh-keygen", 2)]);
    assert_eq!(log.facts.ready.map(|(_, by)| by), Some(ReadyBy::Entropy));
}

#[test]
fn an_empty_tree_knows_nothing_and_says_so() {
    let host = Tree::new().host();
    assert_eq!(host.pool.size_bits, Err(Unknown::Absent));
    assert_eq!(host.readiness.ready, Err(Unknown::Absent));
    assert_eq!(host.hypervisor, Err(Unknown::Absent));
    assert_eq!(host.clone_signals.vmgenid, Err(Unknown::Absent));
    assert_eq!(host.kernel.now, Err(Unknown::Absent));
    assert!(host.processes.is_err() && host.cpu.is_err() && host.log.is_err());
    assert!(host.keys.is_empty() && host.seed_files.is_empty());
}

#[test]
fn a_tree_cannot_lead_out_block_or_flood() {
    let tree = Tree::new();
    let random = "/proc/sys/kernel/random";
    fs::create_dir_all(tree.path("proc/sys/kernel/random")).unwrap();
    // Out of the root: an absolute link, and one with dots. Inside the root both lead nowhere.
    symlink("/proc/sys/kernel/random/poolsize", tree.path("proc/sys/kernel/random/poolsize")).unwrap();
    symlink("../../../../../../../../etc/hostname", tree.path("proc/sys/kernel/hostname")).unwrap();
    // A pipe that nobody writes to, a folder where a file should be, a file without end.
    let pipe =
        std::ffi::CString::new(tree.path("proc/cpuinfo").into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a string with its terminator.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    fs::create_dir_all(tree.path("proc/uptime")).unwrap();
    fs::File::create(tree.path("proc/cmdline")).unwrap().set_len(1 << 40).unwrap();
    tree.write(&format!("{random}/entropy_avail"), "99999999999999999999999999\n");
    tree.write("/dev/kmsg", vec![b'x'; 1 << 20]);
    let start = Instant::now();
    let host = tree.host();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(host.pool.size_bits.is_err() && host.kernel.hostname.is_err());
    assert!(host.cpu.is_err(), "{:?}", host.cpu);
    assert!(matches!(host.kernel.uptime, Err(Unknown::Malformed(_))));
    assert!(matches!(host.pool.available_bits, Err(Unknown::Malformed(_))));
    assert!(host.kernel.trust.is_ok(), "cut, and nothing in it");
}

#[test]
fn an_extended_attribute_is_read_from_the_file_itself() {
    let tree = Tree::new();
    tree.write("/var/lib/systemd/random-seed", [0; 32]);
    let path = tree.path("var/lib/systemd/random-seed");
    let c_path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
    let creditable = |host: Host| -> Fact<bool> { host.seed_files[0].creditable.clone() };
    assert_eq!(creditable(tree.host()), Ok(false));
    // SAFETY: two strings with their terminators, and one readable byte.
    let set = unsafe {
        let (name, value) = (c"user.random-seed-creditable", c"1");
        libc::setxattr(c_path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), 1, 0)
    };
    if set != 0 {
        testkit::skip!("no user attributes on this file system");
    }
    assert_eq!(creditable(tree.host()), Ok(true));
}

#[test]
fn this_host_can_be_looked_at() {
    let host = Host::read(&Root::live());
    assert_eq!(host.readiness.ready, Ok(true));
    assert_eq!(host.way, Ok(weir_kernel::way()));
    assert!(host.kernel.release.is_ok() && host.cpu.is_ok() && host.processes.is_ok());
    assert!(matches!(host.pool.available_bits, Ok(0..=4096)));
    assert_eq!(weir_kernel::generation(), weir_kernel::generation());
}
