//! What a draw does when the kernel, or whatever stands between, does not answer as it should.
//!
//! Every fault comes from outside the process's own code: from a filter that the parent put in force. The result must be
//! a right value or an error, and with an error the caller's buffer must be erased.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use weir_kernel::way;

use crate::child::{run, said};
use crate::seccomp::{Answer, Call, Rule, filter, supervised};

/// What a buffer holds before a draw; must not survive it.
const BEFORE: u8 = 0xaa;

fn report(result: Result<(), weir_kernel::Error>, buffer: &[u8]) {
    println!("way: {:?}", way());
    println!("result: {result:?}");
    let hex: String = buffer.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    println!("bytes: {hex}");
    println!("erased: {}", buffer.iter().all(|byte| *byte == 0));
    // A group of eight bytes is all zeros or untouched by chance in one of 2^63 draws.
    let suspicious = |group: &&[u8]| *group == [0; 8] || *group == [BEFORE; 8];
    println!("suspicious: {}", buffer.chunks_exact(8).filter(suspicious).count());
}

pub(crate) fn fill_short() {
    let mut buffer = [BEFORE; 32];
    report(weir_kernel::fill(&mut buffer), &buffer);
}

pub(crate) fn fill_bulk() {
    let mut buffer = vec![BEFORE; 3 << 20];
    report(weir_kernel::fill(&mut buffer), &buffer);
}

pub(crate) fn try_fill() {
    let mut buffer = [BEFORE; 32];
    report(weir_kernel::try_fill(&mut buffer), &buffer);
    println!("ready: {}", weir_kernel::is_ready());
}

pub(crate) fn wait_ready() {
    let start = Instant::now();
    println!("result: {:?}", weir_kernel::wait_ready(Duration::from_millis(400)));
    println!("waited ms: {}", start.elapsed().as_millis());
    // SAFETY: the structure is plain numbers and writable.
    let used = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000
            + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000
    };
    println!("cpu ms: {used}");
}

/// Runs a scenario whose every getrandom fails with `errno`, and checks that the error is `expected`.
fn fails_with(scenario: &str, rules: &[Rule], expected: &str) {
    let output = run(scenario, filter(rules));
    assert_eq!(said(&output, "result: "), format!("Err({expected})"), "{scenario}");
    assert_eq!(said(&output, "erased: "), "true", "{scenario}: the buffer passes for random");
}

#[test]
fn every_error_number_is_a_typed_error_and_erases_the_buffer() {
    let rule = |errno| Rule::getrandom(Answer::Errno(errno));
    let no_state = Rule::mmap_droppable(Answer::Errno(libc::ENOMEM));
    for (errno, expected) in [
        (libc::ENOSYS, "Unsupported"),
        (libc::EPERM, "Denied"),
        (libc::EACCES, "Denied"),
        (libc::EAGAIN, "NotReady"),
        (libc::EIO, "Os(5)"),
        (libc::EINTR, "Os(4)"), // for ever, so giving up is right
    ] {
        for scenario in ["fill_short", "fill_bulk", "try_fill"] {
            fails_with(scenario, &[rule(errno)], expected);
            fails_with(scenario, &[rule(errno), no_state], expected);
        }
    }
}

#[test]
fn not_ready_is_said_and_not_waited_for() {
    let output = run("try_fill", filter(&[Rule::getrandom_nonblock(Answer::Errno(libc::EAGAIN))]));
    // The vDSO may have been keyed by a call that is allowed to block: then bytes are right. is_ready asks the kernel.
    assert_eq!(said(&output, "ready: "), "false");
    fails_with("try_fill", &[Rule::getrandom(Answer::Errno(libc::EAGAIN))], "NotReady");
}

#[test]
fn waiting_for_readiness_ends_in_time_and_does_not_spin() {
    let output = run("wait_ready", filter(&[Rule::getrandom_nonblock(Answer::Errno(libc::EAGAIN))]));
    assert_eq!(said(&output, "result: "), "Err(NotReady)");
    let waited: u64 = said(&output, "waited ms: ").parse().unwrap();
    assert!((400..5000).contains(&waited), "waited {waited} ms of 400");
    // The start of the process included. A spin would use the whole 400 ms.
    let cpu: u64 = said(&output, "cpu ms: ").parse().unwrap();
    assert!(cpu < 200, "used {cpu} ms of CPU");
}

#[test]
fn waiting_for_what_will_not_come_ends_at_once() {
    let output = run("wait_ready", filter(&[Rule::getrandom(Answer::Errno(libc::EPERM))]));
    assert_eq!(said(&output, "result: "), "Err(Denied)");
    let waited: u64 = said(&output, "waited ms: ").parse().unwrap();
    assert!(waited < 300, "waited {waited} ms");
}

#[test]
fn no_memory_for_a_state_means_system_calls() {
    for errno in [libc::ENOMEM, libc::EINVAL, libc::EPERM] {
        let output = run("fill_short", filter(&[Rule::mmap_droppable(Answer::Errno(errno))]));
        assert_eq!(said(&output, "way: "), "Syscall");
        assert_eq!(said(&output, "result: "), "Ok(())");
        assert_eq!(said(&output, "suspicious: "), "0");
    }
}

/// A supervisor that hands out 0, 1, 2, ... in pieces of `piece` bytes at most, and interrupts each `nth` call.
fn in_pieces(piece: usize, nth: u32) -> impl FnMut(&Call) -> i64 + Send + 'static {
    let (mut next, mut calls) = (0, 0);
    move |call| {
        calls += 1;
        if calls % nth == 0 {
            return -i64::from(libc::EINTR);
        }
        let bytes: Vec<u8> = (next..).take(call.wanted.min(piece)).map(|n: u32| n as u8).collect();
        next += bytes.len() as u32;
        call.write(&bytes);
        bytes.len() as i64
    }
}

const NEVER: u32 = u32::MAX;

/// Blocking draws go to a supervisor, and only by system call.
fn supervised_system_calls() -> [Rule; 2] {
    [Rule::getrandom_blocking(Answer::Ask), Rule::mmap_droppable(Answer::Errno(libc::ENOMEM))]
}

#[test]
fn short_and_interrupted_answers_are_continued_to_the_right_value() {
    let right: String = (0..32).map(|n| format!("{n:02x}")).collect();
    for (piece, nth) in [(1, NEVER), (7, 2), (31, 2), (32, NEVER)] {
        let (hook, supervisor) = supervised(&supervised_system_calls(), in_pieces(piece, nth));
        let output = run("fill_short", hook);
        supervisor.join().unwrap();
        assert_eq!(said(&output, "result: "), "Ok(())", "{piece}");
        assert_eq!(said(&output, "bytes: "), right, "{piece}");
    }
}

#[test]
fn short_answers_to_the_vdso_itself_are_continued() {
    // The vDSO asks for a key, is cut short and turns to a plain system call for the caller's buffer, which is cut
    // short too. Of every ten bytes five are in a key that is thrown away and five in the buffer.
    for nth in [3, 5, NEVER] {
        let (hook, supervisor) = supervised(&[Rule::getrandom_blocking(Answer::Ask)], in_pieces(5, nth));
        let output = run("fill_short", hook);
        supervisor.join().unwrap();
        assert_eq!(said(&output, "result: "), "Ok(())");
        let bytes = said(&output, "bytes: ");
        let values: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&bytes[2 * at..2 * at + 2], 16).unwrap()).collect();
        let right = |piece: &[u8]| piece.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1));
        assert!(values.chunks(5).all(right), "{bytes}");
        let mut pieces: Vec<u8> = values.chunks(5).map(|piece| piece[0]).collect();
        pieces.dedup();
        assert_eq!(pieces.len(), 7, "a piece was used twice: {bytes}");
    }
}

#[test]
fn a_bulk_draw_cut_short_uses_whole_keys() {
    let keys = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&keys);
    let mut give = in_pieces(10, NEVER);
    let (hook, supervisor) = supervised(&supervised_system_calls(), move |call| {
        count.fetch_add(u32::from(call.wanted == 32), SeqCst);
        give(call)
    });
    let output = run("fill_bulk", hook);
    supervisor.join().unwrap();
    assert_eq!(said(&output, "result: "), "Ok(())");
    assert_eq!(said(&output, "suspicious: "), "0");
    assert_eq!(keys.load(SeqCst), 3, "one key a mebibyte");
}

#[test]
fn an_answer_of_nothing_or_of_too_much_is_an_error() {
    for value in [0, 33, 1 << 40] {
        for no_state in [true, false] {
            let rules = supervised_system_calls();
            let rules = if no_state { &rules[..] } else { &rules[..1] };
            let (hook, supervisor) = supervised(rules, move |_| value);
            let output = run("fill_short", hook);
            supervisor.join().unwrap();
            assert_eq!(said(&output, "result: "), "Err(Broken)", "answer {value}");
            assert_eq!(said(&output, "erased: "), "true");
        }
    }
}

#[test]
fn an_error_in_the_middle_of_a_draw_erases_what_came_before() {
    let mut give = in_pieces(8, NEVER);
    let mut calls = 0;
    let (hook, supervisor) = supervised(&supervised_system_calls(), move |call| {
        calls += 1;
        if calls > 2 { -i64::from(libc::EIO) } else { give(call) }
    });
    let output = run("fill_short", hook);
    supervisor.join().unwrap();
    assert_eq!(said(&output, "result: "), "Err(Os(5))");
    assert_eq!(said(&output, "erased: "), "true");
}
