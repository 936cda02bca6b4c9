//! The form of `weir.conf`, which is kong.conf's: `key = value`, `#` begins a comment, `\#` is a number sign.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number, from one.
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Reads a file's text.
///
/// # Errors
/// The number of the first line that says nothing, and why.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, (usize, &'static str)> {
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let said = without_comment(text);
        if said.trim().is_empty() {
            continue;
        }
        let (key, value) = said.split_once('=').ok_or((line, "it is not 'key = value'"))?;
        let key = key.trim();
        let good = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            return Err((line, "what stands before the '=' is no key"));
        }
        entries.push(Entry { line, key: key.to_ascii_lowercase(), value: unquoted(value.trim()).to_owned() });
    }
    Ok(entries)
}

fn without_comment(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'#') => {
                out.push('#');
                characters.next();
            }
            '#' => break,
            other => out.push(other),
        }
    }
    out
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_keys_and_values() {
        let text = "\u{feff}# a comment\n\nprefix = /a b # where\r\nADMIN_token='a\\#b=c'\n";
        let entries = parse(text).unwrap();
        let said: Vec<_> = entries.iter().map(|e| (e.line, e.key.as_str(), e.value.as_str())).collect();
        assert_eq!(said, [(3, "prefix", "/a b"), (4, "admin_token", "a#b=c")]);
        assert_eq!(parse("a\n").unwrap_err().0, 1);
        assert_eq!(parse("ok = 1\n= 2\n").unwrap_err().0, 2);
        assert_eq!(parse("a b = 2\n").unwrap_err().0, 1);
    }
}
