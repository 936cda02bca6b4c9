//! Bytes of any length under all tests: every p-value is a probability, in one piece or in many, and no picture is broken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_assess::battery::Battery;
use weir_assess::ent::Unit;
use weir_assess::plot::{Picture, draw};
use weir_assess::sp800_22::{self, Bits, Parameters};
use weir_assess::verdict::{FALSE_ALARM, judge};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    // A long input from a short one, so that tests apply that want much.
    let repeats = 1 + usize::from(first >> 3) * 8;
    let stream = rest.repeat(if rest.len() < 4096 { repeats } else { 1 });
    let (mut whole, mut pieces) = (Battery::new(), Battery::new());
    whole.push(&stream);
    stream.chunks(usize::from(*first) + 1).for_each(|piece| pieces.push(piece));
    assert_eq!(whole.p_values(), pieces.p_values());
    for unit in [Unit::Bytes, Unit::Bits] {
        assert_eq!(whole.figures(unit).terse(), pieces.figures(unit).terse());
    }
    let bits = Bits::new(&stream).first((8 * stream.len()).saturating_sub(usize::from(first & 7)));
    let mut p_values = whole.p_values();
    for parameters in [Parameters::published(), Parameters::for_length(bits.len())] {
        let results = sp800_22::assess(bits, &parameters, 1, &|_| ());
        assert_eq!(results.len(), 15);
        p_values.extend(sp800_22::p_values(&results));
    }
    for named in &p_values {
        assert!((0.0..=1.0).contains(&named.p_value), "{named:?}");
    }
    judge(p_values, FALSE_ALARM);
    let picture =
        Picture { name: "x", samples: rest, bits: u32::from(first & 7) + 1, estimates: &[], assessed: None };
    assert!(!draw(&picture).contains("NaN"));
});
