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
//! On another operating system than Linux there are only the draws and the wall clock: enough to make secrets on the desk of
//! somebody whose servers run Linux.
//!
//! Absent on purpose: policy (what is good enough is `weir-doctor`'s to say), anything asynchronous, and any generator
//! with a state of its own.

#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod bulk;
pub mod clock;
#[cfg(target_os = "linux")]
mod counts;
#[cfg(target_os = "linux")]
mod draw;
#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
mod error;
#[cfg(target_os = "linux")]
mod generation;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod ioctl;
mod purpose;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod raw;
#[cfg(target_os = "linux")]
mod ready;
#[cfg(target_os = "linux")]
mod syscall;
#[cfg(target_os = "linux")]
#[doc(hidden)]
pub mod vdso;

#[cfg(target_os = "linux")]
pub use counts::{DrawCounts, Drawn, draws};
#[cfg(target_os = "linux")]
pub use draw::{Way, array, array_for, fill, fill_for, try_fill, try_fill_for, way};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{array, array_for, fill, fill_for, is_ready, try_fill, try_fill_for};
pub use error::Error;
#[cfg(target_os = "linux")]
pub use generation::{Generation, Signal, generation};
pub use purpose::Purpose;
#[cfg(target_os = "linux")]
pub use ready::{is_ready, ready, wait_ready};
