//! What a host says of itself: refused, or read without anything in it that writes to a terminal what it likes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_seed::verify::answer::parse;
use weir_seed::verify::batch_gcd::Plan;
use weir_seed::verify::{Evidence, Learnt, Machine, Style, judge, text};

fuzz_target!(|data: &[u8]| {
    let Ok(facts) = parse(data) else { return };
    let machine = |name: &str| Machine {
        names: vec![name.to_owned()],
        learnt: Ok(Learnt::Told(Box::new(facts.clone()))),
    };
    let evidence = Evidence { machines: vec![machine("a"), machine("b")], ..Evidence::default() };
    let plan = Plan { threads: 1, ..Plan::default() };
    let report = judge(&evidence, plan, &|_, _| ());
    assert!(text(&report, Style::Plain).chars().all(|c| c == '\n' || !c.is_control()));
});
