//! `libweir`: what weir-mint mints, for C and whatever calls C.
//!
//! Purpose: the same draw for programs in other languages. `include/weir.h` is the interface and describes each function;
//! `lua/resty/weir.lua` is a module over it for LuaJIT; `docs/c-library.md` is the manual.
//!
//! Contract: a function returns 0 or a negated error number. After an error, what it was to write holds zeros (a text is
//! empty), so that a caller who does not look has nothing that could pass for random. Only `weir_fill` and
//! `weir_wait_ready` wait; all others answer `-EAGAIN` while the kernel's generator is not ready.
//!
//! Invariants: bad arguments are an error and end nothing; no panic can cross into C (a function of this kind aborts
//! instead, and there is none to cross: nothing here indexes or unwraps); no call of malloc, but where `weir_wait_ready`
//! has to wait and starts a thread for it; no lock; no state but weir-kernel's.
//!
//! Files: `draw.rs` (bytes, readiness, numbers), `text.rs` (tokens, keys, UUIDs), `result.rs` (error numbers and their
//! names), `memory.rs` (C's pointers as slices; with the exported functions' own signatures, all that is unsafe).

mod draw;
mod memory;
mod result;
mod text;

pub use draw::*;
pub use result::*;
pub use text::*;
