//! Guests for the daemon: what they hold, and whether they can be had.
//!
//! Those of User-mode Linux take seconds and run wherever its kernels are. Those of QEMU, which emulates, take a minute or more:
//! they run where `WEIR_LAB` is set.

use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testkit::lab::{Initramfs, Kernel, Lab, Machine, Programs, Said};

/// A guest's end comes by itself; this is for one that hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// The old accounting: Linux 5.10.46.
pub(crate) fn old_uml() -> Result<Kernel, String> {
    Lab::find()?.uml("bullseye")
}

/// A kernel in QEMU, by its series, if minutes may be spent.
pub(crate) fn qemu(series: &str) -> Result<Kernel, String> {
    match std::env::var_os("WEIR_LAB") {
        Some(_) => Lab::find()?.qemu(series),
        None => Err("takes minutes; set WEIR_LAB to run it".to_owned()),
    }
}

/// The programs, built once for all guests.
pub(crate) fn programs() -> &'static Programs {
    static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Programs::build(&root).unwrap()
    });
    &PROGRAMS
}

/// One guest at a time: two would take each other's CPU, and what is tested is partly about time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A guest with the daemon in it, and this plan.
pub(crate) fn guest(plan: &str) -> Initramfs {
    let mut guest = Initramfs::new(&programs().guest);
    guest.program("/usr/sbin/weir-feed", &programs().feed, None);
    guest.folder("/var/lib/weir-feed");
    guest.file("/plan", plan);
    guest
}

/// Runs it to its end.
pub(crate) fn run(kernel: &Kernel, guest: Initramfs, more: &[&str]) -> Said {
    let said = Machine::boot(kernel, &guest.finish(), more).unwrap().finish(LIMIT).unwrap();
    assert_eq!(said.text("error"), None, "{said:?}");
    said
}

/// The field of a source in the daemon's status.
pub(crate) fn state_of(said: &Said, source: &str) -> String {
    let states = said.status("source");
    (*states.iter().find(|line| line.contains(source)).unwrap_or_else(|| panic!("no {source}: {said:?}")))
        .to_owned()
}
