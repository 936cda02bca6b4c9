//! What minted values look like.

use std::collections::HashSet;

use weir_mint::scannable::{Kind, PATTERN, recognise};
use weir_mint::{
    Alphabet, CharacterClass, Characters, Password, Secret, Token, TokenError, Uuid, UuidError, key, seeds,
};

#[test]
fn the_default_credential_is_32_characters_and_190_bits() {
    let spec = Token::default();
    assert_eq!(spec.characters(), 32);
    assert_eq!((spec.strength_bits() * 10.0).round() / 10.0, 190.5);
    for secret in [key().unwrap(), spec.mint().unwrap()] {
        assert_eq!(secret.expose().len(), 32);
        assert!(secret.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", secret.expose());
    }
}

#[test]
fn tokens_are_as_long_and_as_strong_as_asked() {
    for (alphabet, bits, characters) in [
        (Alphabet::Base62, 190, 32),
        (Alphabet::Base62, 191, 33),
        (Alphabet::Base64Url, 192, 32),
        (Alphabet::Base64Url, 193, 33),
        (Alphabet::Hex, 256, 64),
        (Alphabet::Base32, 160, 32),
        (Alphabet::custom("01").unwrap(), 7, 7),
        (Alphabet::custom("abc").unwrap(), 1000, 631),
    ] {
        let token = Token::builder().bits(bits).alphabet(alphabet.clone()).build().unwrap();
        assert_eq!(token.characters(), characters, "{bits} bits of {alphabet:?}");
        assert!(token.strength_bits() >= f64::from(bits) - 1e-9);
        assert_eq!(token.mint().unwrap().expose().len(), characters);
    }
    for length in [1, 2, 63, 64, 65, 1000, 100_000] {
        for alphabet in [Alphabet::Base62, Alphabet::Hex, Alphabet::custom("xyz").unwrap()] {
            let token = Token::builder().length(length).alphabet(alphabet).build().unwrap();
            assert_eq!(token.mint().unwrap().expose().len(), length);
        }
    }
}

#[test]
fn a_buffer_of_the_caller_is_filled_to_its_end() {
    let characters = Characters::new("xyz").unwrap();
    for length in (0..70).chain([1000]) {
        let mut text = vec![b'#'; length];
        Alphabet::Base62.fill(&mut text).unwrap();
        assert!(text.iter().all(u8::is_ascii_alphanumeric), "{length}");
        characters.fill(&mut text).unwrap();
        assert!(text.iter().all(|byte| b"xyz".contains(byte)), "{length}");
    }
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    let length = |characters| Token::builder().length(characters).build().map(|_| ());
    assert_eq!(length(0), Err(TokenError::Length));
    assert_eq!(length(Token::MAX_CHARACTERS + 1), Err(TokenError::Length));
    assert_eq!(Token::builder().bits(0).build().map(|_| ()), Err(TokenError::Length));
    assert_eq!(Token::builder().bits(u32::MAX).build().map(|_| ()), Err(TokenError::Length));
    for prefix in ["a b", "ü", "\n", &"x".repeat(65)] {
        assert_eq!(Token::builder().prefix(prefix).build().map(|_| ()), Err(TokenError::Prefix), "{prefix}");
    }
}

#[test]
fn a_prefix_stands_before_and_a_checksum_after() {
    let token = Token::builder().prefix("acme-").length(10).checksum(true).build().unwrap();
    let secret = token.mint().unwrap();
    assert!(secret.expose().starts_with("acme-"));
    assert_eq!(secret.expose().len(), 5 + 10 + 6);
    assert_eq!(token.strength_bits(), 10.0 * 62f64.log2());
}

#[test]
fn a_scannable_key_is_recognised_and_fits_the_documented_pattern() {
    let kind = Kind::new("key").unwrap();
    assert_eq!((kind.token().strength_bits() * 10.0).round() / 10.0, 190.5);
    for _ in 0..100 {
        let secret = kind.mint().unwrap();
        assert_eq!(recognise(secret.expose()), Some(kind.clone()));
        let rest = secret.expose().strip_prefix("weir_key_").unwrap();
        assert!(rest.len() == 38 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
    assert_eq!(PATTERN, r"\bweir_[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{38}\b");
}

#[test]
fn uuids_are_of_their_version_and_survive_text() {
    for (uuid, version) in [(Uuid::v4().unwrap(), 4), (Uuid::v7().unwrap(), 7)] {
        assert_eq!(uuid.version(), version);
        assert_eq!(uuid.as_bytes()[8] >> 6, 0b10);
        let text = uuid.to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(text.parse(), Ok(uuid));
        assert_eq!(text.to_uppercase().parse(), Ok(uuid));
        assert_eq!(text.replace('-', "").parse(), Ok(uuid));
        assert_eq!(Uuid::from_bytes(*uuid.as_bytes()), uuid);
    }
    let now = weir_kernel::clock::unix_ms();
    let made = Uuid::v7().unwrap().unix_ms().unwrap();
    assert!((now..now + 60_000).contains(&made));
    assert_eq!(Uuid::v4().unwrap().unix_ms(), None);
    // RFC 9562 appendix A.3.
    let known: Uuid = "919108f7-52d1-4320-9bac-f847db4148a8".parse().unwrap();
    assert_eq!((known.version(), known.as_bytes()[0]), (4, 0x91));
}

#[test]
fn what_is_no_uuid_is_refused() {
    for text in [
        "",
        "919108f7-52d1-4320-9bac-f847db4148a",
        "919108f7-52d1-4320-9bac-f847db4148a80",
        "919108f752d1-4320-9bac-f847-db4148a8",
        "919108f7-52d1-4320-9bac-f847db4148ag",
        "{919108f7-52d1-4320-9bac-f847db4148a}",
        "+19108f752d143209bacf847db4148a8",
        "919108f7-52d1-4320-9bac-f847db4148é",
    ] {
        assert_eq!(text.parse::<Uuid>(), Err(UuidError), "{text}");
    }
}

#[test]
fn passwords_have_a_character_of_each_class_they_name() {
    use CharacterClass::{Digit, Lower, Symbol, Upper};
    let all = Password::characters(4, &CharacterClass::ALL, false).unwrap();
    for _ in 0..200 {
        let secret = all.mint().unwrap();
        let has = |test: fn(&char) -> bool| secret.expose().chars().filter(test).count() == 1;
        assert!(has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase), "{}", secret.expose());
        assert!(has(char::is_ascii_digit) && has(char::is_ascii_punctuation), "{}", secret.expose());
    }
    let plain = Password::characters(1000, &[Lower, Upper, Digit, Symbol], true).unwrap();
    assert!(!plain.mint().unwrap().expose().contains(['0', 'O', '1', 'l', 'I']));
    let digits = Password::characters(6, &[Digit], false).unwrap().mint().unwrap();
    assert!(digits.expose().bytes().all(|byte| byte.is_ascii_digit()));
}

#[test]
fn passphrases_are_words_with_a_separator_between() {
    let secret = Password::words(6, " ").unwrap().mint().unwrap();
    assert_eq!(secret.expose().split(' ').count(), 6);
    assert!(secret.expose().chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == '-'));
}

#[test]
fn nothing_is_minted_twice() {
    // 10^4 values of 122 bits and more: a repetition by chance has odds of 10^-29.
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        assert!(seen.insert(key().unwrap().expose().to_owned()));
        assert!(seen.insert(Uuid::v4().unwrap().to_string()));
        assert!(seen.insert(Uuid::v7().unwrap().to_string()));
    }
    let seeds: HashSet<[u8; 32]> = seeds(1000).unwrap().iter().map(|seed| *seed.expose()).collect();
    assert_eq!(seeds.len(), 1000);
}

#[test]
fn secrets_and_seeds_do_not_print() {
    let secret = key().unwrap();
    assert!(!format!("{secret:?}").contains(secret.expose()));
    assert_eq!(format!("{:?}", weir_mint::seed().unwrap()), "Seed(…)");
    assert_eq!(secret, Secret::new(secret.expose().to_owned()));
    assert_ne!(secret, key().unwrap());
}

#[cfg(feature = "serde")]
#[test]
fn a_secret_is_written_only_where_a_field_asks_for_it() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Answer {
        id: Uuid,
        #[serde(serialize_with = "weir_mint::expose")]
        key: Secret,
    }
    let answer = Answer { id: Uuid::v4().unwrap(), key: Secret::new("k".to_owned()) };
    let json = serde_json::to_string(&answer).unwrap();
    assert_eq!(json, format!("{{\"id\":\"{}\",\"key\":\"k\"}}", answer.id));
    let back: Answer = serde_json::from_str(&json).unwrap();
    assert_eq!((back.id, back.key), (answer.id, answer.key));
    assert!(serde_json::from_str::<Uuid>("\"x\"").is_err());
}
