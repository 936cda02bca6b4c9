//! Forms in parts (RFC 7578; RFC 2046, 5.1): finding fields, taking one out.
//!
//! The parser is strict: what is not in the grammar up to the closing delimiter is no form. It stands alone, for a fuzz
//! target to take it in by its path.

use std::ops::Range;

use memchr::memmem;

/// More parts than this are no form.
const MAX_PARTS: usize = 1024;
/// The head of a part may have so many bytes.
const MAX_HEAD: usize = 8 << 10;

/// One field of a form that is no file.
pub(crate) struct Field<'a> {
    /// Its name as it was written, without quotes.
    pub(crate) name: &'a str,
    /// Its value.
    pub(crate) value: &'a [u8],
    /// Where it is in the body: from its delimiter to before the next.
    place: Range<usize>,
}

/// The boundary that a Content-Type of `multipart/form-data` names, if it is one.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').map(str::trim_ascii);
    if !parameters.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut named = parameters.filter_map(|parameter| value_of(parameter, "boundary"));
    let (boundary, None) = (named.next()?, named.next()) else { return None };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let valid = (1..=70).contains(&boundary.len()) && boundary.bytes().all(good) && !boundary.ends_with(' ');
    valid.then_some(boundary)
}

/// The fields of a body, files left out. `None` when it is no form with this boundary.
pub(crate) fn fields<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Field<'a>>> {
    let line_and_delimiter = format!("\r\n--{boundary}");
    let delimiter = &line_and_delimiter.as_bytes()[2..];
    let finder = memmem::Finder::new(&line_and_delimiter);
    // What is before the first delimiter is for nobody (RFC 2046, 5.1.1).
    let mut start = if body.starts_with(delimiter) { 0 } else { finder.find(body)? + 2 };
    let mut fields = Vec::new();
    for _ in 0..=MAX_PARTS {
        let after = start + delimiter.len();
        let rest = &body[after..];
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        // Blanks may follow a delimiter.
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let rest = rest[blanks..].strip_prefix(b"\r\n")?;
        let content = after + blanks + 2;
        let end = finder.find(rest)?;
        let part = &body[content..content + end];
        let next = content + end + 2;
        let (head, value) = match part.strip_prefix(b"\r\n") {
            Some(value) => (&part[..0], value),
            None => {
                let head = memmem::find(&part[..part.len().min(MAX_HEAD)], b"\r\n\r\n")?;
                (&part[..head], &part[head + 4..])
            }
        };
        if let Some(name) = field_name(std::str::from_utf8(head).ok()?) {
            fields.push(Field { name, value, place: start..next });
        }
        start = next;
    }
    None
}

/// A body without the fields of this name; the rest as it was written. `None` when it is no form.
pub(crate) fn without(body: &[u8], boundary: &str, name: &str) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(body.len());
    let mut from = 0;
    for field in fields(body, boundary)?.into_iter().filter(|field| field.name == name) {
        kept.extend_from_slice(&body[from..field.place.start]);
        from = field.place.end;
    }
    kept.extend_from_slice(&body[from..]);
    Some(kept)
}

/// The name in a part's head (RFC 7578, 4.2), unless the part is a file.
fn field_name(head: &str) -> Option<&str> {
    let mut dispositions = head.split("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Disposition").then_some(value)
    });
    let mut parameters = split_parameters(dispositions.next()?);
    if !parameters.next()?.eq_ignore_ascii_case("form-data") || dispositions.next().is_some() {
        return None;
    }
    let mut name = None;
    for parameter in parameters {
        if value_of(parameter, "filename").is_some() || value_of(parameter, "filename*").is_some() {
            return None;
        }
        name = name.or(value_of(parameter, "name"));
    }
    name
}

/// Splits at semicolons outside of quotes.
fn split_parameters(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ';' && !quoted
    });
    parts.map(str::trim_ascii)
}

/// The value of a parameter of this name, without its quotes.
fn value_of<'a>(parameter: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = parameter.split_once('=')?;
    if !key.eq_ignore_ascii_case(name) {
        return None;
    }
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|value| !value.contains('"')),
        None => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "preamble\r\n--edge\r\nContent-Disposition: form-data; name=\"a;b\"\r\n\r\n1\r\n--edge \t\r\n\
        content-type: text/plain\r\nCONTENT-DISPOSITION:form-data;name=key\r\n\r\nline\r\n--edgy\r\n\r\n--edge\r\n\
        Content-Disposition: form-data; name=\"key\"; filename=\"key\"\r\n\r\nfile\r\n--edge\r\n\r\nno head\r\n--edge--\r\nepilogue";

    fn read<'a>(body: &'a str, boundary: &str) -> Option<Vec<(&'a str, &'a str)>> {
        let text = |field: Field<'a>| (field.name, std::str::from_utf8(field.value).unwrap());
        Some(fields(body.as_bytes(), boundary)?.into_iter().map(text).collect())
    }

    #[test]
    fn fields_are_found_and_files_are_not() {
        assert_eq!(read(BODY, "edge").unwrap(), [("a;b", "1"), ("key", "line\r\n--edgy\r\n")]);
        assert_eq!(read("--edge--", "edge").unwrap(), []);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for body in [
            "",
            "--edge",
            "--edge\r\n",
            "--edge\r\n\r\n1",
            "--edge\r\nno end of head\r\n--edge--",
            "x--edge--",
            "--edge x\r\n\r\n\r\n--edge--",
        ] {
            assert_eq!(read(body, "edge"), None, "{body}");
        }
        assert_eq!(read(BODY, "other"), None);
        let many = format!("{}--edge--", "--edge\r\n\r\n\r\n".repeat(MAX_PARTS + 1));
        assert_eq!(read(&many, "edge"), None);
    }

    #[test]
    fn a_field_is_taken_out_and_the_rest_stays() {
        let kept = String::from_utf8(without(BODY.as_bytes(), "edge", "key").unwrap()).unwrap();
        assert_eq!(read(&kept, "edge").unwrap(), [("a;b", "1")]);
        assert!(kept.starts_with("preamble\r\n--edge\r\n") && kept.ends_with("\r\n--edge--\r\nepilogue"));
        assert!(kept.contains("filename") && !kept.contains("line"));
        assert_eq!(without(kept.as_bytes(), "edge", "none").unwrap(), kept.as_bytes());
        let only = b"--edge\r\nContent-Disposition: form-data; name=key\r\n\r\n1\r\n--edge--";
        assert_eq!(without(only, "edge", "key").unwrap(), b"--edge--");
    }

    #[test]
    fn a_boundary_is_one_parameter() {
        assert_eq!(boundary("multipart/form-data; boundary=edge"), Some("edge"));
        assert_eq!(boundary("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\""), Some("a b"));
        for bad in [
            "multipart/form-data",
            "multipart/mixed; boundary=a",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary=a\"b",
        ] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "a".repeat(71))), None);
    }
}
