//! The vDSO's getrandom: a draw without a system call (Linux 6.11 and later).
//!
//! The kernel gives each process a function that expands a key in memory of the calling thread, its *opaque state*.
//! That memory is mapped as the function itself prescribes: the kernel wipes it on fork, leaves it out of core dumps
//! and may drop it at any time, and the function re-keys itself from the kernel whenever the kernel's generator has
//! moved on. So this is the kernel's generator, not one of ours, and nothing here outlives a reseed.
//!
//! Invariants:
//! - A state is used by one thread at a time (`states` hands them out, `thread` takes one for each thread).
//! - Nothing here takes a lock or allocates from the heap, so a fork in a process with many threads, or a signal
//!   handler that interrupts any line of it, finds nothing held.
//! - Whatever is missing (no vDSO, no such function, no memory) means the system call, never an error.
//!
//! Absent on purpose: PowerPC, whose vDSO reports errors in a condition register and not as a value.

pub mod elf;
mod states;
pub(crate) mod thread;

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// `ssize_t getrandom(void *buf, size_t len, unsigned flags, void *opaque_state, size_t opaque_len)`
type Function = unsafe extern "C" fn(*mut c_void, usize, u32, *mut c_void, usize) -> isize;

/// The function's name on this architecture, where its calling convention is the one above.
const NAME: Option<&[u8]> =
    if cfg!(any(target_arch = "x86_64", target_arch = "riscv64", target_arch = "loongarch64")) {
        Some(b"__vdso_getrandom")
    } else if cfg!(any(target_arch = "aarch64", target_arch = "s390x")) {
        Some(b"__kernel_getrandom")
    } else {
        None
    };

/// What the function says about the memory it wants (`struct vgetrandom_opaque_params`).
#[repr(C)]
#[derive(Default)]
struct Params {
    state_bytes: u32,
    mmap_prot: u32,
    mmap_flags: u32,
    reserved: [u32; 13],
}

/// Where the function is: null before it was looked for, `NOWHERE` if there is none.
static FUNCTION: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static STATE_BYTES: AtomicU32 = AtomicU32::new(0);
static MMAP_PROT: AtomicU32 = AtomicU32::new(0);
static MMAP_FLAGS: AtomicU32 = AtomicU32::new(0);

/// No function lies at address 1.
const NOWHERE: *mut c_void = ptr::without_provenance_mut(1);

/// The function together with what it prescribes; proof that it was found.
#[derive(Clone, Copy)]
pub(crate) struct Vdso {
    function: Function,
}

impl Vdso {
    /// The process's function. Looked for once; threads that look at the same time find the same.
    #[inline]
    pub(crate) fn get() -> Option<Self> {
        let mut address = FUNCTION.load(Ordering::Acquire);
        if address.is_null() {
            address = look();
        }
        if address == NOWHERE {
            return None;
        }
        // SAFETY: `look` stores nothing but NOWHERE or the address of a function of this type in the vDSO, which stays
        // mapped as long as the process lives.
        Some(Self { function: unsafe { std::mem::transmute::<*mut c_void, Function>(address) } })
    }

    /// Draws into `buf`: the number of bytes, or a negated error number.
    ///
    /// # Safety
    /// `state` is one that [`states`] handed to this thread.
    #[inline]
    unsafe fn call(self, state: *mut u8, buf: &mut [u8], flags: u32) -> isize {
        let state_bytes = STATE_BYTES.load(Ordering::Relaxed) as usize;
        // SAFETY: the buffer is one writable slice; the state has the size and the mapping that the function asked
        // for and belongs to this thread (the caller's promise). A signal handler that comes in between and draws with
        // the same state is what the function's own in-use mark is for.
        unsafe { (self.function)(buf.as_mut_ptr().cast(), buf.len(), flags, state.cast(), state_bytes) }
    }

    /// Size of a state in bytes, and protection and flags of the memory it must lie in.
    fn prescription(self) -> (usize, i32, i32) {
        let number = |from: &AtomicU32| from.load(Ordering::Relaxed);
        (number(&STATE_BYTES) as usize, number(&MMAP_PROT).cast_signed(), number(&MMAP_FLAGS).cast_signed())
    }
}

/// Finds the function and asks it for its parameters.
#[cold]
fn look() -> *mut c_void {
    let found = find().and_then(|function| Some((function, ask(function)?)));
    let address = match found {
        Some((function, params)) => {
            STATE_BYTES.store(params.state_bytes, Ordering::Relaxed);
            MMAP_PROT.store(params.mmap_prot, Ordering::Relaxed);
            MMAP_FLAGS.store(params.mmap_flags, Ordering::Relaxed);
            function as *mut c_void
        }
        None => NOWHERE,
    };
    FUNCTION.store(address, Ordering::Release);
    address
}

fn find() -> Option<Function> {
    let name = NAME?;
    // SAFETY: getauxval has no preconditions; 0 means that the kernel gave no such entry.
    let base = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let base: *const u8 = ptr::with_exposed_provenance(usize::try_from(base).ok()?);
    if base.is_null() {
        return None;
    }
    // SAFETY: AT_SYSINFO_EHDR is the page-aligned address of the vDSO's ELF header; its first page is mapped, readable
    // and never changes.
    let first_page = unsafe { std::slice::from_raw_parts(base, 4096) };
    let bytes = elf::image_bytes(first_page)?;
    // SAFETY: the kernel maps every byte of the image that its program headers declare.
    let image = unsafe { std::slice::from_raw_parts(base, bytes) };
    let offset = elf::function(image, name)?;
    // SAFETY: the offset is inside the image, in a segment declared executable, at a symbol of type function whose
    // name stands for the signature of `Function` on this architecture.
    Some(unsafe { std::mem::transmute::<*const u8, Function>(base.add(offset)) })
}

/// Asks the function what memory it wants: a call with no buffer, no state and a state length of all ones.
fn ask(function: Function) -> Option<Params> {
    let mut params = Params::default();
    // SAFETY: this form of the call writes one `Params` where the state would be, and nothing else.
    let answer = unsafe { function(ptr::null_mut(), 0, 0, (&raw mut params).cast(), usize::MAX) };
    let sane = (1..=states::MAX_STATE_BYTES).contains(&(params.state_bytes as usize));
    (answer == 0 && sane).then_some(params)
}
