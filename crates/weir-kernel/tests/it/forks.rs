//! Forks: a child never draws what its parent or a sibling drew, and never hangs. Two draws of 32 bytes are alike by chance
//! with odds of 2^-210 even among ten million.

use std::collections::HashSet;
use std::ffi::c_void;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use weir_kernel::{Way, way};

type Draw = [u8; 32];
const DRAWS_PER_CHILD: usize = 16;

type Draws = [Draw; DRAWS_PER_CHILD];

/// What a child found: its draws, and whether it made them without system calls.
struct Found {
    draws: Draws,
    way: Way,
}

fn draw() -> Found {
    Found { draws: std::array::from_fn(|_| weir_kernel::array().unwrap_or_default()), way: way() }
}

/// Draws on a new thread. Not one of the standard library's: a new thread of that kind takes a lock which another thread
/// of the parent may have held at the fork.
fn draw_on_new_thread() -> Found {
    extern "C" fn run(found: *mut c_void) -> *mut c_void {
        // SAFETY: the creator passes its own variable and waits for this thread before it looks at it.
        unsafe { *found.cast::<Found>() = draw() };
        std::ptr::null_mut()
    }
    let mut found = Found { draws: Draws::default(), way: Way::Syscall };
    // SAFETY: `found` outlives the thread, which is joined here.
    unsafe {
        let mut thread = std::mem::zeroed();
        libc::pthread_create(&raw mut thread, std::ptr::null(), run, (&raw mut found).cast());
        libc::pthread_join(thread, std::ptr::null_mut());
    }
    found
}

/// Draws in a forked child and ends it without running anything of the test harness.
fn child(to_parent: &PipeWriter, on_new_thread: bool) -> ! {
    let Found { draws, way } = if on_new_thread { draw_on_new_thread() } else { draw() };
    // SAFETY: a readable buffer of that length, short enough for a pipe; _exit does not return.
    unsafe {
        libc::write(to_parent.as_raw_fd(), draws.as_ptr().cast(), size_of_val(&draws));
        libc::_exit(i32::from(way == Way::Syscall))
    }
}

/// Forks; answers the child's process number and the pipe on which it will report.
fn fork(on_new_thread: bool) -> (i32, PipeReader) {
    let (from_child, to_parent) = io::pipe().unwrap();
    // SAFETY: the child draws, writes and exits. That it may do so in a process of many threads is what is tested.
    match unsafe { libc::fork() } {
        0 => child(&to_parent, on_new_thread),
        pid => (pid, from_child),
    }
}

fn collect(pid: i32, mut from_child: PipeReader, seen: &mut HashSet<Draw>) {
    let mut bytes = [0; size_of::<Draw>() * DRAWS_PER_CHILD];
    from_child.read_exact(&mut bytes).expect("the child reports its draws");
    for draw in bytes.chunks_exact(size_of::<Draw>()) {
        assert_ne!(draw, [0; 32], "a draw failed in the child");
        assert!(seen.insert(draw.try_into().unwrap()), "a child drew what another process drew");
    }
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if way() == Way::Vdso {
        assert_eq!(status, 0, "the child lost its vDSO");
    }
}

#[test]
fn forks_never_see_the_same_output() {
    let mut seen = HashSet::new();
    for round in 0..200 {
        seen.insert(weir_kernel::array().unwrap());
        let children = [fork(false), fork(round % 2 == 0)];
        assert!(seen.insert(weir_kernel::array().unwrap()));
        for (pid, from_child) in children {
            collect(pid, from_child, &mut seen);
        }
    }
}

#[test]
fn forks_of_a_process_whose_threads_draw_see_nothing_of_theirs() {
    let stop = Arc::new(AtomicBool::new(false));
    let drawing: Vec<_> = (0..6)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut draws = Vec::new();
                while !stop.load(SeqCst) {
                    // Short-lived threads as well, so that forks meet states on their way in and out.
                    let drawn = std::thread::spawn(|| weir_kernel::array().unwrap()).join().unwrap();
                    draws.push(drawn);
                    draws.extend((0..50).map(|_| weir_kernel::array::<32>().unwrap()));
                }
                draws
            })
        })
        .collect();
    let mut seen = HashSet::new();
    let start = Instant::now();
    for round in 0..150 {
        let (pid, from_child) = fork(round % 2 == 0);
        assert!(seen.insert(weir_kernel::array().unwrap()));
        collect(pid, from_child, &mut seen);
    }
    stop.store(true, SeqCst);
    assert!(start.elapsed() < Duration::from_secs(120), "a child hung");
    for thread in drawing {
        assert!(thread.join().unwrap().into_iter().all(|draw| seen.insert(draw)));
    }
}
