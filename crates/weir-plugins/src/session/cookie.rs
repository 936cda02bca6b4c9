//! Cookies (RFC 6265): found in a request, written into an answer.

use std::fmt::Write as _;

/// A browser keeps no cookie whose name, value and attributes are longer together (RFC 6265, 6.1).
pub(crate) const LONGEST: usize = 4096;
/// So many cookies of one name are looked at: a browser sends several when they are for several paths.
const MOST_OF_A_NAME: usize = 4;

/// The values of a cookie in the fields of a request. What is too long to be one of ours is not there.
pub(crate) fn values<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    let pairs = fields.filter_map(|field| std::str::from_utf8(field).ok()).flat_map(|field| field.split(';'));
    let named = pairs.filter_map(move |pair| {
        let (key, value) = pair.trim_ascii().split_once('=')?;
        (key == name && !value.is_empty() && value.len() <= LONGEST).then_some(value)
    });
    named.take(MOST_OF_A_NAME)
}

/// Where cookies are sent back to, and who else sees them.
pub(super) struct Attributes {
    text: String,
}

impl Attributes {
    pub(super) fn new(
        path: Option<&str>,
        domain: Option<&str>,
        same_site: Option<&str>,
        secure: bool,
        http_only: bool,
    ) -> Self {
        let mut text = String::new();
        for (name, value) in [("Path", path), ("Domain", domain), ("SameSite", same_site)] {
            if let Some(value) = value {
                let _ = write!(text, "; {name}={value}");
            }
        }
        for (name, on) in [("Secure", secure), ("HttpOnly", http_only)] {
            if on {
                let _ = write!(text, "; {name}");
            }
        }
        Self { text }
    }

    /// The Set-Cookie field that makes a browser keep a value: until it is closed, or for so many seconds. `None` when no
    /// browser would.
    pub(super) fn set(&self, name: &str, value: &str, max_age: Option<i64>) -> Option<String> {
        let mut field = format!("{name}={value}{}", self.text);
        if let Some(seconds) = max_age {
            let _ = write!(field, "; Max-Age={seconds}");
        }
        (field.len() <= LONGEST).then_some(field)
    }

    /// The Set-Cookie field that makes a browser forget it.
    pub(super) fn clear(&self, name: &str) -> String {
        format!("{name}={}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", self.text)
    }
}

/// Whether a text may be the name of a cookie: a token (RFC 9110, 5.6.2).
pub(super) fn is_name(text: &str) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
}

/// Whether a text may be the value of a cookie's attribute.
pub(super) fn is_attribute(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: &[&str], name: &str) -> Vec<String> {
        values(fields.iter().map(|field| field.as_bytes()), name).map(str::to_owned).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(found(&["a=1; session=x;b", "session=y"], "session"), ["x", "y"]);
        assert_eq!(found(&["xsession=1; session2=2; SESSION=3; session=; session"], "session"), [""; 0]);
        assert_eq!(found(&[&"session=x; ".repeat(9)], "session").len(), MOST_OF_A_NAME);
        assert_eq!(found(&[&format!("session={}", "x".repeat(LONGEST + 1))], "session"), [""; 0]);
        assert_eq!(values([b"session=\xff".as_slice()].into_iter(), "session").count(), 0);
    }

    #[test]
    fn attributes_are_written_once() {
        let attributes = Attributes::new(Some("/p"), Some("a.test"), Some("Lax"), true, false);
        assert_eq!(
            attributes.set("sid", "v", Some(60)).unwrap(),
            "sid=v; Path=/p; Domain=a.test; SameSite=Lax; Secure; Max-Age=60"
        );
        let plain = Attributes::new(None, None, None, false, true);
        assert_eq!(plain.set("sid", "v", None).unwrap(), "sid=v; HttpOnly");
        assert!(plain.clear("sid").starts_with("sid=; HttpOnly; Max-Age=0; Expires="));
        assert_eq!(plain.set("sid", &"v".repeat(LONGEST), None), None);
    }

    #[test]
    fn names_and_attributes_cannot_end_their_field() {
        assert!(is_name("__Host-session") && !is_name("a b") && !is_name("a=b") && !is_name(""));
        assert!(is_attribute("/a b") && !is_attribute("/a; Domain=x") && !is_attribute("/\r\n"));
    }
}
