//! The kernel's pool, on this host. Nothing here can weaken it: mixing never does, and no credit is claimed.

use weir_kernel::ioctl::{Pool, PoolError, Sample};

use crate::child::{run, said};

fn is_root() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn anybody_may_mix_and_count() {
    let pool = Pool::open().unwrap();
    pool.mix(b"a word is enough").unwrap();
    let poolsize: u32 =
        std::fs::read_to_string("/proc/sys/kernel/random/poolsize").unwrap().trim().parse().unwrap();
    assert!(pool.count_bits().unwrap() <= poolsize);
}

#[test]
fn root_adds_and_reseeds() {
    if !is_root() {
        testkit::skip!("needs root");
    }
    let pool = Pool::open().unwrap();
    let sample = [7; Sample::MAX_BYTES];
    let added = pool.add(Sample::uncredited(&sample).unwrap());
    if added == Err(PoolError::Denied) {
        testkit::skip!("root without CAP_SYS_ADMIN");
    }
    added.unwrap();
    pool.add(Sample::uncredited(&[]).unwrap()).unwrap();
    pool.reseed().unwrap();
}

/// Runs as nobody.
pub(crate) fn without_rights() {
    let pool = Pool::open().unwrap();
    pool.mix(b"still allowed").unwrap();
    let added = pool.add(Sample::uncredited(b"not allowed").unwrap());
    println!("added: {added:?}, reseeded: {:?}", pool.reseed());
}

#[test]
fn crediting_and_reseeding_need_a_right() {
    let become_nobody = || {
        // SAFETY: plain numbers. Fails harmlessly where this process is not root to begin with.
        unsafe { libc::setresuid(65534, 65534, 65534) };
        Ok(())
    };
    let output = run("without_rights", become_nobody);
    assert_eq!(said(&output, "added: "), "Err(Denied), reseeded: Err(Denied)");
}
