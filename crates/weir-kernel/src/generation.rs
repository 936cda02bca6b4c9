//! Whether this virtual machine was cloned or restored since the last look: cheap enough to ask each second.
//!
//! The machine has two signals. A VMClock page carries a counter that the hypervisor changes whenever it loads the machine
//! from a snapshot; looking at it is a read of memory. Without one, the kernel log tells of each change of the VM
//! generation ID; looking is one read that finds nothing new. Beside them counts weir-feed, where it runs: it may read
//! the log where this process may not, and hears the hypervisor's word where the machine has no signal. With none of
//! these, a clone cannot know that it is one.
//!
//! Only a difference means anything ([`Generation::differs_from`]): two such answers lie on two sides of a clone or
//! restore. An answer is not unique among machines, and it is no secret.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering, fence};

use crate::host::log_lines::LogFacts;
use crate::host::vmclock::{self, PAGE_BYTES};
use crate::host::{Fact, Root, Unknown, VMCLOCK_DEVICE, VmGenId, published};

/// Which life of the machine this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation {
    /// What the machine itself says.
    pub signal: Signal,
    /// What weir-feed counted, where it runs or ran in this boot.
    pub published: Option<u64>,
}

impl Generation {
    /// Whether the machine became another one between the two. That weir-feed was started in between is no such change.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        let counted = self.published.zip(before.published).is_some_and(|(now, before)| now != before);
        counted || self.signal != before.signal
    }

    /// Whether a clone would change it.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.published.is_some() || matches!(self.signal, Signal::Counter(_) | Signal::Forks(_))
    }
}

/// What the machine itself says about its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// VMClock's counter.
    Counter(u64),
    /// How many forks of the virtual machine the kernel log has told of since the boot.
    Forks(u64),
    /// Nothing on this host would tell: no VMClock counter, and no VM generation ID with a driver.
    Unseen,
    /// The kernel log would tell, and this process may not read it.
    Denied,
}

/// Which life of the machine this is, by the best signal there is.
///
/// The first call of a thread opens what later calls look at. It costs some milliseconds where the log is the signal;
/// after that, a fraction of a microsecond, or with a VMClock page some nanoseconds.
#[must_use]
pub fn generation() -> Generation {
    thread_local! {
        static WATCH: RefCell<Option<(Watch, Option<Page>)>> = const { RefCell::new(None) };
    }
    // A thread that is ending, or a signal handler within this very call, has no watch: it opens one for itself.
    let kept = WATCH.try_with(|watch| {
        let mut watch = watch.try_borrow_mut().ok()?;
        let (machine, daemon) = watch.get_or_insert_with(|| (Watch::open(), None));
        if daemon.is_none() {
            *daemon = Page::published();
        }
        Some(Generation { signal: machine.look(), published: daemon.as_ref().and_then(Page::number) })
    });
    kept.ok().flatten().unwrap_or_else(|| Generation {
        signal: Watch::open().look(),
        published: Page::published().as_ref().and_then(Page::number),
    })
}

enum Watch {
    Page(Page),
    Log(Log),
    Nothing(Signal),
}

impl Watch {
    fn open() -> Self {
        if let Ok(page) = Page::open() {
            return Self::Page(page);
        }
        // Lines about forks appear only where a driver listens.
        match crate::host::vmgenid(&Root::live()) {
            Ok(VmGenId::Listening) => match Log::open() {
                Ok(log) => Self::Log(log),
                Err(_) => Self::Nothing(Signal::Denied),
            },
            _ => Self::Nothing(Signal::Unseen),
        }
    }

    fn look(&mut self) -> Signal {
        match self {
            Self::Page(page) => page.counter().map_or(Signal::Unseen, Signal::Counter),
            Self::Log(log) => log.look(),
            Self::Nothing(answer) => *answer,
        }
    }
}

/// A page that somebody else writes, mapped read-only: VMClock's, or weir-feed's.
struct Page {
    start: NonNull<AtomicU8>,
    bytes: NonZeroUsize,
}

impl Page {
    /// Maps VMClock's page, and gives it only if it has a generation counter.
    fn open() -> Fact<Self> {
        let page = Self::map(&Root::live().open(VMCLOCK_DEVICE, libc::O_RDONLY)?)?;
        page.counter().ok_or(Unknown::Absent)?;
        Ok(page)
    }

    /// Maps the number that weir-feed publishes. Its file is replaced by nobody but root, and not within a boot.
    fn published() -> Option<Self> {
        Self::published_in(&Root::live().open(published::PATH, libc::O_RDONLY).ok()?)
    }

    fn published_in(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        // A mapping beyond a file's end is a fault; and who can write it could cut it short.
        let safe = meta.len() == published::BYTES as u64 && meta.uid() == 0 && meta.mode() & 0o022 == 0;
        let page = Self::map(file).ok().filter(|_| safe)?;
        page.number()?;
        Some(page)
    }

    fn number(&self) -> Option<u64> {
        let mut bytes = [0; published::BYTES];
        for (at, word) in bytes.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&self.field(8 * at, 8)?.to_le_bytes());
        }
        published::parse(&bytes)
    }

    fn map(file: &File) -> Fact<Self> {
        let bytes = NonZeroUsize::new(4096).ok_or(Unknown::Absent)?;
        let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes.get(), read, shared, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(Unknown::from_errno(crate::syscall::last_errno()));
        }
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Unknown::Absent)?, bytes })
    }

    fn counter(&self) -> Option<u64> {
        vmclock::read(|at, width| self.field(at, width)).ok()?.generation
    }

    /// A little-endian number. The hypervisor writes while we read, so byte by byte with atomic loads; the sequence number
    /// tells whether they belong together, and the fences keep its two looks outside of the others.
    fn field(&self, at: usize, width: usize) -> Option<u64> {
        if at.checked_add(width)? > PAGE_BYTES.min(self.bytes.get()) {
            return None;
        }
        fence(Ordering::SeqCst);
        let value = (at..at + width).rev().fold(0, |value, at| {
            // SAFETY: `at` lies in the mapping, which is readable until `drop`. Atomic loads of memory that others write.
            let byte = unsafe { self.start.add(at).as_ref() }.load(Ordering::Relaxed);
            value << 8 | u64::from(byte)
        });
        fence(Ordering::SeqCst);
        Some(value)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes.get()) };
    }
}

/// /dev/kmsg, read up to its end at each look.
struct Log {
    device: File,
    forks: u64,
    /// Who opened it: after a fork, parent and child would take lines from one another.
    pid: u32,
}

impl Log {
    fn open() -> Fact<Self> {
        let device = Root::live().open("/dev/kmsg", libc::O_RDONLY)?;
        Ok(Self { device, forks: 0, pid: std::process::id() })
    }

    fn look(&mut self) -> Signal {
        if self.pid != std::process::id() {
            match Self::open() {
                Ok(own) => *self = own,
                Err(_) => return Signal::Denied,
            }
        }
        let mut record = [0; 8192];
        loop {
            match self.device.read(&mut record) {
                Ok(length @ 1..) => {
                    let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                    self.forks += LogFacts::parse(&text).forks.len() as u64;
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EINTR)) => {}
                _ => return Signal::Forks(self.forks),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    const HERE: Generation = Generation { signal: Signal::Forks(1), published: Some(1) };

    #[test]
    fn a_daemon_that_was_started_in_between_is_no_clone() {
        let before = Generation { published: None, ..HERE };
        assert!(!HERE.differs_from(&before) && !before.differs_from(&HERE));
        assert!(Generation { published: Some(2), ..HERE }.differs_from(&HERE));
        assert!(Generation { signal: Signal::Forks(2), ..HERE }.differs_from(&HERE));
        assert!(!Generation { signal: Signal::Unseen, published: None }.tells());
        assert!(Generation { signal: Signal::Denied, published: Some(1) }.tells());
    }

    #[test]
    fn a_published_number_is_read_where_it_changes_and_only_from_root() {
        let path = std::env::temp_dir().join(format!("weir-generation-{}", std::process::id()));
        std::fs::write(&path, published::format(5)).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let number = |page: &Option<Page>| page.as_ref().and_then(Page::number);
        file.set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
        let page = Page::published_in(&file);
        if file.metadata().unwrap().uid() == 0 {
            assert_eq!(number(&page), Some(5));
            file.write_all_at(&6_u64.to_le_bytes(), published::AT as u64).unwrap();
            assert_eq!(number(&page), Some(6));
        } else {
            assert!(page.is_none());
        }
        file.set_permissions(std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Page::published_in(&file).is_none(), "who could write it could cut it short");
        file.set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
        file.set_len(63).unwrap();
        assert!(Page::published_in(&file).is_none());
    }
}
