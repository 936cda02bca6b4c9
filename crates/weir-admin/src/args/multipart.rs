//! Forms in parts (RFC 7578), as far as fields go: a part is a name and a text.

/// The fields of a body of this content type; `None` if it is not one.
pub(super) fn decode(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = parameter(content_type, "boundary")?;
    let delimiter = format!("--{boundary}");
    let body = std::str::from_utf8(body).ok()?;
    let mut parts = body.split(delimiter.as_str());
    // What stands before the first delimiter is for nobody.
    parts.next()?;
    let mut fields = Vec::new();
    for part in parts {
        if part.starts_with("--") {
            return Some(fields);
        }
        let part = part.strip_prefix("\r\n")?.strip_suffix("\r\n")?;
        let (head, value) = part.split_once("\r\n\r\n")?;
        let disposition = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        fields.push((parameter(disposition, "name")?, value.to_owned()));
    }
    // The last delimiter never came.
    None
}

/// A parameter of a header field's value, with or without quotes.
fn parameter(value: &str, name: &str) -> Option<String> {
    let found = value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })?;
    let plain = found.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(found);
    (!plain.is_empty()).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"edge\"";

    #[test]
    fn parts_are_fields() {
        let body = "--edge\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--edge\r\n\
                    content-disposition: form-data; name=b\r\nX: y\r\n\r\ntwo\r\nlines\r\n--edge--\r\n";
        let want = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "two\r\nlines".to_owned())];
        assert_eq!(decode(TYPE, body.as_bytes()).unwrap(), want);
    }

    #[test]
    fn what_is_no_form() {
        for bad in [
            "",
            "--edge",
            "--edge\r\n\r\n1\r\n--edge--",
            "--edge\r\nContent-Disposition: form-data\r\n\r\n1\r\n--edge--",
        ] {
            assert_eq!(decode(TYPE, bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode("multipart/form-data", b"--\r\n"), None);
    }
}
