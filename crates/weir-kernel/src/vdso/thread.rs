//! Each thread's state for the vDSO: taken at its first draw, given back at its end.
//!
//! The thread-local is plain data without a destructor, so reading it is one instruction and works in signal handlers.
//! The end of a thread is learnt from a pthread key instead; setting one of the first keys of a process allocates
//! nothing, which registering a destructor with the C++ runtime would.
//!
//! Transitions: New → Taking → Held → Ended, or Taking → Without. A draw in any phase but Held goes by system call;
//! so does one from a signal handler that interrupts Taking. A thread that got no state does not ask again: it
//! works, only slower.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Vdso;
use super::states::{self, Seat};
use crate::counts::Counters;

#[derive(Clone, Copy)]
enum Phase {
    New,
    Taking,
    Held(Handle),
    Without,
    Ended,
}

thread_local! {
    static PHASE: Cell<Phase> = const { Cell::new(Phase::New) };
}

/// The calling thread's right to draw from the vDSO.
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    vdso: Vdso,
    seat: &'static Seat,
    /// The seat is this thread's, so the handle must not leave it.
    _stay: std::marker::PhantomData<*mut u8>,
}

impl Handle {
    /// This thread's handle, or `None` if it draws by system call.
    #[inline]
    pub(crate) fn get() -> Option<Self> {
        match PHASE.get() {
            Phase::Held(handle) => Some(handle),
            Phase::New => Self::take(),
            Phase::Taking | Phase::Without | Phase::Ended => None,
        }
    }

    #[cold]
    fn take() -> Option<Self> {
        PHASE.set(Phase::Taking);
        let handle = Vdso::get().and_then(Self::seated);
        PHASE.set(handle.map_or(Phase::Without, Phase::Held));
        handle
    }

    fn seated(vdso: Vdso) -> Option<Self> {
        let seat = states::take(vdso)?;
        if !remember(seat) {
            // SAFETY: just taken, never used.
            unsafe { states::give_back(vdso, seat) };
            return None;
        }
        Some(Self { vdso, seat, _stay: std::marker::PhantomData })
    }

    /// Draws into `buf`: the number of bytes, or a negated error number.
    #[inline]
    pub(crate) fn call(self, buf: &mut [u8], flags: u32) -> isize {
        // SAFETY: the state is this thread's, and the handle cannot leave it.
        unsafe { self.vdso.call(self.seat.state(), buf, flags) }
    }

    /// The counters that only this thread writes.
    #[inline]
    pub(crate) fn counters(self) -> &'static Counters {
        &self.seat.counters
    }
}

/// Calls `visit` with the counters of every thread that has or had a seat.
pub(crate) fn each_counters(visit: impl FnMut(&Counters)) {
    states::each_counters(visit);
}

/// The process's pthread key, or `NO_KEY` before it was made.
static KEY: AtomicU64 = AtomicU64::new(NO_KEY);
const NO_KEY: u64 = u64::MAX;

/// Has [`end`] called with the seat when this thread ends.
fn remember(seat: &'static Seat) -> bool {
    let Some(key) = key() else { return false };
    // SAFETY: the key was made by pthread_key_create and is never deleted.
    unsafe { libc::pthread_setspecific(key, ptr::from_ref(seat).cast()) == 0 }
}

fn key() -> Option<libc::pthread_key_t> {
    let known = KEY.load(Ordering::Acquire);
    if known != NO_KEY {
        return libc::pthread_key_t::try_from(known).ok();
    }
    let mut made: libc::pthread_key_t = 0;
    // SAFETY: `made` is writable, and `end` stays valid as long as this code is loaded.
    if unsafe { libc::pthread_key_create(&raw mut made, Some(end)) } != 0 {
        return None;
    }
    match KEY.compare_exchange(NO_KEY, u64::from(made), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(made),
        Err(theirs) => {
            // SAFETY: made above and never used.
            unsafe { libc::pthread_key_delete(made) };
            libc::pthread_key_t::try_from(theirs).ok()
        }
    }
}

/// Runs on a thread that ends.
extern "C" fn end(value: *mut c_void) {
    // Before the seat is given back: a draw from a later destructor of this thread must not use it.
    PHASE.set(Phase::Ended);
    if let (Some(vdso), Some(seat)) = (Vdso::get(), NonNull::new(value.cast::<Seat>())) {
        // SAFETY: the value is the seat that `remember` was given on this thread; it is never unmapped, and this
        // thread's use of it is over.
        unsafe { states::give_back(vdso, seat.as_ref()) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What the kernel does to a state's page when memory runs short.
    fn drop_page(handle: Handle) {
        let page = handle.seat.state().map_addr(|address| address & !4095);
        // SAFETY: the page is part of a block's mapping, in which every content is valid, all zeros included.
        assert_eq!(unsafe { libc::madvise(page.cast(), 4096, libc::MADV_DONTNEED) }, 0);
    }

    #[test]
    fn a_dropped_page_is_keyed_anew() {
        let Some(handle) = Handle::get() else { testkit::skip!("no getrandom in the vDSO") };
        let mut seen = HashSet::new();
        for round in 0..1000 {
            let mut draw = [0; 32];
            assert_eq!(handle.call(&mut draw, 0), 32);
            assert!(seen.insert(draw), "the same output twice");
            if round % 3 == 0 {
                drop_page(handle);
            }
        }
    }

    #[test]
    fn the_state_of_an_ended_thread_is_erased_and_taken_again() {
        if Handle::get().is_none() {
            testkit::skip!("no getrandom in the vDSO");
        }
        let addresses: HashSet<usize> = (0..200)
            .map(|_| {
                let thread = std::thread::spawn(|| {
                    let handle = Handle::get()?;
                    // SAFETY: the state is this thread's and at least so long.
                    let fresh = unsafe { std::slice::from_raw_parts(handle.seat.state(), 64) } == [0; 64];
                    assert!(fresh, "a state was handed on with another thread's stream in it");
                    handle.call(&mut [0; 32], 0);
                    Some(handle.seat.state().addr())
                });
                thread.join().expect("the thread ends well").expect("a seat")
            })
            .collect();
        assert!(addresses.len() < 100, "{} seats for 200 threads in turn", addresses.len());
    }

    #[test]
    fn no_state_straddles_a_page() {
        let Some(handle) = Handle::get() else { testkit::skip!("no getrandom in the vDSO") };
        let threads: Vec<_> = (0..100)
            .map(|_| std::thread::spawn(|| Handle::get().map(|handle| handle.seat.state().addr())))
            .collect();
        let (bytes, _, _) = handle.vdso.prescription();
        for address in threads.into_iter().filter_map(|thread| thread.join().expect("the thread ends well")) {
            assert_eq!(address / 4096, (address + bytes - 1) / 4096);
        }
    }
}
