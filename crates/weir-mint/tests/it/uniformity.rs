//! Every value equally likely, by chi-squared tests. Each bound is exceeded by a right implementation with odds of 2·10^-8
//! (5.5 standard deviations after Wilson and Hilferty's transformation); all of them together, about once in 10^6 runs. Each
//! value is expected 35 times or more, so that one of 7776 stays away altogether with odds below 10^-11.

use std::collections::HashMap;
use std::hash::Hash;

use weir_mint::{Alphabet, CharacterClass, Password, Token, choose, shuffle, uniform, uniform_signed};

/// Asserts that the counts of `values` fit `categories` equally likely ones.
fn assert_uniform<T: Eq + Hash>(name: &str, categories: usize, values: impl Iterator<Item = T>) {
    let mut counts: HashMap<T, u64> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let counts: Vec<u64> = counts.into_values().collect();
    assert!(
        counts.iter().sum::<u64>() >= 35 * categories as u64,
        "{name}: too few values for the odds above"
    );
    assert_counts(name, categories, &counts);
}

/// The same, of values that were counted already.
fn assert_counts(name: &str, categories: usize, counts: &[u64]) {
    let values = counts.iter().filter(|count| **count > 0);
    assert_eq!(values.clone().count(), categories, "{name}: not all values came up, or others did");
    let expected = counts.iter().sum::<u64>() as f64 / categories as f64;
    let chi_squared: f64 = values.map(|count| (*count as f64 - expected).powi(2) / expected).sum();
    let freedom = (categories - 1) as f64;
    let bound = freedom * (1.0 - 2.0 / (9.0 * freedom) + 5.5 * (2.0 / (9.0 * freedom)).sqrt()).powi(3);
    assert!(chi_squared < bound, "{name}: chi-squared {chi_squared} of {bound}");
}

#[test]
fn characters_of_every_alphabet() {
    let alphabets =
        ["01", "abc", "01234", "0123456789", "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQR"];
    let custom = alphabets.map(|characters| Alphabet::custom(characters).unwrap());
    let named = [Alphabet::Base62, Alphabet::Base64Url, Alphabet::Hex, Alphabet::Base32];
    for alphabet in named.into_iter().chain(custom) {
        // Of the length of a credential and far longer, since those are drawn in pieces.
        for (length, tokens) in [(32, 1000), (100_000, 1)] {
            let token = Token::builder().alphabet(alphabet.clone()).length(length).build().unwrap();
            let texts: Vec<_> = (0..tokens).map(|_| token.mint().unwrap()).collect();
            let name = format!("{alphabet:?} of {length}");
            assert_uniform(&name, alphabet.size(), texts.iter().flat_map(|text| text.expose().bytes()));
        }
    }
}

#[test]
fn characters_at_every_place_of_a_credential() {
    let keys: Vec<_> = (0..6200).map(|_| weir_mint::key().unwrap()).collect();
    for place in 0..32 {
        assert_uniform(&format!("place {place}"), 62, keys.iter().map(|key| key.expose().as_bytes()[place]));
    }
}

#[test]
fn integers() {
    for most in [1, 2, 5, 9, 99, 1000] {
        let draws = 200 * (most as usize + 1);
        assert_uniform(
            &format!("0 to {most}"),
            most as usize + 1,
            (0..draws).map(|_| uniform(0..=most).unwrap()),
        );
    }
    assert_uniform("signed", 7, (0..5000).map(|_| uniform_signed(-3..=3).unwrap()));
    // Just above 2^63, where a careless multiplication favours even results: thirds must be even.
    let third = (u64::MAX / 3) * 2;
    assert_uniform("thirds", 3, (0..30_000).map(|_| uniform(0..=third).unwrap() / (third / 3 + 1)));
}

#[test]
fn ranges_hold_their_ends_and_nothing_else() {
    assert_eq!(uniform(7..=7).unwrap(), 7);
    assert_eq!(uniform_signed(i64::MIN..=i64::MIN).unwrap(), i64::MIN);
    assert!((0..100).all(|_| (10..=11).contains(&uniform(10..=11).unwrap())));
    assert!((0..100).all(|_| (-5..=-4).contains(&uniform_signed(-5..=-4).unwrap())));
    #[expect(clippy::reversed_empty_ranges, reason = "what an empty range gives is documented")]
    let empty = uniform(9..=3).unwrap();
    assert_eq!(empty, 9);
}

#[test]
fn orders_of_a_shuffle_and_choices() {
    let orders = (0..24_000).map(|_| {
        let mut items = [1, 2, 3, 4];
        shuffle(&mut items).unwrap();
        items
    });
    assert_uniform("orders of four", 24, orders);
    let mut many: Vec<u32> = (0..10_000).collect();
    shuffle(&mut many).unwrap();
    assert_ne!(many, (0..10_000).collect::<Vec<_>>());
    many.sort_unstable();
    assert_eq!(many, (0..10_000).collect::<Vec<_>>());
    shuffle::<u8>(&mut []).unwrap();
    assert_uniform("choices", 3, (0..3000).map(|_| *choose(&["a", "b", "c"]).unwrap().unwrap()));
    assert_eq!(choose::<u8>(&[]).unwrap(), None);
}

#[test]
fn passwords_over_all_that_fit() {
    use CharacterClass::{Digit, Symbol};
    // Two places, a digit and a symbol: 2 * 10 * 16 passwords.
    let password = Password::characters(2, &[Digit, Symbol], false).unwrap();
    assert_uniform("passwords", 320, (0..16_000).map(|_| password.mint().unwrap().expose().to_owned()));
    let word = Password::words(1, "").unwrap();
    assert_uniform("words", 7776, (0..300_000).map(|_| word.mint().unwrap().expose().to_owned()));
}

/// Ten million characters of each alphabet: uniform as a whole and at each place of a token. That is 231 bounds, one of
/// which a right implementation exceeds once in 200,000 runs.
#[test]
fn ten_million_characters_of_every_alphabet() {
    const PLACES: usize = 32;
    const TOKENS: usize = 312_500;
    let custom = ["abc", "0123456789", "23456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz"];
    let custom = custom.map(|characters| Alphabet::custom(characters).unwrap());
    let named = [Alphabet::Base62, Alphabet::Base64Url, Alphabet::Hex, Alphabet::Base32];
    for alphabet in named.into_iter().chain(custom) {
        let token = Token::builder().alphabet(alphabet.clone()).length(PLACES).build().unwrap();
        let mut counts = vec![[0u64; 256]; PLACES];
        for _ in 0..TOKENS {
            let text = token.mint().unwrap();
            for (place, byte) in text.expose().bytes().enumerate() {
                counts[place][usize::from(byte)] += 1;
            }
        }
        let size = alphabet.size();
        let all: Vec<u64> = (0..256).map(|byte| counts.iter().map(|place| place[byte]).sum()).collect();
        assert_counts(&format!("{alphabet:?}"), size, &all);
        for (place, counts) in counts.iter().enumerate() {
            assert_counts(&format!("{alphabet:?} at {place}"), size, counts);
        }
    }
}

/// Of 2^24 credentials no two agree even in their first 16 characters, which are 95 bits: by chance once in 2^48 runs.
#[test]
fn no_two_of_sixteen_million_credentials_are_alike() {
    let mut beginnings: Vec<u128> = (0..1 << 24)
        .map(|_| {
            let key = weir_mint::key().unwrap();
            u128::from_le_bytes(*key.expose().as_bytes().first_chunk().unwrap())
        })
        .collect();
    beginnings.sort_unstable();
    assert!(beginnings.windows(2).all(|pair| pair[0] != pair[1]));
}
