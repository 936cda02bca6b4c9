//! Bearer tokens, as clients show them.

/// Nor are tokens in header fields.
const MAX_BEARER: usize = 16 << 10;

/// What follows the scheme (RFC 6750, 2.1), if that is the scheme.
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || rest.first().is_some_and(|byte| *byte != b' ') {
        return None;
    }
    Some(rest.trim_ascii())
}

/// Whether it is made of what tokens are made of (RFC 6750, 2.1), and no longer than they are.
pub(super) fn is_token(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.len() <= MAX_BEARER && text.bytes().all(good)
}

/// Whether it has the form of a JSON Web Signature: three parts.
pub(super) fn is_jws(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 2
}
