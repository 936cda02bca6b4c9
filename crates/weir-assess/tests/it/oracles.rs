//! The figures of other programs: rngtest of rng-tools 5 (Debian rng-tools5 5-4.1) and ent 1.2 (Debian 1.2debian-3), recorded
//! for streams that are made here. Set `WEIR_ASSESS_DUMP` to a folder to have those streams written there and compare anew.

use weir_assess::ent::{Ent, Unit};
use weir_assess::fips140_2::rngtest::{BOOTSTRAP_BYTES, Rngtest};
use weir_assess::fips140_2::{BLOCK_BYTES, Tally};

use crate::battery::SplitMix64;

/// Blocks whose sum of squares is near the upper bound, so that one nibble more or less decides.
fn near_the_bound(blocks: usize) -> Vec<u8> {
    let mut source = SplitMix64(3);
    let mut stream = source.next().to_le_bytes()[..BOOTSTRAP_BYTES].to_vec();
    while stream.len() < BOOTSTRAP_BYTES + blocks * BLOCK_BYTES {
        // Move nibbles from one value to another until the counts are uneven enough.
        let mut counts = [312i64; 16];
        counts[..8].iter_mut().for_each(|count| *count += 1);
        let squares = |counts: &[i64; 16]| counts.iter().map(|count| count * count).sum::<i64>();
        while squares(&counts) < 1_576_928 - 300 {
            let (from, to) = (source.next() as usize % 16, source.next() as usize % 16);
            counts[from] -= 1;
            counts[to] += 1;
        }
        let mut nibbles: Vec<u8> = (0u8..16)
            .zip(counts)
            .flat_map(|(value, count)| std::iter::repeat_n(value, count as usize))
            .collect();
        for at in (1..nibbles.len()).rev() {
            nibbles.swap(at, (source.next() % (at as u64 + 1)) as usize);
        }
        stream.extend(nibbles.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low));
    }
    stream
}

fn even(bytes: usize) -> Vec<u8> {
    let mut stream = vec![0; bytes];
    SplitMix64(1).fill(&mut stream);
    stream
}

fn counter() -> Vec<u8> {
    (0..250_000u32).flat_map(u32::to_be_bytes).collect()
}

fn dump(name: &str, stream: &[u8]) {
    if let Some(folder) = std::env::var_os("WEIR_ASSESS_DUMP") {
        std::fs::write(std::path::Path::new(&folder).join(name), stream).unwrap();
    }
}

fn rngtest(stream: &[u8]) -> Tally {
    let (bootstrap, rest) = stream.split_first_chunk().unwrap();
    let mut tests = Rngtest::new(*bootstrap);
    let mut tally = Tally::default();
    for block in rest.as_chunks::<BLOCK_BYTES>().0 {
        tally.add(tests.test(block));
    }
    tally
}

#[test]
fn counts_of_rngtest() {
    for (name, stream, failed, by_test) in [
        ("bound", near_the_bound(400), 116, [3, 106, 9, 0, 0]),
        ("even", even(10_000_004), 4, [0, 0, 2, 2, 0]),
        ("counter", counter(), 399, [399, 399, 399, 145, 0]),
    ] {
        dump(name, &stream);
        let tally = rngtest(&stream);
        assert_eq!((tally.failed, tally.by_test), (failed, by_test), "{name}");
    }
}

#[test]
fn lines_of_ent() {
    for (name, stream, bytes, bits) in [
        (
            "even",
            even(10_000_004),
            "1,10000004,7.999981,268.783200,127.551479,3.138477,-0.000263",
            "1,80000032,1.000000,6.289930,0.500140,3.138477,0.000066",
        ),
        (
            "short",
            even(7),
            "1,7,2.807355,249.000000,102.142857,4.000000,-0.192515",
            "1,56,0.966619,2.571429,0.392857,4.000000,-0.048128",
        ),
        (
            "odd",
            even(100_003),
            "1,100003,7.998147,256.650770,127.165675,3.142497,-0.002671",
            "1,800024,1.000000,0.118576,0.500192,3.142497,0.002895",
        ),
        (
            "counter",
            counter(),
            "1,1000000,5.709217,28179827.310592,62.832360,3.999952,-0.000812",
            "1,8000000,0.852237,1581979.338752,0.277656,3.999952,0.256132",
        ),
        (
            "zeros",
            vec![0; 1000],
            "1,1000,0.000000,255000.000000,0.000000,4.000000,-100000.000000",
            "1,8000,0.000000,8000.000000,0.000000,4.000000,-100000.000000",
        ),
    ] {
        dump(name, &stream);
        // In pieces that fit no boundary.
        let mut ent = Ent::new();
        stream.chunks(4_099).for_each(|piece| ent.push(piece));
        assert_eq!(ent.figures(Unit::Bytes).terse()[1], bytes, "{name}");
        assert_eq!(ent.figures(Unit::Bits).terse()[1], bits, "{name}");
    }
}
