//! What clients send to the endpoints: parameters in the query and in a body of form fields or JSON (RFC 6749, 3.1, 3.2),
//! names and secrets by HTTP Basic (2.3.1), access tokens in a header field (RFC 6750, 2.1).
//!
//! Contract: what comes from a peer is bounded and taken literally or not at all. A parameter that is there twice, a text
//! that is not UTF-8 or holds control characters, an escape that is none: each makes the whole request invalid, and the
//! error repeats nothing of it. A parameter without a value counts as left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weir_mint::Secret;

/// So many parameters at most.
const MOST_PARAMETERS: usize = 64;
/// A parameter's name and value are at most so long, bytes.
const LONGEST: usize = 4096;

/// The parameters of a request. They do not print, as some are secrets.
#[derive(Debug, Default)]
pub(crate) struct Params {
    list: Vec<(Secret, Secret)>,
}

/// Why a request has no parameters that could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadParams {
    /// It is no form and no JSON object of texts.
    Malformed,
    /// One of them is there more than once.
    Repeated,
    /// There are too many, or one is too long.
    TooMuch,
}

impl BadParams {
    /// What the client is told.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Malformed => "The parameters are malformed",
            Self::Repeated => "A parameter is included more than once",
            Self::TooMuch => "The parameters are too many or too long",
        }
    }
}

impl Params {
    /// Reads the query, and the body if its type is one that holds parameters.
    pub(crate) fn read(
        query: Option<&str>,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Self, BadParams> {
        let mut params = Self::default();
        params.read_form(query.unwrap_or_default())?;
        match content_type.map(media_type) {
            Some("application/x-www-form-urlencoded") => {
                params.read_form(std::str::from_utf8(body).map_err(|_| BadParams::Malformed)?)?;
            }
            Some("application/json") if !body.is_empty() => params.read_json(body)?,
            _ => {}
        }
        Ok(params)
    }

    fn read_form(&mut self, text: &str) -> Result<(), BadParams> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text| decode(text).ok_or(BadParams::Malformed);
            self.add(decoded(name)?, decoded(value)?)?;
        }
        Ok(())
    }

    fn read_json(&mut self, body: &[u8]) -> Result<(), BadParams> {
        let Ok(Value::Object(map)) = serde_json::from_slice(body) else { return Err(BadParams::Malformed) };
        for (name, value) in map {
            match value {
                Value::Null => {}
                Value::String(text) => self.add(Secret::new(name), Secret::new(text))?,
                Value::Bool(_) | Value::Number(_) => {
                    self.add(Secret::new(name), Secret::new(value.to_string()))?;
                }
                Value::Array(_) | Value::Object(_) => return Err(BadParams::Malformed),
            }
        }
        Ok(())
    }

    fn add(&mut self, name: Secret, value: Secret) -> Result<(), BadParams> {
        let (name_text, value_text) = (name.expose(), value.expose());
        if name_text.len() > LONGEST || value_text.len() > LONGEST || self.list.len() >= MOST_PARAMETERS {
            return Err(BadParams::TooMuch);
        }
        if has_controls(name_text) || has_controls(value_text) {
            return Err(BadParams::Malformed);
        }
        if value_text.is_empty() {
            return Ok(());
        }
        if self.list.iter().any(|(other, _)| other.expose() == name_text) {
            return Err(BadParams::Repeated);
        }
        self.list.push((name, value));
        Ok(())
    }

    /// A parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.secret(name).map(Secret::expose)
    }

    /// A parameter that is to be known to as few as possible.
    pub(crate) fn secret(&self, name: &str) -> Option<&Secret> {
        self.list.iter().find(|(other, _)| other.expose() == name).map(|(_, value)| value)
    }
}

/// A user's name and password by HTTP Basic (RFC 7617). `None` for another scheme.
pub(crate) fn basic(field: &[u8]) -> Option<Result<(Secret, Secret), BadParams>> {
    let (scheme, rest) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let parse = || {
        if rest.len() > 2 * LONGEST {
            return Err(BadParams::TooMuch);
        }
        let bytes = STANDARD.decode(rest.trim_ascii()).map_err(|_| BadParams::Malformed)?;
        let text = Secret::new(String::from_utf8(bytes).map_err(|_| BadParams::Malformed)?);
        let (name, password) = text.expose().split_once(':').ok_or(BadParams::Malformed)?;
        if name.is_empty() || has_controls(text.expose()) {
            return Err(BadParams::Malformed);
        }
        Ok((Secret::new(name.to_owned()), Secret::new(password.to_owned())))
    };
    Some(parse())
}

/// The token in a header field: `Bearer …`, or `token …` as Kong takes it too. `None` when the field is something else.
pub(crate) fn bearer(field: &[u8]) -> Option<&str> {
    let mut words = std::str::from_utf8(field).ok()?.split_ascii_whitespace();
    let (scheme, token) = (words.next()?, words.next()?);
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    let fine = token.bytes().all(|byte| byte.is_ascii_graphic());
    (known && fine && words.next().is_none()).then_some(token)
}

/// The values of one parameter in a form, decoded; what is no form has none.
pub(crate) fn values<'a>(form: &'a str, name: &'a str) -> impl Iterator<Item = Secret> + 'a {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let is = move |key: &str| match key.contains(['%', '+']) {
        true => decode(key).is_some_and(|key| key.expose() == name),
        false => key == name,
    };
    let values = pairs.filter(move |(key, _)| is(key)).filter_map(|(_, value)| decode(value));
    values.filter(|value| !value.expose().is_empty())
}

/// A media type without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Decodes `+` and `%XX` of a form; `None` when an escape is none, or what comes out is no text.
pub(crate) fn decode(text: &str) -> Option<Secret> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok().map(Secret::new)
}

fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");
    const JSON: Option<&str> = Some("application/json");

    fn form(body: &str) -> Result<Params, BadParams> {
        Params::read(None, FORM, body.as_bytes())
    }

    #[test]
    fn parameters_come_by_query_form_and_json() {
        let params = Params::read(Some("a=1"), FORM, b"b=x+y%2Bz&c=&d").unwrap();
        assert_eq!((params.get("a"), params.get("b")), (Some("1"), Some("x y+z")));
        assert_eq!((params.get("c"), params.get("d")), (None, None), "without a value it is left out");
        let params = Params::read(None, JSON, br#"{"a":"1","b":2,"c":true,"d":null}"#).unwrap();
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), Some("2"), Some("true")));
        let other = Params::read(None, Some("text/plain"), b"a=1").unwrap();
        assert_eq!(other.get("a"), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        assert_eq!(form("a=1&a=2").unwrap_err(), BadParams::Repeated);
        assert_eq!(Params::read(Some("a=1"), FORM, b"a=1").unwrap_err(), BadParams::Repeated);
        for bad in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "a=%00", "%0a=1"] {
            assert_eq!(form(bad).unwrap_err(), BadParams::Malformed, "{bad}");
        }
        for bad in ["", "[", "[1]", "1", r#"{"a":[1]}"#, r#"{"a":{}}"#, r#"{"a":"\u0000"}"#] {
            let read = Params::read(None, JSON, bad.as_bytes());
            assert_eq!(read.err(), (!bad.is_empty()).then_some(BadParams::Malformed), "{bad}");
        }
        assert_eq!(Params::read(None, FORM, b"\xff").unwrap_err(), BadParams::Malformed);
    }

    #[test]
    fn what_is_read_is_bounded() {
        let many: Vec<String> = (0..=MOST_PARAMETERS).map(|n| format!("p{n}=1")).collect();
        assert!(form(&many[1..].join("&")).is_ok());
        assert_eq!(form(&many.join("&")).unwrap_err(), BadParams::TooMuch);
        assert_eq!(form(&format!("a={}", "x".repeat(LONGEST + 1))).unwrap_err(), BadParams::TooMuch);
    }

    #[test]
    fn nothing_prints() {
        assert!(!format!("{:?}", form("client_secret=hunter2").unwrap()).contains("hunter2"));
    }

    #[test]
    fn basic_is_read_strictly() {
        let parts = |field: &str| match basic(field.as_bytes())? {
            Ok((name, password)) => Some(Ok((name.expose().to_owned(), password.expose().to_owned()))),
            Err(error) => Some(Err(error)),
        };
        assert_eq!(parts("Basic Y2lkOmNz"), Some(Ok(("cid".into(), "cs".into()))));
        assert_eq!(parts("bASIC Y2lkOmE6Yg=="), Some(Ok(("cid".into(), "a:b".into()))));
        for bad in ["Basic !!", "Basic ", "Basic Y2lk", "Basic OmNz", "Basic Y2lkOgA=", "Basic /w=="] {
            assert_eq!(parts(bad), Some(Err(BadParams::Malformed)), "{bad}");
        }
        assert_eq!(parts(&format!("Basic {}", "A".repeat(3 * LONGEST))), Some(Err(BadParams::TooMuch)));
        assert_eq!((parts("Bearer x"), parts("")), (None, None));
    }

    #[test]
    fn a_bearer_is_two_words() {
        assert_eq!((bearer(b"Bearer t"), bearer(b"token  t ")), (Some("t"), Some("t")));
        for other in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a\u{b}b", "Bearer \u{e9}", "Basic a", "Bearera b", ""]
        {
            assert_eq!(bearer(other.as_bytes()), None, "{other}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }
}
