//! Gathering on the machine at hand.

use std::time::{Duration, Instant};

use weir_entropy::{Config, Gatherer, State};

#[test]
fn a_batch_earns_what_was_wanted_and_rests() {
    let mut gatherer = Gatherer::new(Config::default());
    let begin = Instant::now();
    let batch = gatherer.gather(512, Duration::from_secs(20));
    eprintln!("{:?} in {:?}", batch, begin.elapsed());
    for status in gatherer.status() {
        eprintln!("{status:?}");
    }
    assert!(batch.credit_bits() >= 512);
    for block in batch.blocks() {
        assert_eq!(block.bytes().len(), 64);
        assert!(block.credit_bits() <= 512);
    }
    let credited: f64 = batch.parts().iter().map(|part| part.credited_bits).sum();
    assert!((credited - f64::from(batch.credit_bits())).abs() < 1e-6);
    gatherer.rest();
    assert!(gatherer.status().iter().all(|status| !matches!(status.state, State::Healthy)));
}
