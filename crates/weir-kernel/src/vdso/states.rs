//! Memory for the vDSO's opaque states: handed out, taken back, never unmapped.
//!
//! A thread gets a [`Seat`]: in ordinary memory, all that a draw needs in one place, and its counters; it points to a
//! state in memory that was mapped as the vDSO prescribes. Both come in blocks of [`SEATS`]. The distance from one state to
//! the next is a power of two, so that none straddles a page (the kernel drops whole pages, and half a state would be
//! no state).
//!
//! Invariants:
//! - A set bit in `taken` means that one thread owns the seat. Bits change by compare-and-swap alone: no lock exists
//!   that another thread could have held when this process was forked.
//! - After a fork the seats of the parent's other threads stay taken in the child. That costs the child address space
//!   and next to no memory, since the kernel has wiped their states.
//! - The state of a freed seat is erased first, so that nothing of a thread's stream survives it.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::Vdso;
use crate::counts::Counters;

/// Seats in a block: as many as a word has bits.
const SEATS: usize = u64::BITS as usize;
/// Blocks, hence at most 65,536 threads with a seat; those beyond make system calls.
const BLOCKS: usize = 1024;
/// The largest state that fits a page.
pub(super) const MAX_STATE_BYTES: usize = 4096;

/// What one thread draws with. Valid when all zeros, as fresh memory is.
#[repr(align(128))]
pub(super) struct Seat {
    /// The opaque state.
    state: AtomicPtr<u8>,
    /// Its number in the pool, to give it back by.
    pub(super) index: AtomicUsize,
    /// What its owner, and nobody else, has counted.
    pub(super) counters: Counters,
}

impl Seat {
    /// The opaque state; null in a seat that was never taken.
    #[inline]
    pub(super) fn state(&self) -> *mut u8 {
        self.state.load(Ordering::Relaxed)
    }
}

struct Block {
    taken: AtomicU64,
    states: AtomicPtr<u8>,
    seats: AtomicPtr<Seat>,
}

static POOL: [Block; BLOCKS] = [const {
    Block {
        taken: AtomicU64::new(0),
        states: AtomicPtr::new(ptr::null_mut()),
        seats: AtomicPtr::new(ptr::null_mut()),
    }
}; BLOCKS];

/// Takes a free seat, mapping a new block if need be. `None` if the kernel gives no such memory.
pub(super) fn take(vdso: Vdso) -> Option<&'static Seat> {
    for (number, block) in POOL.iter().enumerate() {
        if block.taken.load(Ordering::Relaxed) == u64::MAX {
            continue;
        }
        block.map(vdso)?;
        if let Some(bit) = block.take() {
            return block.furnish(vdso, number, bit);
        }
    }
    None
}

/// Gives a seat back.
///
/// # Safety
/// The seat came from [`take`], and its owner does not use it again.
pub(super) unsafe fn give_back(vdso: Vdso, seat: &Seat) {
    let index = seat.index.load(Ordering::Relaxed);
    let (bytes, _, _) = vdso.prescription();
    for at in 0..bytes {
        // SAFETY: the state holds `bytes` bytes and belongs to the caller. Volatile, so that the erasure happens; all
        // zeros is the state of fresh memory, from which the vDSO keys itself anew.
        unsafe { seat.state().add(at).write_volatile(0) };
    }
    if let Some(block) = POOL.get(index / SEATS) {
        block.taken.fetch_and(!(1 << (index % SEATS)), Ordering::Release);
    }
}

impl Block {
    /// Makes sure that the block has its memory. Two threads may map at once; the second finds the place filled and
    /// unmaps its own.
    fn map(&self, vdso: Vdso) -> Option<()> {
        if !self.states.load(Ordering::Acquire).is_null() {
            return Some(());
        }
        let (state_bytes, prot, flags) = vdso.prescription();
        let ordinary = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        install(&self.seats, SEATS * size_of::<Seat>(), libc::PROT_READ | libc::PROT_WRITE, ordinary)?;
        // Last, because a block with states counts as whole.
        install(&self.states, SEATS * stride(state_bytes), prot, flags)
    }

    /// Sets the lowest clear bit and says which it was. `None` if all are set.
    fn take(&self) -> Option<usize> {
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            let bit = taken.trailing_ones() as usize;
            if bit == SEATS {
                return None;
            }
            let with = taken | 1 << bit;
            match self.taken.compare_exchange_weak(taken, with, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(bit),
                Err(now) => taken = now,
            }
        }
    }

    /// The seat of a bit that the caller has set.
    fn furnish(&self, vdso: Vdso, number: usize, bit: usize) -> Option<&'static Seat> {
        let states = NonNull::new(self.states.load(Ordering::Acquire))?;
        let seats = NonNull::new(self.seats.load(Ordering::Acquire))?;
        let (state_bytes, _, _) = vdso.prescription();
        // SAFETY: `bit` < SEATS, and both mappings hold SEATS elements of these sizes and are never undone. A seat is
        // made of atomics that are valid when zero, which fresh memory is.
        let (state, seat) = unsafe { (states.add(bit * stride(state_bytes)), seats.add(bit).as_ref()) };
        seat.state.store(state.as_ptr(), Ordering::Relaxed);
        seat.index.store(number * SEATS + bit, Ordering::Relaxed);
        Some(seat)
    }
}

/// Bytes from one state to the next: a power of two, at least a cache line, at most a page.
fn stride(state_bytes: usize) -> usize {
    state_bytes.next_power_of_two().clamp(64, MAX_STATE_BYTES)
}

/// Maps memory and puts it where `place` is still null.
fn install<T>(place: &AtomicPtr<T>, bytes: usize, prot: i32, flags: i32) -> Option<()> {
    if !place.load(Ordering::Acquire).is_null() {
        return Some(());
    }
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, prot, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return None;
    }
    let installed =
        place.compare_exchange(ptr::null_mut(), memory.cast(), Ordering::AcqRel, Ordering::Acquire).is_ok();
    if !installed {
        // SAFETY: made above, never shared, so nothing refers to it.
        unsafe { libc::munmap(memory, bytes) };
    }
    Some(())
}

/// Calls `visit` with the counters of every seat there is.
pub(super) fn each_counters(mut visit: impl FnMut(&Counters)) {
    for block in &POOL {
        let Some(seats) = NonNull::new(block.seats.load(Ordering::Acquire)) else { return };
        for bit in 0..SEATS {
            // SAFETY: the mapping holds SEATS seats, all atomics, and is never undone.
            visit(unsafe { &seats.add(bit).as_ref().counters });
        }
    }
}
