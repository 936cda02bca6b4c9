//! Where something is in an image: an absolute path of any bytes, and how to show one and how to hand one to a shell.
//!
//! Names come from whoever made the image. What is shown has no control characters, and what a shell is to read is quoted
//! such that it means these bytes and nothing else.

use std::fmt;
use weir_report::shown;

/// No path in an image is longer; Linux has the same limit.
pub(super) const MAX_PATH_BYTES: usize = 4096;

/// An absolute path in an image. Invariant: begins with a slash, has no empty part, no `.` and no `..`; the root is `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Vec<u8>);

impl Place {
    /// The top of the image.
    #[must_use]
    pub fn root() -> Self {
        Self(vec![b'/'])
    }

    /// A path as an archive or a table has it, with or without a slash or `./` before it; `None` for one that has `..` in it or
    /// is too long.
    #[must_use]
    pub fn new(path: &[u8]) -> Option<Self> {
        let mut place = Self::root();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return None,
                _ if part.contains(&0) => return None,
                part => place = place.join(part),
            }
        }
        (place.0.len() <= MAX_PATH_BYTES).then_some(place)
    }

    /// Something in this folder. `name` is one part of a path.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if path.len() > 1 {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The folder that it is in; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(0) | None => Self::root(),
            Some(at) => Self(self.0.get(..at).unwrap_or_default().to_vec()),
        }
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.parts().last().unwrap_or_default()
    }

    /// The parts, from the top.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `folder`, or beneath it.
    #[must_use]
    pub fn is_in(&self, folder: &Self) -> bool {
        let rest = self.0.strip_prefix(folder.0.as_slice());
        folder.0.len() == 1 || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }
}

impl fmt::Display for Place {
    /// For people: control characters and what is not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&String::from_utf8_lossy(&self.0)))
    }
}

/// One word for a shell. What cannot be written between quotes and shown as it is takes the form `$'...'`, which POSIX has
/// since 2024 and bash, zsh, ksh, mksh and busybox long before.
pub(super) fn word(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,=%".contains(byte);
    let text = std::str::from_utf8(bytes).ok().filter(|text| shown(text) == **text);
    match text {
        Some(text) if !text.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => format!("$'{}'", bytes.iter().map(|byte| escaped(*byte)).collect::<String>()),
    }
}

/// Always three digits, so that a digit that follows is not taken for one of them.
fn escaped(byte: u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::new(path.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_made_alike() {
        for path in ["/etc/ssh", "./etc/ssh", "etc//ssh/", "/./etc/./ssh"] {
            assert_eq!(place(path).as_bytes(), b"/etc/ssh");
        }
        for root in ["", "/", ".", "./"] {
            assert_eq!(place(root), Place::root());
        }
        assert_eq!(Place::new(b"etc/../../x"), None);
        assert_eq!(Place::new(b"a\0b"), None);
        assert_eq!(Place::new(&[b'a'; 5000]), None);
    }

    #[test]
    fn parts_go_together_again() {
        let ssh = place("/etc/ssh");
        assert_eq!((ssh.name(), ssh.parent()), (b"ssh".as_slice(), place("/etc")));
        assert_eq!((ssh.parent().parent(), Place::root().parent()), (Place::root(), Place::root()));
        assert_eq!(Place::root().name(), b"");
        assert!(ssh.is_in(&place("/etc")) && ssh.is_in(&ssh) && ssh.is_in(&Place::root()));
        assert!(!place("/etcx").is_in(&place("/etc")));
    }

    #[test]
    fn a_shell_reads_the_same_bytes() {
        let hostile: &[&[u8]] = &[
            b"/etc/ssh/ssh_host_rsa_key",
            b"/a b",
            b"/$(reboot)`x`",
            b"/it's",
            b"/new\nline\t1",
            b"/\xff\xfe'\\9",
            "/ü\u{202e}x".as_bytes(),
            b"-rf",
            b"~",
            b"",
        ];
        for bytes in hostile {
            let quoted = word(bytes);
            assert!(!quoted.chars().any(char::is_control), "{quoted}");
            let bash =
                std::process::Command::new("bash").args(["-c", &format!("printf %s {quoted}")]).output();
            let Ok(output) = bash else { testkit::skip!("no bash") };
            assert_eq!(output.stdout, *bytes, "{quoted}");
        }
    }
}
