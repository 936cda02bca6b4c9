//! The guestfish that opens a disk, with an end that comes in every case: when its work is done, when it takes too long, and
//! when this program is told to end.
//!
//! Contract: whatever is left of guestfish after one of these (itself, its helpers, the virtual machine) is ended, and the
//! folder that was theirs is removed. A signal then does what it does by itself.
//!
//! guestfish is in a process group of its own, so that a Ctrl-C reaches it through this program alone, and puts its virtual
//! machine into yet another. Its helpers are ended before it is: it then removes what it made elsewhere (its sockets are in
//! /tmp for root, whatever it is told).
//!
//! Absent on purpose: an end after SIGKILL, which nobody is told of.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long guestfish may take to clean up once its helpers are gone.
const GRACE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A guestfish that runs.
pub(super) struct Guest {
    shared: Arc<Shared>,
    /// Tells the watch that the disk is open.
    wake: UnixStream,
}

struct Shared {
    state: Mutex<State>,
    is_late: AtomicBool,
    /// The signal that came; 0 for none.
    signal: Arc<AtomicUsize>,
}

struct State {
    child: Option<Child>,
    input: Option<ChildStdin>,
    /// Where it keeps its temporary files.
    scratch: PathBuf,
    /// Where it exports the disk to, as soon as it does.
    mount: Option<PathBuf>,
    /// Whether the disk is changed: then it ends by itself, so that all of it is written.
    change: bool,
}

impl Guest {
    /// Starts it. From then on it has `limit` to come to [`Guest::is_open`].
    pub(super) fn start(limit: Duration, change: bool) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        // Passed through by a virtual machine that runs as another user, as libvirt's does for root.
        let scratch = new_folder(0o711)?;
        let started = spawn(&scratch);
        let mut child = started.inspect_err(|_| drop(fs::remove_dir(&scratch)))?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let state = State { child: Some(child), input, scratch, mount: None, change };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            is_late: AtomicBool::new(false),
            signal: Arc::default(),
        });
        let (wake, woken) = UnixStream::pair()?;
        let guest = Self { shared, wake };
        guest.watch(woken, limit)?;
        match (output, errors) {
            (Some(output), Some(errors)) => Ok((guest, output, errors)),
            _ => Err(io::Error::other("no pipe")),
        }
    }

    fn watch(&self, woken: UnixStream, limit: Duration) -> io::Result<()> {
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal)) {
            let number = usize::try_from(signal).unwrap_or_default();
            // In this order: who is woken finds which it was.
            signal_hook::flag::register_usize(signal, Arc::clone(&self.shared.signal), number)?;
            signal_hook::low_level::pipe::register(signal, self.wake.try_clone()?)?;
        }
        let shared = Arc::clone(&self.shared);
        let watch = std::thread::Builder::new().name("guestfish".to_owned());
        watch.spawn(move || shared.watch(woken, limit))?;
        Ok(())
    }

    pub(super) fn say(&self, line: &str) -> io::Result<()> {
        let mut state = self.shared.state();
        let input = state.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(line.as_bytes())?;
        input.write_all(b"\n")?;
        input.flush()
    }

    /// Without commands it ends.
    pub(super) fn say_no_more(&self) {
        self.shared.state().input = None;
    }

    /// The disk is open: the limit does not hold any more.
    pub(super) fn is_open(&self) -> io::Result<()> {
        (&self.wake).write_all(b"o")
    }

    /// Whether it was ended because it took too long.
    pub(super) fn is_late(&self) -> bool {
        self.shared.is_late.load(Ordering::SeqCst)
    }

    /// Waits for this program's end if that is what ended guestfish.
    pub(super) fn leave_to_signal(&self) {
        while self.shared.signal.load(Ordering::SeqCst) != 0 {
            std::thread::park();
        }
    }

    /// Makes the folder to export to.
    pub(super) fn mount_folder(&self) -> io::Result<PathBuf> {
        let folder = new_folder(0o700)?;
        self.shared.state().mount = Some(folder.clone());
        Ok(folder)
    }

    /// Unmounts what was exported, if anything was.
    pub(super) fn unmount(&self) -> io::Result<()> {
        let Some(folder) = self.shared.state().mount.take() else { return Ok(()) };
        // One that was never mounted is empty, and goes at once.
        if fs::remove_dir(&folder).is_err() {
            unmount(&folder, "-u")?;
            let _ = fs::remove_dir(&folder);
        }
        Ok(())
    }

    /// Waits for its end, which is near: it has said all it will.
    pub(super) fn wait(&self) -> io::Result<bool> {
        let mut state = self.shared.state();
        let Some(mut child) = state.child.take() else { return Ok(false) };
        let success = child.wait()?.success();
        let _ = fs::remove_dir_all(&state.scratch);
        Ok(success)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lasts as long as the program, because a signal that was once taken over stays so.
    fn watch(&self, mut woken: UnixStream, limit: Duration) {
        let begun = Instant::now();
        let mut limit = Some(limit);
        loop {
            let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()).max(PAUSE));
            let _ = woken.set_read_timeout(left);
            match woken.read(&mut [0]) {
                Ok(0) => return,
                Ok(_) => match i32::try_from(self.signal.load(Ordering::SeqCst)) {
                    Ok(0) | Err(_) => limit = None,
                    Ok(signal) => {
                        self.state().end_for_signal();
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                },
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    limit = None;
                    self.is_late.store(true, Ordering::SeqCst);
                    self.state().end();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl State {
    fn end_for_signal(&mut self) {
        if self.child.is_none() {
            return;
        }
        self.input = None;
        let Some(folder) = self.mount.take() else { return self.end() };
        // Now, for what is accessed still; for guestfish, with the last access, which is this program's.
        let unmounted = unmount(&folder, "-uz");
        if self.change && unmounted.is_ok() {
            let _ = fs::remove_dir_all(&self.scratch);
        } else {
            self.end();
        }
        let _ = fs::remove_dir(&folder);
    }

    /// Ends all of it.
    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        self.input = None;
        for helper in helpers(child.id()) {
            let _ = kill_process(helper, Signal::KILL);
        }
        let begun = Instant::now();
        while begun.elapsed() < GRACE && child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(PAUSE);
        }
        // Those that it started since, and itself.
        for helper in helpers(child.id()) {
            let _ = kill_process(helper, Signal::KILL);
        }
        if let Some(group) = pid(child.id()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.is_open();
    }
}

fn spawn(scratch: &Path) -> io::Result<Child> {
    let mut command = Command::new("guestfish");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if std::env::var_os("LIBGUESTFS_TMPDIR").is_none() {
        command.env("LIBGUESTFS_TMPDIR", scratch);
    }
    command.spawn()
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// What a process started, and what that did, as far as their parents are still there.
fn helpers(of: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut left = vec![of];
    while let Some(parent) = left.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            left.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        found.extend(pid(parent).filter(|_| parent != of));
    }
    found
}

/// Whether whoever started this program has it ignore a signal, as nohup does.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal - 1) & 1 == 1
}

/// A new folder of this user's.
fn new_folder(mode: u32) -> io::Result<PathBuf> {
    let temporary = std::env::temp_dir();
    for number in 0..1000 {
        let folder = temporary.join(format!("weir-seed-lint-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(mode).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    Err(io::Error::other("no name is left for a temporary folder"))
}

fn unmount(folder: &Path, how: &str) -> io::Result<()> {
    for program in ["fusermount3", "fusermount"] {
        let status = Command::new(program).arg(how).arg(folder).stderr(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("cannot unmount {}: try fusermount -u", folder.display())))
}
