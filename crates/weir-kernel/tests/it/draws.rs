//! Draws as they should be: right lengths, never the same twice, no system call, on any thread, in signal handlers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use weir_kernel::{Purpose, Way, draws, fill, fill_for, is_ready, try_fill, wait_ready, way};

use crate::child::{run, said};
use crate::seccomp::allow_only_write_and_exit;

#[test]
fn every_length_is_filled_to_its_last_byte() {
    // Each position of each length must change within 16 draws: by chance one does not with odds of 2^-128.
    let lengths = (0..=300).chain([1023, 2046, 2047, 2048, 2049, 4095, 4096, 4099, 70_001, (1 << 20) + 5]);
    for length in lengths {
        let mut seen = vec![0u8; length];
        for _ in 0..16 {
            let mut buffer = vec![0; length];
            fill(&mut buffer).unwrap();
            seen.iter_mut().zip(&buffer).for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(seen.iter().all(|byte| *byte != 0), "length {length}: a byte stayed zero");
    }
}

#[test]
fn nothing_is_written_beside_the_buffer() {
    for length in [0, 1, 31, 32, 33, 100, 2047, 2048, 2049, 5000] {
        let mut around = vec![0x5a; length + 64];
        fill(&mut around[32..32 + length]).unwrap();
        assert!(
            around[..32].iter().chain(&around[32 + length..]).all(|byte| *byte == 0x5a),
            "length {length}"
        );
    }
}

#[test]
fn this_host_is_ready_and_says_so() {
    assert!(is_ready());
    wait_ready(Duration::ZERO).unwrap();
    try_fill(&mut [0; 32]).unwrap();
}

#[test]
fn an_array_is_a_draw() {
    let (first, second) = (weir_kernel::array::<32>().unwrap(), weir_kernel::array::<32>().unwrap());
    assert_ne!(first, second);
}

#[test]
fn ones_and_zeros_are_even() {
    // 8 Mbit of each way: |ones - n/2| beyond 6 standard deviations (sqrt(n)/2) has odds of 2·10^-9 each.
    for piece in [32, 1 << 20] {
        let mut bytes = vec![0; 1 << 20];
        bytes.chunks_mut(piece).for_each(|piece| fill(piece).unwrap());
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        let (bits, ones) = (8.0 * bytes.len() as f64, f64::from(ones));
        assert!((ones - bits / 2.0).abs() < 6.0 * bits.sqrt() / 2.0, "{ones} of {bits}");
    }
}

#[test]
fn bulk_draws_share_nothing() {
    // Any two equal blocks of 16 bytes among 2^18: odds of 2^-93.
    let mut blocks = HashSet::new();
    for _ in 0..8 {
        let mut buffer = vec![0; 512 << 10];
        fill(&mut buffer).unwrap();
        assert!(buffer.chunks_exact(16).all(|block| blocks.insert(block.to_vec())));
    }
    // Within one long draw the key changes each mebibyte; the second must not repeat the first.
    let mut buffer = vec![0; 2 << 20];
    fill(&mut buffer).unwrap();
    assert_ne!(buffer[..64], buffer[1 << 20..][..64]);
}

#[test]
fn threads_never_see_the_same_output() {
    // Enough threads at once to need a second block of states. Two of 30,000 draws alike by chance: odds of 2^-227.
    let threads: Vec<_> = (0..150)
        .map(|_| {
            std::thread::spawn(|| (0..200).map(|_| weir_kernel::array::<32>().unwrap()).collect::<Vec<_>>())
        })
        .collect();
    let mut seen = HashSet::new();
    for thread in threads {
        assert!(thread.join().unwrap().into_iter().all(|draw| seen.insert(draw)));
    }
}

/// Draws under a filter that kills the process at any system call but the last two.
pub(crate) fn draw_without_system_calls() {
    let mut long = vec![0; 64 << 10];
    fill(&mut long[..32]).unwrap();
    allow_only_write_and_exit();
    let mut good = true;
    for _ in 0..1000 {
        good &= fill(&mut long[..32]).is_ok() && try_fill(&mut long[..16]).is_ok();
    }
    good &= fill(&mut long).is_ok();
    let word: &[u8] = if good { b"quiet: yes\n" } else { b"quiet: no\n" };
    // SAFETY: a readable buffer of that length; _exit does not return.
    unsafe {
        libc::write(1, word.as_ptr().cast(), word.len());
        libc::_exit(0);
    }
}

#[test]
fn a_draw_from_the_vdso_makes_no_system_call() {
    if way() == Way::Syscall {
        testkit::skip!("this kernel's vDSO has no getrandom");
    }
    // The kernel reseeds about once a minute, and then the vDSO rightly makes one call, for which the child is killed: odds
    // of 10^-3 where the child is slow, and of 10^-9 for three children.
    let quiet = || String::from_utf8_lossy(&run("strict", || Ok(())).stdout).contains("quiet: yes");
    assert!((0..3).any(|_| quiet()), "a draw makes a system call, or fails");
}

/// What the handler has drawn, in halves, since a handler can only store to atomics.
static DRAWN: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);
const MOST: usize = 2000;
static DRAWS: [[AtomicU64; 2]; MOST] = [const { [const { AtomicU64::new(0) }; 2] }; MOST];

extern "C" fn on_signal(_: i32) {
    let mut bytes = [0; 16];
    if fill(&mut bytes).is_err() {
        FAILED.store(true, SeqCst);
    }
    let at = DRAWN.fetch_add(1, SeqCst);
    if let Some([low, high]) = DRAWS.get(at) {
        low.store(u64::from_ne_bytes(bytes[..8].try_into().unwrap()), SeqCst);
        high.store(u64::from_ne_bytes(bytes[8..].try_into().unwrap()), SeqCst);
    }
}

/// Draws in a loop that signals interrupt, and in their handler.
pub(crate) fn draw_in_signal_handlers() {
    let interval = libc::timeval { tv_sec: 0, tv_usec: 50 };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: the handler only draws and stores to atomics.
    unsafe {
        libc::signal(libc::SIGALRM, on_signal as extern "C" fn(i32) as libc::sighandler_t);
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
    let mut seen = HashSet::new();
    let mut same = 0;
    while DRAWN.load(SeqCst) < MOST {
        let draw: [u8; 16] = weir_kernel::array().unwrap();
        same += usize::from(!seen.insert(draw));
        // New threads too, so that signals hit the taking of a state.
        if seen.len() % 1000 == 0 {
            std::thread::spawn(|| fill(&mut [0; 32]).unwrap()).join().unwrap();
        }
    }
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let never = libc::itimerval { it_interval: zero, it_value: zero };
    // SAFETY: disarms the timer.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const never, std::ptr::null_mut()) };
    for [low, high] in &DRAWS {
        let mut draw = [0; 16];
        draw[..8].copy_from_slice(&low.load(SeqCst).to_ne_bytes());
        draw[8..].copy_from_slice(&high.load(SeqCst).to_ne_bytes());
        same += usize::from(!seen.insert(draw));
    }
    println!("same: {same}, failed: {}", FAILED.load(SeqCst));
}

#[test]
fn a_signal_handler_may_draw_in_the_middle_of_a_draw() {
    // Even among 2^24 draws of 16 bytes, two are alike by chance with odds of 2^-81.
    assert_eq!(said(&run("signals", || Ok(())), "same: "), "0, failed: false");
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// Many threads one after the other, then how many mappings are left over.
pub(crate) fn draw_on_many_threads() {
    let churn = |count: usize| {
        for _ in 0..count {
            std::thread::spawn(|| fill(&mut [0; 32]).unwrap()).join().unwrap();
        }
    };
    churn(10);
    let before = mappings();
    churn(1000);
    println!("more mappings: {}", mappings().saturating_sub(before));
}

#[test]
fn the_state_of_an_ended_thread_is_used_again() {
    let more: usize = said(&run("thread_churn", || Ok(())), "more mappings: ").parse().unwrap();
    // Unused states of 1000 threads would be 16 blocks of two mappings each.
    assert!(more < 8, "{more} mappings more after 1000 threads");
}

/// Counts in a process where nobody else draws.
pub(crate) fn count_draws() {
    let before = draws();
    fill_for(Purpose::Token, &mut [0; 32]).unwrap();
    fill_for(Purpose::Token, &mut [0; 10_000]).unwrap();
    let threads: Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| fill_for(Purpose::Uuid, &mut [0; 16]).unwrap())).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    weir_kernel::try_fill_for(Purpose::RequestId, &mut [0; 16]).unwrap();
    let after = draws();
    assert_eq!(before.total().draws + 7, after.total().draws);
    let counted = [Purpose::Token, Purpose::Uuid, Purpose::RequestId].map(|purpose| after.of(purpose));
    let counted = counted.map(|drawn| format!("{}/{}", drawn.draws, drawn.bytes));
    println!("counted: {}", counted.join(" "));
}

#[test]
fn draws_are_counted_by_purpose_also_of_threads_that_ended() {
    assert_eq!(said(&run("counters", || Ok(())), "counted: "), "2/10032 4/64 1/16");
}
