//! A file of hosts: one a line, `#` begins a comment.

use crate::ssh::{Host, HostError};

/// No such file is longer.
const MAX_BYTES: usize = 4 << 20;

/// Why a text is no list of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostsError {
    /// It is longer than anybody's list.
    #[error("it is longer than {} MiB", MAX_BYTES >> 20)]
    TooLong,
    /// A line names none.
    #[error("line {line}: {error}")]
    Line {
        /// Which, counted from one.
        line: usize,
        /// Why.
        error: HostError,
    },
}

/// Parses it. A host may be named several times; what that means is the caller's to say.
///
/// # Errors
/// [`HostsError`].
pub fn parse_hosts(text: &str) -> Result<Vec<Host>, HostsError> {
    if text.len() > MAX_BYTES {
        return Err(HostsError::TooLong);
    }
    let without_comment = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let named = text.lines().map(without_comment).enumerate().filter(|(_, name)| !name.is_empty());
    named.map(|(at, name)| name.parse().map_err(|error| HostsError::Line { line: at + 1, error })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_host_a_line() {
        let hosts = parse_hosts("# all of them\nweb1\r\n\n  root@web2:2222  # the new one\n[2001:db8::1]:22")
            .unwrap();
        assert_eq!(
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["web1", "root@web2:2222", "[2001:db8::1]:22"]
        );
        assert_eq!(parse_hosts(""), Ok(Vec::new()));
        assert!(matches!(parse_hosts("a\n\n-oProxyCommand=x\n"), Err(HostsError::Line { line: 3, .. })));
        assert!(matches!(parse_hosts("a b"), Err(HostsError::Line { line: 1, .. })));
        assert_eq!(parse_hosts(&"a\n".repeat(3 << 20)), Err(HostsError::TooLong));
    }
}
