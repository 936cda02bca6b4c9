//! The ways of a draw by themselves, for measuring. Not for use: nothing here loops, checks or erases.

use crate::syscall;
use crate::vdso::thread::Handle;

/// The calling thread's bare vDSO call.
#[derive(Clone, Copy)]
pub struct Vdso(Handle);

impl Vdso {
    /// `None` where draws go by system call.
    #[must_use]
    pub fn get() -> Option<Self> {
        Handle::get().map(Self)
    }

    /// The vDSO's function and nothing else: bytes written, or a negated error number.
    #[inline]
    pub fn call(self, buf: &mut [u8]) -> isize {
        self.0.call(buf, 0)
    }
}

/// One getrandom(2) and nothing else: bytes written, or a negated error number.
#[inline]
pub fn syscall(buf: &mut [u8]) -> isize {
    syscall::getrandom(buf, 0)
}
