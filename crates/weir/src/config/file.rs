//! The form of `weir.conf`, which is kong.conf's: `key = value`, `#` begins a comment, `\#` is a number sign.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number, from one.
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A line that says nothing: its number, from one, and why.
pub(crate) type Bad = (usize, &'static str);

/// Reads a file's text: the lines that say something, and those that do not.
pub(crate) fn parse(text: &str) -> (Vec<Entry>, Vec<Bad>) {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let said = without_comment(text);
        if said.trim().is_empty() {
            continue;
        }
        let Some((key, value)) = said.split_once('=') else {
            bad.push((line, "it is not 'key = value'"));
            continue;
        };
        let key = key.trim();
        let good = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good {
            bad.push((line, "what stands before the '=' is no key"));
            continue;
        }
        entries.push(Entry { line, key: key.to_ascii_lowercase(), value: unquoted(value.trim()).to_owned() });
    }
    (entries, bad)
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
        let (entries, bad) = parse(text);
        assert_eq!(bad, []);
        let said: Vec<_> = entries.iter().map(|e| (e.line, e.key.as_str(), e.value.as_str())).collect();
        assert_eq!(said, [(3, "prefix", "/a b"), (4, "admin_token", "a#b=c")]);
        let (entries, bad) = parse("a\nok = 1\n= 2\na b = 2\n");
        assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!((entries.len(), entries[0].line), (1, 2));
    }
}
