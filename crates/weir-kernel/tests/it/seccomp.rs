//! System-call filters, built and put in place by a parent for the child that it is about to start.
//!
//! A filter sees the call's number and the low halves of its arguments. `Answer::Errno` makes matching calls fail;
//! `Answer::Ask` sends them to a supervisor in the parent (seccomp_unotify(2)).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;

use libc::sock_filter;

/// What a child does between fork and exec.
pub(crate) type Hook = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

/// What becomes of a matching call.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Errno(i32),
    Ask,
}

/// Which calls match: the number, and the value of one argument under a mask.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) call: i64,
    pub(crate) argument: u32,
    pub(crate) mask: u32,
    pub(crate) equals: u32,
    pub(crate) answer: Answer,
}

impl Rule {
    /// getrandom(2) as weir-kernel calls it. The standard library seeds its hash maps with GRND_INSECURE, which stays
    /// allowed so that the test harness itself works.
    pub(crate) fn getrandom(answer: Answer) -> Self {
        let insecure = libc::GRND_INSECURE;
        Self { call: libc::SYS_getrandom, argument: 2, mask: insecure, equals: 0, answer }
    }

    /// Only calls that may block: the C library's own calls, for its allocator, may not.
    pub(crate) fn getrandom_blocking(answer: Answer) -> Self {
        let mask = libc::GRND_INSECURE | libc::GRND_NONBLOCK;
        Self { call: libc::SYS_getrandom, argument: 2, mask, equals: 0, answer }
    }

    /// Only calls that must not block.
    pub(crate) fn getrandom_nonblock(answer: Answer) -> Self {
        let (mask, equals) = (libc::GRND_INSECURE | libc::GRND_NONBLOCK, libc::GRND_NONBLOCK);
        Self { call: libc::SYS_getrandom, argument: 2, mask, equals, answer }
    }

    /// The mapping of memory that the kernel may drop, which only states for the vDSO are made of.
    pub(crate) fn mmap_droppable(answer: Answer) -> Self {
        const MAP_DROPPABLE: u32 = 0x08;
        let mask = MAP_DROPPABLE | libc::MAP_SHARED as u32 | libc::MAP_PRIVATE as u32;
        Self { call: libc::SYS_mmap, argument: 3, mask, equals: MAP_DROPPABLE, answer }
    }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// From here on the calling thread may write and end the process; any other system call kills it.
pub(crate) fn allow_only_write_and_exit() {
    let mut steps = vec![step(LOAD, 0, 0, 0)];
    for call in [libc::SYS_write, libc::SYS_exit_group] {
        steps.extend([step(JUMP_IF_EQUAL, 0, 1, call as u32), step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)]);
    }
    steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    install(&steps, 0).unwrap();
}

/// The filter's program. Offsets are those of `struct seccomp_data`.
fn program(rules: &[Rule]) -> Vec<sock_filter> {
    let mut steps = Vec::new();
    for rule in rules {
        let answer = match rule.answer {
            Answer::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            Answer::Ask => libc::SECCOMP_RET_USER_NOTIF,
        };
        let argument = 16 + 8 * rule.argument + if cfg!(target_endian = "big") { 4 } else { 0 };
        steps.extend([
            step(LOAD, 0, 0, 0),
            step(JUMP_IF_EQUAL, 0, 4, rule.call as u32),
            step(LOAD, 0, 0, argument),
            step(AND, 0, 0, rule.mask),
            step(JUMP_IF_EQUAL, 0, 1, rule.equals),
            step(RETURN, 0, 0, answer),
        ]);
    }
    steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps
}

/// A hook for [`crate::child::run`] that puts the rules in force.
pub(crate) fn filter(rules: &[Rule]) -> Hook {
    let steps = program(rules);
    Box::new(move || install(&steps, 0).map(|_| ()))
}

fn install(steps: &[sock_filter], flags: libc::c_ulong) -> io::Result<RawFd> {
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_ptr().cast_mut() };
    // SAFETY: prctl takes plain numbers; seccomp reads the program, which lives through the call.
    let answer = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as RawFd) }
}

/// A call that waits for the supervisor's answer.
pub(crate) struct Call {
    pub(crate) wanted: usize,
    memory: File,
    address: u64,
}

impl Call {
    /// Writes into the buffer that the caller gave to getrandom.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.memory.write_all_at(bytes, self.address).unwrap();
    }
}

/// A hook that sends matching calls to `answer`, which runs on a thread of the parent and says what the call returns
/// (a negated error number, or a count). Join the thread after the child has ended.
pub(crate) fn supervised(
    rules: &[Rule],
    mut answer: impl FnMut(&Call) -> i64 + Send + 'static,
) -> (Hook, JoinHandle<()>) {
    let (mut from_child, to_parent) = io::pipe().unwrap();
    let supervisor = std::thread::spawn(move || {
        let mut hello = [0; 8];
        from_child.read_exact(&mut hello).expect("the child reports its listener");
        let [pid, fd] = [&hello[..4], &hello[4..]].map(|half| i32::from_ne_bytes(half.try_into().unwrap()));
        let listener = steal(pid, fd);
        while let Some(request) = receive(&listener) {
            let memory = File::options().write(true).open(format!("/proc/{}/mem", request.pid)).unwrap();
            let [address, wanted] = [request.data.args[0], request.data.args[1]];
            let value = answer(&Call { wanted: wanted as usize, memory, address });
            respond(&listener, &request, value);
        }
    });
    let steps = program(rules);
    let to_parent = Arc::new(OwnedFd::from(to_parent));
    let hook = Box::new(move || {
        let listener = install(&steps, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
        // SAFETY: plain descriptors; dup without close-on-exec keeps the listener open beyond exec, and the array is
        // readable for its length.
        unsafe {
            let kept = libc::dup(listener);
            let hello = [libc::getpid(), kept];
            libc::write(to_parent.as_raw_fd(), hello.as_ptr().cast(), 8);
        }
        Ok(())
    });
    (hook, supervisor)
}

/// Takes a copy of a descriptor of another process.
fn steal(pid: i32, fd: i32) -> OwnedFd {
    // SAFETY: plain numbers in, new descriptors out.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(process >= 0, "pidfd_open: {}", io::Error::last_os_error());
        let process = OwnedFd::from_raw_fd(process as RawFd);
        let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0);
        assert!(copy >= 0, "pidfd_getfd: {}", io::Error::last_os_error());
        OwnedFd::from_raw_fd(copy as RawFd)
    }
}

/// The next request, or `None` when nobody is left under the filter.
fn receive(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    let mut entry = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one entry; the notification is zeroed as the kernel demands and writable.
        unsafe {
            libc::poll(&raw mut entry, 1, -1);
            if entry.revents & libc::POLLIN == 0 {
                return None;
            }
            let mut request: libc::seccomp_notif = std::mem::zeroed();
            let received = libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut request);
            if received == 0 {
                return Some(request);
            }
        }
    }
}

const NOTIF_RECV: libc::Ioctl = libc::_IOWR::<libc::seccomp_notif>(b'!' as u32, 0);
const NOTIF_SEND: libc::Ioctl = libc::_IOWR::<libc::seccomp_notif_resp>(b'!' as u32, 1);

fn respond(listener: &OwnedFd, request: &libc::seccomp_notif, value: i64) {
    let (val, error) = if value < 0 { (0, value as i32) } else { (value, 0) };
    let mut response = libc::seccomp_notif_resp { id: request.id, val, error, flags: 0 };
    // SAFETY: the response is a complete structure that lives through the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND, &raw mut response) };
}
