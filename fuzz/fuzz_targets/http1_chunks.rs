//! Chunked bodies: however the bytes come in pieces, they come apart in the same way, and what came out can be put
//! together again.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The proxy's own decoder, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-proxy/src/http1/chunked.rs"]
mod chunked;

use chunked::{Decoder, END, Step, encode};

/// How a body ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Whole, after so many bytes.
    Whole(usize),
    Broken,
    /// More would have had to come.
    Missing,
}

fn decode(bytes: &[u8], piece: usize) -> (Vec<u8>, End) {
    let (mut decoder, mut out, mut at, mut have) = (Decoder::new(), Vec::new(), 0, 0);
    loop {
        match decoder.step(&bytes[at..have]) {
            Ok(Step::Skip(count)) => {
                assert!(count > 0);
                at += count;
            }
            Ok(Step::Data(count)) => {
                assert!(count > 0);
                out.extend_from_slice(&bytes[at..at + count]);
                decoder.used(count);
                at += count;
            }
            Ok(Step::Done) => {
                assert!(decoder.is_done());
                return (out, End::Whole(at));
            }
            Ok(Step::More) if have == bytes.len() => return (out, End::Missing),
            Ok(Step::More) => have = (have + piece).min(bytes.len()),
            Err(_) => return (out, End::Broken),
        }
        assert!(at <= have);
    }
}

fuzz_target!(|data: &[u8]| {
    let [piece, bytes @ ..] = data else { return };
    let whole = decode(bytes, bytes.len().max(1));
    // In pieces a break may be noticed later, and never is nothing.
    let pieces = decode(bytes, usize::from(*piece).max(1));
    assert_eq!(pieces, whole);
    if let (out, End::Whole(_)) = whole {
        let mut again = Vec::new();
        out.chunks(usize::from(*piece).max(1)).for_each(|chunk| encode(&mut again, chunk));
        again.extend_from_slice(END);
        again.extend_from_slice(b"next");
        assert_eq!(decode(&again, 3), (out, End::Whole(again.len() - 4)));
    }
});
