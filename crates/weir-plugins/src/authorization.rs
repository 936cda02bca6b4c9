//! What clients write into `Authorization`, `Proxy-Authorization` and `Cookie`: the parsers of these fields. They borrow,
//! give up at the first thing that is not in the grammar, and say nothing about whether anybody is who he claims to be.
//!
//! It stands alone, for a fuzz target to take it in by its path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use weir_plugin::Headers;

/// Names of signed fields beyond this number are nobody's.
const MAX_SIGNED: usize = 64;

/// The token after the scheme Bearer (RFC 6750, 2.1), in whatever case.
pub(crate) fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = scheme(value)?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

/// Username and password after the scheme Basic (RFC 7617, 2), which is written so or `basic`, as Kong takes it.
pub(crate) fn basic(value: &[u8]) -> Option<UserPass> {
    let (scheme, encoded) = scheme(value)?;
    if !matches!(scheme, "Basic" | "basic") {
        return None;
    }
    // Erased in the end, whatever became of it.
    let mut decoded = zeroize::Zeroizing::new(Vec::with_capacity(encoded.len()));
    STANDARD.decode_vec(encoded, &mut decoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let username = std::str::from_utf8(&decoded[..colon]).ok()?;
    let good = !username.is_empty() && colon + 1 < decoded.len();
    good.then_some(UserPass { decoded, colon })
}

/// A username and a password, neither of them empty.
pub(crate) struct UserPass {
    /// Text up to the colon.
    decoded: zeroize::Zeroizing<Vec<u8>>,
    colon: usize,
}

impl UserPass {
    /// The username.
    pub(crate) fn username(&self) -> &str {
        std::str::from_utf8(&self.decoded[..self.colon]).unwrap_or_default()
    }

    /// The password, which need not be text.
    pub(crate) fn password(&self) -> &[u8] {
        &self.decoded[self.colon + 1..]
    }
}

/// What follows the scheme `hmac`: who signed which fields, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed<'a> {
    pub(crate) username: &'a str,
    pub(crate) algorithm: &'a str,
    /// Names of fields with blanks between them, none twice.
    pub(crate) headers: &'a str,
    /// In base64.
    pub(crate) signature: &'a str,
}

/// The name of what is signed of a request's first line, with its version.
pub(crate) const REQUEST_LINE: &str = "request-line";
/// The name of the method and the target, without the version.
pub(crate) const REQUEST_TARGET: &str = "@request-target";

/// Whether a name among those that are signed is not a field's.
fn is_pseudo_name(name: &str) -> bool {
    matches!(name, REQUEST_LINE | REQUEST_TARGET)
}

impl<'a> Signed<'a> {
    /// The names of the signed fields in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.headers.split_ascii_whitespace()
    }

    /// Whether a field is signed, or what a pseudo-name stands for: fields have their names in any case, pseudo-names in theirs
    /// alone.
    pub(crate) fn signs(&self, name: &str) -> bool {
        match is_pseudo_name(name) {
            true => self.names().any(|signed| signed == name),
            false => self.names().any(|signed| !is_pseudo_name(signed) && signed.eq_ignore_ascii_case(name)),
        }
    }
}

/// The parameters after the scheme `hmac`, which is written so: `name="value"` with commas between them, in any order.
/// Values have no escapes. Parameters that are not known are ignored.
pub(crate) fn hmac(value: &[u8]) -> Option<Signed<'_>> {
    let (scheme, mut rest) = scheme(value)?;
    if scheme != "hmac" {
        return None;
    }
    let [mut username, mut algorithm, mut headers, mut signature] = [None; 4];
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        let place = match name {
            "username" => Some(&mut username),
            "algorithm" => Some(&mut algorithm),
            "headers" => Some(&mut headers),
            "signature" => Some(&mut signature),
            _ if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => None,
            _ => return None,
        };
        if place.is_some_and(|place| value.is_empty() || place.replace(value).is_some()) {
            return None;
        }
        rest = after.trim_ascii_start();
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix(',')?.trim_ascii_start();
    }
    let signed =
        Signed { username: username?, algorithm: algorithm?, headers: headers?, signature: signature? };
    let mut before: smallvec::SmallVec<[&str; 8]> = smallvec::SmallVec::new();
    for name in signed.names() {
        if before.len() == MAX_SIGNED || before.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return None;
        }
        before.push(name);
    }
    (!before.is_empty()).then_some(signed)
}

/// The values of the cookies of this name in the value of a field (RFC 6265, 4.2.1).
pub(crate) fn cookies<'a>(value: &'a [u8], name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = std::str::from_utf8(value).unwrap_or_default().split(';');
    let pairs = pairs.filter_map(|pair| pair.trim_ascii().split_once('='));
    pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

/// Takes cookies out of what goes on to the service, and leaves every other as it is, byte for byte.
pub(crate) fn hide_cookies(headers: &mut Headers, is_ours: impl Fn(&str) -> bool) {
    let hidden = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        std::str::from_utf8(name).is_ok_and(&is_ours)
    };
    let pairs = |field: &'_ [u8]| field.split(|byte| *byte == b';').any(hidden);
    if !headers.get_all("Cookie").any(pairs) {
        return;
    }
    let kept = |field: &[u8]| {
        let pairs: Vec<&[u8]> = field.split(|byte| *byte == b';').filter(|pair| !hidden(pair)).collect();
        pairs.join(&b';').trim_ascii().to_vec()
    };
    let kept: Vec<Vec<u8>> = headers.get_all("Cookie").map(kept).filter(|kept| !kept.is_empty()).collect();
    headers.remove("Cookie");
    for field in kept {
        headers.append("Cookie", field);
    }
}

/// A scheme, and what follows it after blanks (RFC 9110, 11.4). Neither is empty.
fn scheme(value: &[u8]) -> Option<(&str, &str)> {
    let value = std::str::from_utf8(value).ok()?.trim_ascii();
    let (scheme, rest) = value.split_once([' ', '\t'])?;
    Some((scheme, rest.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_follows_its_scheme() {
        assert_eq!(bearer(b"Bearer a.b.c"), Some("a.b.c"));
        assert_eq!(bearer(b" bEARER \t a.b.c "), Some("a.b.c"));
        for value in [&b"Bearer"[..], b"Bearer ", b"a.b.c", b"Basic a.b.c", b"xBearer a", b"Bearer \xff", b""]
        {
            assert_eq!(bearer(value), None, "{value:?}");
        }
    }

    #[test]
    fn username_and_password_have_a_colon_between_them() {
        let read = |text: &str| {
            let pair = basic(text.as_bytes())?;
            Some((pair.username().to_owned(), pair.password().to_vec()))
        };
        assert_eq!(read("Basic dTpwOnc="), Some(("u".to_owned(), b"p:w".to_vec())));
        assert_eq!(read("  basic\tdTr/"), Some(("u".to_owned(), b"\xff".to_vec())));
        for value in [
            "Basic",
            "Basic ",
            "bAsIc dTpwOnc=",
            "Bearer abc",
            "Basic dTo=",
            "Basic OnA=",
            "Basic dQ==",
            "Basic /zpw",
            "Basic dTpwOnc",
            "Basic dTpw Onc=",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn a_signature_has_four_parameters() {
        let good = r#"hmac username="bob", algorithm="hmac-sha256",headers="date x-a" , signature="eA==""#;
        let signed = hmac(good.as_bytes()).unwrap();
        let want =
            Signed { username: "bob", algorithm: "hmac-sha256", headers: "date x-a", signature: "eA==" };
        assert_eq!(signed, want);
        assert!(signed.signs("Date") && !signed.signs("x-b"));
        let names = |headers| Signed { headers, ..want };
        assert!(names("request-line").signs("request-line") && !names("Request-Line").signs("request-line"));
        assert!(names("Request-line").signs("Request-Line") && !names("request-line").signs("Request-Line"));
        assert!(!names("@Request-Target").signs("@request-target"));
        let other =
            r#"hmac signature="eA==", v="1", headers="date x-a", algorithm="hmac-sha256", username="bob""#;
        assert_eq!(hmac(other.as_bytes()), Some(want));
        for (from, to) in [
            ("hmac ", "HMAC "),
            ("hmac ", "Signature "),
            ("bob\"", "bob"),
            ("bob", ""),
            ("date x-a", " "),
            ("date x-a", "date DATE"),
            ("headers=", "header="),
            (",headers", " headers"),
            ("eA==\"", "eA==\","),
            ("eA==\"", "eA==\", username=\"eve\""),
            ("algorithm=\"", "algorithm =\""),
        ] {
            let bad = good.replace(from, to);
            assert_eq!(hmac(bad.as_bytes()), None, "{bad}");
        }
        let many: String = (0..=MAX_SIGNED).map(|n| format!("x-{n} ")).collect();
        assert_eq!(hmac(good.replace("date x-a", &many).as_bytes()), None);
    }

    #[test]
    fn cookies_are_hidden_and_the_others_stay_as_they_are() {
        let hide = |fields: &[&[u8]]| {
            let mut headers = Headers::new();
            fields.iter().for_each(|field| headers.append("Cookie", field));
            hide_cookies(&mut headers, |name| name == "s");
            headers.get_all("Cookie").map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(hide(&[b"s=1"]), [b""; 0]);
        assert_eq!(hide(&[b"a=\"x\"; s=1;b =2;  c; ss=3"]), [b"a=\"x\";b =2;  c; ss=3"]);
        assert_eq!(hide(&[b"s=1; a=\xff;"]), [b"a=\xff;"]);
        assert_eq!(hide(&[b"a=1 ;; S=2", b" s =1;s=2", b"b=s"]), [&b"a=1 ;; S=2"[..], b"b=s"]);
        assert_eq!(hide(&[b"a=1 ;; S=2"]), [b"a=1 ;; S=2"]);
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let all = |value: &str| cookies(value.as_bytes(), "c").map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("a=1; c=2;c=3=4; cc=5; C=6; c"), ["2", "3=4"]);
        assert_eq!(cookies(b"c=\xff", "c").count(), 0);
    }
}
