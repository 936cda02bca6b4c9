//! Every way for a source to fail, simulated, with a clock that only the tests move.
//!
//! Streams are made by a small generator with fixed seeds, so that each test does the same each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::channel::{Channel, Clock};
use super::*;
use crate::condition::output_entropy;
use crate::source::{Kind, Source, SourceError, Spec};

/// A clock at a standstill but for [`Time::pass`].
#[derive(Clone)]
struct Time {
    begin: Instant,
    passed_us: Arc<AtomicU64>,
}

impl Time {
    fn new() -> Self {
        Self { begin: Instant::now(), passed_us: Arc::default() }
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_micros(self.passed_us.load(Ordering::Relaxed))
    }

    fn pass(&self, time: Duration) {
        self.passed_us.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
}

/// Fills a buffer, or says why not.
type Give = Arc<Mutex<dyn FnMut(&mut [u8]) -> Result<usize, SourceError> + Send>>;

struct Simulated {
    spec: Spec,
    give: Give,
}

impl Source for Simulated {
    fn name(&self) -> &str {
        self.spec.name()
    }

    fn kind(&self) -> &'static Kind {
        self.spec.kind()
    }

    fn sample(&mut self, out: &mut [u8], _: Instant) -> Result<usize, SourceError> {
        (self.give.lock().expect("no test panics in it"))(out)
    }
}

/// A gatherer of simulated sources: the kind each stands for, what it may count for, what it gives.
fn gatherer(time: &Time, sources: Vec<(&str, f64, Give)>) -> Gatherer {
    let channel = |(name, cap, give): (&str, f64, Give)| {
        let open = move |spec: &Spec| -> Result<Box<dyn Source>, SourceError> {
            Ok(Box::new(Simulated { spec: spec.clone(), give: Arc::clone(&give) }))
        };
        Channel::with(name.parse().expect("a source"), cap, Box::new(open))
    };
    let time = time.clone();
    Gatherer { channels: sources.into_iter().map(channel).collect(), clock: Clock::of(move || time.now()) }
}

fn give(give: impl FnMut(&mut [u8]) -> Result<usize, SourceError> + Send + 'static) -> Give {
    Arc::new(Mutex::new(give))
}

/// Gives what a function says for each place in the stream.
fn stream(mut symbol: impl FnMut(u64) -> u8 + Send + 'static) -> Give {
    let mut places = 0..;
    give(move |out| {
        out.iter_mut().zip(&mut places).for_each(|(out, place)| *out = symbol(place));
        Ok(out.len())
    })
}

/// SplitMix64 of a place: as good as independent and uniform for these tests.
fn mixed(place: u64) -> u64 {
    let mut state = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// A source that is as good as can be.
fn good() -> Give {
    stream(|place| mixed(place) as u8)
}

const ENOUGH: Duration = Duration::from_secs(1);
const FREE: f64 = f64::INFINITY;

fn state_of(gatherer: &Gatherer, index: usize) -> State {
    gatherer.status().swap_remove(index).state
}

fn why(gatherer: &Gatherer) -> String {
    match state_of(gatherer, 0) {
        State::SetAside { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn good_sources_earn_what_was_wanted_and_not_much_more() {
    let mut gatherer = gatherer(&Time::new(), vec![("jitter", FREE, good()), ("rdseed", FREE, good())]);
    for want in [1, 256, 512, 4096] {
        let batch = gatherer.gather(want, ENOUGH);
        assert!((want..want + 520).contains(&batch.credit_bits()), "{want}: {batch:?}");
        assert!(batch.blocks().all(|block| block.bytes().len() == 64 && block.credit_bits() <= 511));
        assert_eq!(batch.parts().len(), 2);
    }
    assert!(gatherer.status().iter().all(|status| status.state == State::Healthy));
}

#[test]
fn a_want_beyond_what_a_batch_holds_ends_too() {
    let mut gatherer = gatherer(&Time::new(), vec![("rdseed", FREE, good())]);
    let batch = gatherer.gather(u32::MAX, ENOUGH);
    assert_eq!(batch.blocks().count(), MOST_BLOCKS);
}

#[test]
fn credit_is_what_the_formula_gives_for_what_sources_claim() {
    let mut gatherer = gatherer(&Time::new(), vec![("jitter", FREE, good()), ("file:/x", FREE, good())]);
    gatherer.gather(100, ENOUGH);
    // Past start-up: a block of few samples.
    let batch = gatherer.gather(100, ENOUGH);
    let input: f64 = batch.parts().iter().map(|part| part.claimed_bits).sum();
    let samples: u64 = batch.parts().iter().map(|part| part.samples).sum();
    let most = output_entropy(8.0 * samples as f64, 512.0, 512.0, input);
    let credit = f64::from(batch.credit_bits());
    assert!(credit <= most && credit <= input && credit > most - 1.1, "{credit} of {most} of {input}");
    // The stuck test leaves out a few, and nothing is counted for the file.
    assert!(batch.parts()[0].claimed_bits <= batch.parts()[0].samples as f64);
    assert_eq!((batch.parts()[1].claimed_bits, batch.parts()[1].credited_bits), (0.0, 0.0));
}

#[test]
fn every_sample_is_in_the_block() {
    let blocks = |changed: u64| -> Vec<u8> {
        let file = stream(move |place| mixed(place) as u8 ^ u8::from(place == changed));
        let mut gatherer = gatherer(&Time::new(), vec![("rdseed", FREE, good()), ("file:/x", FREE, file)]);
        gatherer.gather(256, ENOUGH).blocks().flat_map(|block| block.bytes().to_vec()).collect()
    };
    let nothing = blocks(u64::MAX);
    assert_eq!(nothing, blocks(u64::MAX));
    for place in [0, 1, 511] {
        assert_ne!(nothing, blocks(place), "a bit of an uncredited sample, {place}");
    }
}

#[test]
fn broken_streams_are_set_aside_and_earn_nothing() {
    let broken: [(&str, &str, Give); 8] = [
        ("jitter", "repetition count", stream(|_| 17)),
        ("jitter", "lag test", stream(|place| if place % 30 == 0 { mixed(place) as u8 } else { 17 })),
        ("jitter", "stuck test", stream(|place| (place * 7) as u8)),
        ("jitter", "lag test", stream(|place| [3, 1, 41, 5, 92, 65, 35][place as usize % 7])),
        ("jitter", "start-up test", stream(|place| mixed(place % 100) as u8)),
        (
            "jitter",
            "start-up test",
            stream(|place| if mixed(place) % 100 < 52 { 9 } else { mixed(place) as u8 }),
        ),
        ("rdseed", "start-up test", stream(|place| (mixed(place) % 12) as u8)),
        // Two thirds zeros after a good beginning, which the start-up test cannot know of.
        (
            "rdseed",
            "adaptive proportion",
            stream(|place| if place < 1024 || place % 3 == 0 { mixed(place) as u8 } else { place as u8 & 1 }),
        ),
    ];
    for (name, test, give) in broken {
        let mut gatherer = gatherer(&Time::new(), vec![(name, FREE, give)]);
        let batch = gatherer.gather(4096, ENOUGH);
        assert_eq!(batch.credit_bits(), 0, "{test}");
        assert!(batch.blocks().count() > 0, "{test}: mixed in all the same");
        assert!(why(&gatherer).contains(test), "{test}, not {}", why(&gatherer));
        assert_eq!(gatherer.status()[0].failures, 1);
    }
}

#[test]
fn broken_devices_are_set_aside() {
    type Answer = fn(&mut [u8]) -> Result<usize, SourceError>;
    let broken: [(&str, Answer); 4] = [
        ("at its end", |_| Err(SourceError::Ended)),
        ("no samples", |_| Ok(0)),
        ("more than it was asked for", |out| Ok(out.len() + 1)),
        ("Input/output error", |_| {
            Err(SourceError::Os { what: "reading it", error: std::io::Error::from_raw_os_error(libc::EIO) })
        }),
    ];
    for (text, answer) in broken {
        let mut gatherer = gatherer(&Time::new(), vec![("rdseed", FREE, give(answer))]);
        assert_eq!(gatherer.gather(256, ENOUGH).blocks().count(), 0);
        assert!(why(&gatherer).contains(text), "{text}, not {}", why(&gatherer));
    }
}

#[test]
fn one_broken_source_does_not_keep_another_from_earning() {
    let sources = vec![("jitter", FREE, stream(|_| 0)), ("rdseed", FREE, good())];
    let mut gatherer = gatherer(&Time::new(), sources);
    let batch = gatherer.gather(256, ENOUGH);
    assert!(batch.credit_bits() >= 256);
    assert_eq!(batch.parts()[0].credited_bits, 0.0);
    assert_eq!([state_of(&gatherer, 0).word(), state_of(&gatherer, 1).word()], ["set-aside", "healthy"]);
}

#[test]
fn a_failure_takes_back_what_the_same_batch_had_earned() {
    // Passes its start-up test, and is stuck soon after.
    let fails = stream(|place| if place < 1200 { mixed(place) as u8 } else { 5 });
    let mut gatherer = gatherer(&Time::new(), vec![("rdseed", FREE, fails)]);
    let batch = gatherer.gather(4096, ENOUGH);
    assert!(batch.blocks().count() > 1);
    assert_eq!(batch.credit_bits(), 0);
    assert!(why(&gatherer).contains("repetition"));
}

#[test]
fn only_a_new_start_up_test_after_the_pause_brings_a_source_back() {
    let time = Time::new();
    // Stuck for the first 2000 samples, good after that.
    let recovers = stream(|place| if place < 2000 { 5 } else { mixed(place) as u8 });
    let mut gatherer = gatherer(&time, vec![("rdseed", FREE, recovers)]);
    assert_eq!(gatherer.gather(256, ENOUGH).credit_bits(), 0);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let State::SetAside { since, retry_at, .. } = state_of(&gatherer, 0) else { break };
        let pause = retry_at.duration_since(since).expect("later");
        pauses.push(pause.as_secs());
        time.pass(pause - Duration::from_millis(1));
        let batch = gatherer.gather(256, ENOUGH);
        assert_eq!(batch.blocks().count(), 0, "not asked before the pause is over");
        time.pass(Duration::from_millis(1));
        let before = gatherer.status()[0].samples;
        let batch = gatherer.gather(256, ENOUGH);
        if batch.credit_bits() > 0 {
            assert!(gatherer.status()[0].samples - before >= startup::SAMPLES as u64, "without a whole test");
        }
    }
    assert_eq!(state_of(&gatherer, 0), State::Healthy);
    assert_eq!(pauses, [1, 2, 4, 8]);
    let status = &gatherer.status()[0];
    assert_eq!(status.failures, 4);
    assert!(status.failure.is_some(), "what happened is still told");
}

#[test]
fn pauses_grow_to_an_hour_and_begin_anew_after_long_health() {
    let time = Time::new();
    let mut gatherer = gatherer(&time, vec![("rdseed", FREE, stream(|_| 5))]);
    let mut pause = Duration::ZERO;
    for _ in 0..20 {
        time.pass(pause);
        gatherer.gather(256, ENOUGH);
        let State::SetAside { since, retry_at, .. } = state_of(&gatherer, 0) else { panic!("stuck") };
        pause = retry_at.duration_since(since).expect("later");
    }
    assert_eq!(pause, Duration::from_secs(3600));
    time.pass(Duration::from_secs(3 * 3600));
    gatherer.gather(256, ENOUGH);
    let State::SetAside { since, retry_at, .. } = state_of(&gatherer, 0) else { panic!("stuck") };
    assert_eq!(retry_at.duration_since(since).expect("later"), Duration::from_secs(1));
}

#[test]
fn a_silent_source_is_asked_a_few_times_and_no_more() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let silent = give(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Err(SourceError::Dry)
    });
    let mut gatherer = gatherer(&Time::new(), vec![("fifo:/x", FREE, silent)]);
    for batch in 1..8 {
        assert_eq!(gatherer.gather(256, ENOUGH).blocks().count(), 0);
        assert_eq!(asked.load(Ordering::Relaxed), batch, "once a batch");
        assert_eq!(state_of(&gatherer, 0), State::StartingUp);
    }
    gatherer.gather(256, ENOUGH);
    assert!(why(&gatherer).contains("nothing in the time"));
}

#[test]
fn a_slow_machine_ends_at_its_budget() {
    let time = Time::new();
    let passing = time.clone();
    let slow = give(move |out| {
        passing.pass(Duration::from_millis(30));
        out[0] = 1;
        Ok(1)
    });
    let mut gatherer = gatherer(&time, vec![("jitter", FREE, slow)]);
    let begin = time.now();
    let batch = gatherer.gather(256, Duration::from_millis(100));
    assert_eq!(batch.credit_bits(), 0);
    assert!(time.now() - begin <= Duration::from_millis(130));
    assert_eq!(state_of(&gatherer, 0), State::StartingUp);
}

#[test]
fn sources_that_are_worth_nothing_are_mixed_once_a_batch() {
    let mut gatherer = gatherer(&Time::new(), vec![("file:/x", FREE, good()), ("rdseed", 0.0, good())]);
    for _ in 0..5 {
        let batch = gatherer.gather(256, ENOUGH);
        assert_eq!((batch.credit_bits(), batch.blocks().count()), (0, 1));
        assert_eq!(batch.parts().len(), 2);
    }
    assert!(gatherer.status().iter().all(|status| status.claim == 0.0));
}

#[test]
fn a_lowered_source_is_lowered_and_never_raised() {
    let claimed = |cap: f64| {
        let mut gatherer = gatherer(&Time::new(), vec![("rdseed", cap, good())]);
        gatherer.gather(64, ENOUGH);
        let batch = gatherer.gather(64, ENOUGH);
        let part = &batch.parts()[0];
        part.claimed_bits / part.samples as f64
    };
    assert_eq!([claimed(1.0), claimed(4.0), claimed(8.0), claimed(FREE)], [1.0, 4.0, 4.0, 4.0]);
}

#[test]
fn rest_closes_all_and_fast_sources_begin_anew() {
    let sources = vec![("rdseed", FREE, good()), ("tpm", FREE, good())];
    let mut gatherer = gatherer(&Time::new(), sources);
    while gatherer.status().iter().any(|status| status.state != State::Healthy) {
        gatherer.gather(64, ENOUGH);
    }
    gatherer.rest();
    assert!(gatherer.status().iter().all(|status| status.state == State::Resting));
    let before: Vec<u64> = gatherer.status().iter().map(|status| status.samples).collect();
    gatherer.gather(64, ENOUGH);
    assert!(gatherer.status().iter().all(|status| status.state == State::Healthy));
    let taken: Vec<u64> =
        gatherer.status().iter().zip(before).map(|(now, before)| now.samples - before).collect();
    assert!(taken[0] >= startup::SAMPLES as u64 && taken[1] < startup::SAMPLES as u64, "{taken:?}");
}

#[test]
fn slow_sources_alone_suffice() {
    // 32 bytes at a time, as a TPM gives them.
    let mut places = 0..;
    let tpm = give(move |out| {
        let count = out.len().min(32);
        out[..count].iter_mut().zip(&mut places).for_each(|(out, place)| *out = mixed(place) as u8);
        Ok(count)
    });
    let mut gatherer = gatherer(&Time::new(), vec![("tpm", FREE, tpm)]);
    assert!(gatherer.gather(256, ENOUGH).credit_bits() >= 256);
}

#[test]
fn what_is_not_there_is_said_and_looked_for_again() {
    let mut there = false;
    let open = move |spec: &Spec| -> Result<Box<dyn Source>, SourceError> {
        if !std::mem::replace(&mut there, true) {
            return Err(SourceError::Absent("not yet"));
        }
        Ok(Box::new(Simulated { spec: spec.clone(), give: good() }))
    };
    let channel = Channel::with("rdseed".parse().expect("a source"), FREE, Box::new(open));
    let mut gatherer = Gatherer { channels: vec![channel], clock: Clock::default() };
    assert_eq!(state_of(&gatherer, 0), State::NotOpened);
    assert_eq!(gatherer.gather(64, ENOUGH).credit_bits(), 0);
    assert_eq!(state_of(&gatherer, 0), State::Absent { reason: "not yet".into() });
    assert!(gatherer.gather(64, ENOUGH).credit_bits() >= 64);
}

#[test]
fn nothing_prints_bytes() {
    let mut gatherer = gatherer(&Time::new(), vec![("rdseed", FREE, good())]);
    let batch = gatherer.gather(64, ENOUGH);
    let text = format!("{batch:?} {:?} {gatherer:?}", batch.blocks().collect::<Vec<_>>());
    let bytes = format!("{:?}", batch.blocks().next().expect("a block").bytes());
    assert!(text.contains("Block(64 bytes") && !text.contains(&bytes[1..20]), "{text}");
}
