//! Capabilities: CAP_SYS_ADMIN alone, and in effect only while the kernel is given something.
//!
//! The daemon opens what it needs, then gives up every other capability for good. CAP_SYS_ADMIN stays permitted, because
//! crediting and reseeding need it for as long as the daemon runs, and is in effect only within [`Privilege::with`].

use rustix::io;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// The right to give the kernel entropy.
#[derive(Debug)]
pub(crate) struct Privilege(());

impl Privilege {
    /// Keeps CAP_SYS_ADMIN, gives up the rest. `None` without CAP_SYS_ADMIN.
    pub(crate) fn reduce() -> io::Result<Option<Self>> {
        if !capabilities(None)?.permitted.contains(CapabilitySet::SYS_ADMIN) {
            return Ok(None);
        }
        set(CapabilitySet::empty())?;
        Ok(Some(Self(())))
    }

    /// Does something with the capability in effect.
    pub(crate) fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        // Where it cannot be raised, the work is refused by the kernel, and says so.
        let _ = set(CapabilitySet::SYS_ADMIN);
        let done = work();
        let _ = set(CapabilitySet::empty());
        done
    }
}

fn set(effective: CapabilitySet) -> io::Result<()> {
    let permitted = CapabilitySet::SYS_ADMIN;
    set_capabilities(None, CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() })
}
