//! Keeping seeds out of core dumps.

use std::io;

/// Keeps what this process holds out of core dumps and, on Linux, away from debuggers of the same user, from now on. Called before
/// there is a seed. Where a system has no such limit, it does nothing.
///
/// # Errors
/// That the kernel refused, which no kernel does.
pub fn no_core_dumps() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}
