//! Whether a key exists does not show in how long it takes to look it up.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use weir_mint::{Digester, Uuid};
use weir_model::typed::KeyCredential;
use weir_plugin::{Directory, NoRecords};
use weir_proxy::{Builder, Settings, Update};

/// Look-ups of each kind.
const SAMPLES: usize = 100_000;
/// Keys that exist: few enough that what a look-up reads is at hand, so that the caches of the machine are not what is measured.
const KEYS: usize = 500;

/// As dudect measures (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017): both kinds of look-ups come
/// in an order that is random to the processor, and the slowest are left out since they measure the machine. The means differ
/// by less than a fiftieth, the best of three attempts. What remains is that an answer is written where there is one: a
/// nanosecond or two, which Welch's t finds on one machine. It is the same for every key, and says nothing about a guess.
#[test]
fn a_key_that_exists_takes_as_long_as_one_that_does_not() {
    let digester = Digester::new(&[7; 32]);
    let mut builder = Builder::new(Settings::default(), Vec::new(), Arc::new(NoRecords), digester.clone());
    let consumer = Uuid::v4().unwrap();
    for n in 0..KEYS {
        let credential = KeyCredential { id: Uuid::v4().unwrap(), consumer };
        let digest = digester.digest(name(n).as_bytes());
        builder.apply(Update::Key { credential, digest, before: None, expires_at_ms: None }).unwrap();
    }
    let directory = builder.snapshot();
    assert!(directory.key(name(0).as_bytes()).is_some() && directory.key(name(KEYS).as_bytes()).is_none());
    let attempts: Vec<f64> = (0..3).map(|_| difference(&*directory)).collect();
    assert!(attempts.iter().any(|difference| difference.abs() < 0.02), "differences: {attempts:?}");
}

fn name(n: usize) -> String {
    format!("key-{n:026}")
}

/// By which part of their mean look-ups that find take longer than those that do not.
fn difference(directory: &dyn Directory) -> f64 {
    let order: Vec<u8> = (0..2 * SAMPLES / 8).map(|_| weir_mint::uniform(0..=255).unwrap() as u8).collect();
    let mut times: [Vec<f64>; 2] = [Vec::with_capacity(2 * SAMPLES), Vec::with_capacity(2 * SAMPLES)];
    for n in 0..2 * SAMPLES {
        let missing = usize::from(order[n / 8] >> (n % 8) & 1);
        // Each text is shown the same number of times, whether it is a key or not.
        let text = name(n * 7919 % KEYS + missing * KEYS);
        let before = Instant::now();
        black_box(directory.key(black_box(text.as_bytes())));
        times[missing].push(before.elapsed().as_nanos() as f64);
    }
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let slow = all[all.len() * 9 / 10];
    let [found, missed] = times.map(|times| {
        let kept: Vec<f64> = times.into_iter().filter(|time| *time <= slow).collect();
        kept.iter().sum::<f64>() / kept.len() as f64
    });
    (found - missed) / missed
}
