//! Draws from the kernel's random number generator, and what this host says about it.
//!
//! The one door to randomness in Weir:
//!
//! ```
//! let mut salt = [0; 16];
//! weir_kernel::fill(&mut salt)?;
//! let key: [u8; 32] = weir_kernel::array()?;
//! # Ok::<(), weir_kernel::Error>(())
//! ```
//!
//! - [`fill`], [`try_fill`], [`array()`]: a draw. Through the vDSO where the kernel has one, else getrandom(2); long ones
//!   through a cipher. Right bytes or a typed [`Error`], and never anything in between.
//! - [`ready()`], [`is_ready`], [`wait_ready`]: whether the kernel's generator has been seeded since boot.
//! - [`draws`]: what this process has drawn, by [`Purpose`].
//! - [`ioctl`]: giving entropy to the kernel, which only a feeder does.
//! - [`host`]: what /proc, /sys, /dev and the kernel log say about the host's randomness.
//! - [`generation()`]: whether this virtual machine has been cloned since the last look.
//! - [`clock`]: the wall clock.
//!
//! Absent on purpose: policy (what is good enough is `weir-doctor`'s to say), anything asynchronous, and any generator
//! with a state of its own.

#[doc(hidden)]
pub mod bulk;
pub mod clock;
mod counts;
mod draw;
mod error;
mod generation;
pub mod host;
pub mod ioctl;
#[doc(hidden)]
pub mod raw;
mod ready;
mod syscall;
#[doc(hidden)]
pub mod vdso;

pub use counts::{DrawCounts, Drawn, Purpose, draws};
pub use draw::{Way, array, array_for, fill, fill_for, try_fill, try_fill_for, way};
pub use error::Error;
pub use generation::{Generation, Signal, generation};
pub use ready::{is_ready, ready, wait_ready};
