//! The tests of SP 800-90B sections 5 and 3.1.4 against figures of NIST's tool and against sources that are known.
//!
//! Expected figures are those that the algorithms of usnistgov/SP800-90B_EntropyAssessment 1.1.7 give for the same files
//! (`ea_iid -v -v -v`), with 17 digits.

use std::ops::ControlFlow;

use weir_assess::sp800_90b::{
    Cancelled, ChiSquare, Done, IidAssessment, RestartError, Samples, Unwatched, iid, restart, restart_cutoff,
};

use crate::sp800_90b::{noise, vectors};

fn of_file(name: &str) -> Option<IidAssessment> {
    let Some(folder) = vectors() else {
        eprintln!("SKIPPED: {name}: no ../shared/vectors/sp800-90b beside the workspace");
        return None;
    };
    let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
    Some(iid(&Samples::new(&bytes, None).unwrap(), &[1; 32], &Unwatched).unwrap())
}

fn close(what: &str, expected: f64, ours: f64) {
    let bound = 1e-10 * expected.abs().max(1e-12);
    assert!((expected - ours).abs() <= bound, "{what}: NIST's tool says {expected}, we say {ours}");
}

fn same(what: &str, found: ChiSquare, score: f64, df: i64, p_value: f64) {
    close(what, score, found.score);
    assert_eq!(found.df, df, "{what}");
    // Both ways to compute the tail lose digits of the smallest chances; that of the tool about seven of 17.
    assert!(
        (found.p_value - p_value).abs() <= 1e-10 * p_value.max(1e-3),
        "{what}: {p_value} {}",
        found.p_value
    );
}

#[test]
fn figures_of_bytes_are_those_of_the_tool() {
    let Some(found) = of_file("rand8_short") else { return };
    close("mean", 127.648, found.mean);
    assert_eq!(found.median, 128.0);
    same("independence", found.independence, 1_013.164_902_624_346_6, 735, 3.576_866_893_391_38e-11);
    same("goodness of fit", found.goodness_of_fit, 1_288.236_790_739_754, 1206, 0.049_333_049_713_476_64);
    close("collisions", 0.004_008_299_999_999_997, found.longest_repeat.p_col);
    assert_eq!(found.longest_repeat.length, 3);
    close("repeat", 0.959_979_028_659_144_9, found.longest_repeat.p_value);
    let expected = [
        6_638.535_999_999_964,
        6727.0,
        6.0,
        5006.0,
        4938.0,
        13.0,
        20.304_878_048_780_488,
        67.0,
        34.0,
        30.0,
        49.0,
        49.0,
        35.0,
        163_045_111.0,
        163_784_454.0,
        162_563_680.0,
        162_531_901.0,
        161_376_389.0,
        10_987.0,
    ];
    for (found, expected) in found.permutations.iter().zip(expected) {
        close(found.name, expected, found.unpermuted);
    }
    assert!(!found.independence.passed && !found.passed);
}

#[test]
fn figures_of_bits_are_those_of_the_tool() {
    let Some(found) = of_file("rand1_short") else { return };
    close("mean", 0.5008, found.mean);
    assert_eq!(found.median, 0.5);
    same("independence", found.independence, 106.896_127_145_024_64, 126, 0.890_220_890_079_808);
    same("goodness of fit", found.goodness_of_fit, 10.918_427_951_175_554, 9, 0.281_341_776_599_411_2);
    assert_eq!(found.longest_repeat.length, 25);
    close("repeat", 0.773_025_684_801_583_4, found.longest_repeat.p_value);
    let expected = [
        68.691_199_999_999_75,
        793.0,
        7.0,
        746.0,
        5044.0,
        12.0,
        22.943_396_226_415_093,
        53.0,
        222.0,
        230.0,
        224.0,
        224.0,
        235.0,
        20_021.0,
        19_982.0,
        20_092.0,
        19_719.0,
        19_526.0,
        1611.0,
    ];
    for (found, expected) in found.permutations.iter().zip(expected) {
        close(found.name, expected, found.unpermuted);
    }
    assert_eq!(found.h_bitstring, None);
}

#[test]
fn the_seed_decides_the_ranks() {
    let symbols: Vec<u8> = noise(29, 20_000).into_iter().map(|byte| byte >> 4).collect();
    let samples = Samples::new(&symbols, Some(4)).unwrap();
    let ranks = |seed| iid(&samples, &[seed; 32], &Unwatched).unwrap();
    assert_eq!(ranks(1), ranks(1));
    assert_ne!(ranks(1).permutations, ranks(2).permutations);
    // Of a fixed stream and fixed seeds: no chance is left in this.
    assert!(ranks(1).passed, "{:?}", ranks(1));
    assert!(ranks(1).rounds < 10_000);
}

#[test]
fn order_is_noticed() {
    // A sixteenth of the symbols are those of sixteen before: neighbours are independent, and all parts alike.
    let mut symbols: Vec<u8> = noise(31, 20_000).into_iter().map(|byte| byte >> 4).collect();
    let copied = noise(33, 20_000).into_iter().map(|byte| byte < 16);
    for (at, _) in copied.enumerate().skip(16).filter(|(_, copied)| *copied) {
        symbols[at] = symbols[at - 16];
    }
    let found = iid(&Samples::new(&symbols, Some(4)).unwrap(), &[1; 32], &Unwatched).unwrap();
    let others = [found.independence.passed, found.goodness_of_fit.passed, found.longest_repeat.passed];
    assert_eq!(others, [true; 3]);
    assert!(!found.passed);
    assert_eq!(found.rounds, 10_000);
    let failed: Vec<_> =
        found.permutations.iter().filter(|rank| !rank.passed).map(|rank| rank.name).collect();
    assert!(failed.contains(&"periodicity(16)"), "{failed:?}");
}

#[test]
fn what_is_refuted_already_is_not_shuffled() {
    let mut sorted = noise(31, 600);
    sorted.sort_unstable();
    for refuted in [sorted, b"the quick brown fox ".repeat(5000), noise(35, 1000).repeat(100)] {
        let found = iid(&Samples::new(&refuted, Some(8)).unwrap(), &[1; 32], &Unwatched).unwrap();
        assert!(!found.passed);
        assert_eq!((found.rounds, found.permutations.len()), (0, 0));
    }
}

#[test]
fn who_watches_can_stop_the_shuffles() {
    let bytes = noise(37, 2000);
    let stop = |_: Done<'_>| ControlFlow::Break(());
    assert_eq!(iid(&Samples::new(&bytes, Some(8)).unwrap(), &[1; 32], &stop), Err(Cancelled));
}

#[test]
fn a_source_that_begins_anew_is_validated() {
    let bytes: Vec<u8> = noise(41, 1_000_000).into_iter().map(|byte| byte & 0xf).collect();
    let found = restart(&Samples::new(&bytes, Some(4)).unwrap(), 3.0, &Unwatched).unwrap();
    assert!(found.sanity_passed && found.validated, "{found:?}");
    assert!(found.most_in_row <= found.cutoff && found.most_in_column <= found.cutoff);
    assert_eq!(found.cutoff, restart_cutoff(3.0));
    assert_eq!(found.assessed_min_entropy, 3.0);
}

#[test]
fn a_source_that_begins_alike_is_refused() {
    // Every restart gives the same first samples: rows are good, columns constant.
    let bytes = noise(43, 1000).repeat(1000);
    let found = restart(&Samples::new(&bytes, Some(8)).unwrap(), 6.0, &Unwatched).unwrap();
    assert_eq!(found.most_in_column, 1000);
    assert!(!found.sanity_passed && !found.validated);
    assert_eq!(found.assessed_min_entropy, 0.0);
    assert_eq!(found.rows, None);
}

#[test]
fn a_restart_matrix_has_a_size_and_an_estimate() {
    let bytes = noise(47, 1000);
    let samples = Samples::new(&bytes, Some(8)).unwrap();
    assert_eq!(restart(&samples, 1.0, &Unwatched), Err(RestartError::Size { samples: 1000 }));
    let bytes = vec![1; 1_000_000];
    let samples = Samples::new(&bytes, Some(1)).unwrap();
    let refused = restart(&samples, 1.5, &Unwatched).unwrap_err();
    assert_eq!(refused.to_string(), "symbols of 1 bits have 0 to 1 bits of min-entropy, not 1.5");
}
