//! The protocol of `pollinate` and `pollen`: a challenge goes in, its hash and a seed come out.
//!
//! A client sends a text of its own, by convention 128 hexadecimal digits, as the field `challenge` of a form. The answer is
//! two lines of hexadecimal digits: SHA-512 of the challenge, by which the client sees that it was answered and not handed
//! what somebody else was, and the seed, which is SHA-512 of the challenge and 64 fresh bytes. The same in JSON: see
//! [`Request::read`] and [`Answer::json`].
//!
//! What peers send is bounded before it comes here, and read strictly. Neither a challenge nor a seed prints.
//!
//! Absent on purpose: multipart forms, which pollen reads and no client sends; the field `tag` and all others mean nothing.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;
use serde::Deserialize;
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::{Seed, SeedError};

/// How long a SHA-512 is, in bytes.
const HASH: usize = 64;
/// Fields of a form beyond these are not looked at.
const MOST_FIELDS: usize = 16;

/// What a client asks to see hashed. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Zeroizing<Vec<u8>>);

impl Challenge {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// A challenge of these bytes.
    ///
    /// # Errors
    /// [`RequestError::NoChallenge`], [`RequestError::TooLong`].
    pub fn new(bytes: &[u8]) -> Result<Self, RequestError> {
        match bytes.len() {
            0 => Err(RequestError::NoChallenge),
            length if length > Self::MAX_BYTES => Err(RequestError::TooLong),
            _ => Ok(Self(Zeroizing::new(bytes.to_vec()))),
        }
    }

    /// One that says `bytes` in hexadecimal digits: fit for a form as it is.
    #[must_use]
    pub fn of_digest(bytes: &[u8; HASH]) -> Self {
        Self(Zeroizing::new(hex(bytes).as_bytes().to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What the answer to it begins with.
    #[must_use]
    pub fn response(&self) -> [u8; HASH] {
        Sha512::digest(&*self.0).into()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({} bytes)", self.0.len())
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Two lines.
    Text,
    /// An object.
    Json,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it wants to see hashed.
    pub challenge: Challenge,
    /// How it wants its answer.
    pub form: Form,
}

/// Why a request is none. It is the client's fault, and the same request fails again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is none, or an empty one.
    #[error("send a form with a field named challenge, as pollinate and `weir seed fetch` do")]
    NoChallenge,
    /// It is too long.
    #[error("the challenge is longer than {} bytes", Challenge::MAX_BYTES)]
    TooLong,
    /// The body is of another type.
    #[error("the body must be application/x-www-form-urlencoded or application/json")]
    Unsupported,
    /// The body is not of the type that it says.
    #[error("the body is no JSON object with a text named challenge")]
    Malformed,
}

#[derive(Deserialize)]
struct JsonRequest<'a> {
    #[serde(borrow)]
    challenge: Cow<'a, str>,
}

impl Request {
    /// Reads a request: the fields `Content-Type` and `Accept`, the query, the body. A form's challenge counts before the
    /// query's, the first before others, as for pollen. JSON is `{"challenge": "…"}`; its answer is JSON, too, unless text is
    /// accepted and JSON is not.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn read(
        content_type: Option<&str>,
        accept: Option<&str>,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Self, RequestError> {
        let kind = content_type.map(essence);
        let is = |name| kind.is_some_and(|kind| kind.eq_ignore_ascii_case(name));
        let is_json = is("application/json");
        let challenge = if is_json {
            let mut read: JsonRequest<'_> =
                serde_json::from_slice(body).map_err(|_| RequestError::Malformed)?;
            let challenge = Challenge::new(read.challenge.as_bytes());
            if let Cow::Owned(text) = &mut read.challenge {
                text.zeroize();
            }
            challenge?
        } else if body.is_empty() || kind.is_none() || is("application/x-www-form-urlencoded") {
            let found = field(body).or_else(|| field(query.unwrap_or_default().as_bytes()));
            Challenge::new(&found.ok_or(RequestError::NoChallenge)?)?
        } else {
            return Err(RequestError::Unsupported);
        };
        let accepts = |name: &str| {
            let mut kinds = accept.unwrap_or_default().split(',').map(essence);
            kinds.any(|kind| kind.eq_ignore_ascii_case(name))
        };
        let json = accepts("application/json") || is_json && !accepts("text/plain");
        Ok(Self { challenge, form: if json { Form::Json } else { Form::Text } })
    }
}

/// A media type without its parameters.
fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// The first field of a form that is named `challenge` (application/x-www-form-urlencoded).
fn field(form: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    form.split(|byte| *byte == b'&').take(MOST_FIELDS).find_map(|pair| {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
        let value: Zeroizing<Vec<u8>> = Zeroizing::new(
            value.iter().skip(1).map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect(),
        );
        let is_it = percent_decode(name).eq(b"challenge".iter().copied());
        is_it.then(|| Zeroizing::new(percent_decode(&value).collect()))
    })
}

/// What a server says. Does not print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    response: [u8; HASH],
    seed: Seed,
}

impl Answer {
    /// An answer with a fresh seed, bound to the challenge. Never waits.
    ///
    /// # Errors
    /// That the kernel gave no randomness; before it is ready, too.
    pub fn to(challenge: &Challenge) -> Result<Self, SeedError> {
        let mut fresh = Zeroizing::new([0; Seed::BYTES]);
        weir_kernel::try_fill(fresh.as_mut())?;
        let seed = Sha512::new().chain_update(challenge.expose()).chain_update(fresh.as_ref()).finalize();
        Ok(Self {
            response: challenge.response(),
            seed: Seed::from_bytes(Zeroizing::<[u8; HASH]>::new(seed.into()).to_vec())?,
        })
    }

    /// Two lines, as pollinate reads them.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        self.write(["", "\n", "\n"])
    }

    /// `{"challenge_response": "…", "seed": "…"}`, both in hexadecimal digits.
    #[must_use]
    pub fn json(&self) -> Zeroizing<String> {
        self.write(["{\"challenge_response\":\"", "\",\"seed\":\"", "\"}\n"])
    }

    /// The two, with these texts before, between and after, in memory that is allocated once: what moved would stay.
    fn write(&self, around: [&str; 3]) -> Zeroizing<String> {
        let (response, seed) = (hex(&self.response), self.seed.hex());
        let [before, between, after] = around;
        let parts = [before, &response, between, &seed, after];
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.push_str(part));
        text
    }
}

/// Why an answer holds no seed for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Something else than two lines of hexadecimal digits.
    #[error("it answered with something that is no seed")]
    NoSeed,
    /// It begins with another hash than that of the challenge.
    #[error(
        "it answered with the wrong hash of the challenge, so the answer is not for this request, and was refused"
    )]
    WrongHash,
    /// Its seed is nothing fresh: one block over and over, or what the request says.
    #[error("its seed was not drawn: {0}; it was refused")]
    NotDrawn(&'static str),
    /// The seed's length is wrong.
    #[error("its seed is of no use: {0}")]
    Seed(#[from] SeedError),
}

/// Reads the two lines that answer a challenge.
///
/// # Errors
/// [`AnswerError`].
pub fn read_answer(body: &[u8], challenge: &Challenge) -> Result<Seed, AnswerError> {
    let text = std::str::from_utf8(body).map_err(|_| AnswerError::NoSeed)?;
    let mut lines = text.trim_ascii_end().lines();
    let mut next = || lines.next().and_then(unhex).ok_or(AnswerError::NoSeed);
    let response = next()?;
    if response.len() != HASH {
        return Err(AnswerError::NoSeed);
    }
    if *response != challenge.response() {
        return Err(AnswerError::WrongHash);
    }
    let mut seed = next()?;
    if lines.next().is_some() {
        return Err(AnswerError::NoSeed);
    }
    let seed = Seed::from_bytes(std::mem::take(&mut *seed))?;
    if seed.expose() == response.as_slice() {
        return Err(AnswerError::NotDrawn("it is the hash of the challenge again"));
    }
    let hex = seed.hex();
    if [seed.expose(), hex.as_bytes()].contains(&challenge.expose()) {
        return Err(AnswerError::NotDrawn("it is the challenge itself"));
    }
    if is_repeated(seed.expose()) {
        return Err(AnswerError::NotDrawn("it is the same bytes over and over"));
    }
    Ok(seed)
}

/// Whether it is a block and the beginning of the next, or more of them. 32 drawn bytes are with odds of 2^-127, more with less.
fn is_repeated(bytes: &[u8]) -> bool {
    (1..=bytes.len() / 2).any(|period| {
        let (later, earlier) = (bytes.iter().skip(period), bytes.iter());
        later.zip(earlier).all(|(one, other)| one == other)
    })
}

fn hex(bytes: &[u8; HASH]) -> Zeroizing<String> {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    let mut text = Zeroizing::new(String::with_capacity(2 * HASH));
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
    text
}

/// `None` for what is no even number of hexadecimal digits.
fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    /// SHA-512 of "abc": FIPS 180-2, C.1.
    const ABC: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                       2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    fn challenge(read: Result<Request, RequestError>) -> Result<String, RequestError> {
        read.map(|request| String::from_utf8(request.challenge.expose().to_vec()).unwrap())
    }

    #[test]
    fn a_challenge_is_found_wherever_clients_put_it() {
        let form = |body: &str| challenge(Request::read(FORM, None, None, body.as_bytes()));
        assert_eq!(form("challenge=abc").unwrap(), "abc");
        assert_eq!(form("tag=x&challenge=a%62+c&challenge=other").unwrap(), "ab c");
        assert_eq!(form("%63hallenge=a=b").unwrap(), "a=b");
        for nothing in ["", "challenge", "challenge=", "Challenge=abc", "xchallenge=abc", "&&=&"] {
            assert_eq!(form(nothing), Err(RequestError::NoChallenge), "{nothing}");
        }
        let long = format!("challenge={}", "a".repeat(1024));
        assert_eq!(form(&long).unwrap().len(), 1024);
        assert_eq!(form(&(long + "a")), Err(RequestError::TooLong));
        let query = |query, body: &[u8]| challenge(Request::read(FORM, None, Some(query), body));
        assert_eq!(query("challenge=abc", b"").unwrap(), "abc");
        assert_eq!(query("challenge=abc", b"challenge=x").unwrap(), "x");
        let other = Request::read(Some("multipart/form-data"), None, None, b"challenge=abc");
        assert_eq!(other, Err(RequestError::Unsupported));
        let json = |body: &str| challenge(Request::read(JSON, None, None, body.as_bytes()));
        assert_eq!(json(r#"{"tag": 1, "challenge": "a\u0062c"}"#).unwrap(), "abc");
        for bad in ["", "[]", "{}", r#"{"challenge": 7}"#, r#"{"challenge": "a", "challenge": "b"}"#] {
            assert_eq!(json(bad), Err(RequestError::Malformed), "{bad}");
        }
    }

    #[test]
    fn json_is_answered_to_whoever_asks_for_it() {
        let form =
            |kind, accept, body: &str| Request::read(kind, accept, None, body.as_bytes()).unwrap().form;
        assert_eq!(form(FORM, None, "challenge=a"), Form::Text);
        assert_eq!(form(FORM, Some("*/*"), "challenge=a"), Form::Text);
        assert_eq!(form(FORM, Some("text/html, Application/JSON;q=0.5"), "challenge=a"), Form::Json);
        assert_eq!(form(JSON, None, r#"{"challenge":"a"}"#), Form::Json);
        assert_eq!(form(JSON, Some("text/plain"), r#"{"challenge":"a"}"#), Form::Text);
    }

    #[test]
    fn answers_begin_with_the_hash_and_hold_a_seed_of_their_own() {
        let abc = Challenge::new(b"abc").unwrap();
        let (one, two) = (Answer::to(&abc).unwrap(), Answer::to(&abc).unwrap());
        // Two of 256 bits at least: alike with odds of 2^-256.
        assert_ne!(one.seed, two.seed);
        assert_eq!(one.text().lines().next(), Some(ABC));
        assert_eq!(one.text().len(), 258);
        assert_eq!(read_answer(one.text().as_bytes(), &abc), Ok(one.seed.clone()));
        let json: serde_json::Value = serde_json::from_str(&one.json()).unwrap();
        assert_eq!(
            (json["challenge_response"].as_str(), json["seed"].as_str()),
            (Some(ABC), Some(one.seed.hex().as_str()))
        );
        assert!(!format!("{one:?} {abc:?}").contains("abc"));
    }

    /// Recorded on loopback from pollen 4.21-5+b11 as Debian 12 has it, asked with `curl -d challenge=abc`.
    const RECORDED: &str = "\
ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f
78b86806671b3be5a70dd6702b69642151890e4816b253e66ba9bbac255eae554c0ef26cf6425c938c49bca6613543474ea1d26b22d989b3d0999d6836602c63
";

    #[test]
    fn a_recorded_answer_of_pollen_is_understood() {
        let abc = Challenge::new(b"abc").unwrap();
        let seed = read_answer(RECORDED.as_bytes(), &abc).unwrap();
        assert_eq!(seed.hex().as_str(), RECORDED.lines().nth(1).unwrap());
        assert_eq!(read_answer(RECORDED.replace('\n', "\r\n").as_bytes(), &abc), Ok(seed));
        let other = Challenge::new(b"abd").unwrap();
        assert_eq!(read_answer(RECORDED.as_bytes(), &other), Err(AnswerError::WrongHash));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let abc = Challenge::new(b"abc").unwrap();
        let read = |text: String| read_answer(text.as_bytes(), &abc);
        for none in [
            String::new(),
            "<html>".into(),
            "ab\ncd".into(),
            ABC.into(),
            format!("{ABC}\nxyz"),
            format!("{ABC}\nab\nab"),
        ] {
            assert_eq!(read(none.clone()), Err(AnswerError::NoSeed), "{none}");
        }
        assert_eq!(read(format!("{ABC}\n{}", "ab".repeat(31))), Err(SeedError::TooShort(31).into()));
        assert_eq!(read(format!("{ABC}\n")), Err(AnswerError::NoSeed));
        assert_eq!(read(format!("{ABC}\n{}", "ab".repeat(5000))), Err(SeedError::TooLong(5000).into()));
        assert_eq!(read(format!("{ABC}\né")), Err(AnswerError::NoSeed));
        assert_eq!(read_answer(&[0xff], &abc), Err(AnswerError::NoSeed));
        for lie in [ABC.to_owned(), ABC.repeat(2), "00".repeat(64), "0123456789".repeat(13) + "0123"] {
            assert!(matches!(read(format!("{ABC}\n{lie}")), Err(AnswerError::NotDrawn(_))), "{lie}");
        }
        let echo = Challenge::new("0f".repeat(64).as_bytes()).unwrap();
        let hash: String = echo.response().iter().map(|byte| format!("{byte:02x}")).collect();
        let echoed = read_answer(format!("{hash}\n{}", "0f".repeat(64)).as_bytes(), &echo);
        assert_eq!(echoed, Err(AnswerError::NotDrawn("it is the challenge itself")));
    }
}
