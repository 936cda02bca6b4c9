//! What is kept in browsers' cookies: encrypted, so that nobody reads or changes it but this gateway.
//!
//! AES-256-GCM (SP 800-38D) with nonces drawn at random: good for 2^32 cookies under one key. The key is derived from a
//! configured secret (HKDF, RFC 5869). What a cookie is for and for whom is authenticated along with it, so that none
//! serves for another.
//!
//! A value too long for one cookie is spread over several; the first says how many.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use weir_kernel::Purpose;
use weir_plugin::{Ctx, Headers};
use zeroize::Zeroizing;

use crate::authorization::hide_cookies;

/// Browsers keep 4096 bytes of name, value and attributes.
const PIECE: usize = 3700;
/// A value may need so many cookies: heads of requests are bounded.
const MAX_PIECES: usize = 5;
/// So much of its state is in the name of a login's cookie.
const LOGIN_DIGITS: usize = 8;

/// The key to cookies.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// The key that follows from a secret. `None` only if the library refuses a key of the right length.
    pub(super) fn new(secret: &[u8]) -> Option<Self> {
        let derived = Salt::new(HKDF_SHA256, b"weir openid-connect").extract(secret);
        let mut key = Zeroizing::new([0; 32]);
        derived.expand(&[b"cookies"], HKDF_SHA256).ok()?.fill(key.as_mut()).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).ok()?)))
    }

    /// Encrypts. `None` while no nonce can be drawn.
    pub(super) fn close(&self, about: &[u8], plain: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        weir_kernel::try_fill_for(Purpose::Other, &mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.0.seal_in_place_separate_tag(nonce, Aad::from(about), &mut sealed[NONCE_LEN..]).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Decrypts what [`Seal::close`] made, for the same purpose.
    pub(super) fn open(&self, about: &[u8], text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let length = self.0.open_in_place(nonce, Aad::from(about), sealed).ok()?.len();
        bytes.drain(..NONCE_LEN);
        bytes.truncate(length);
        Some(bytes)
    }
}

/// Where and for how long browsers keep cookies.
pub(super) struct Jar {
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) same_site: &'static str,
    pub(super) secure: bool,
}

impl Jar {
    /// The fields that set a value under a name, in as many cookies as it takes, and take away what `before` had more.
    /// `None` when it is too long. `seconds`: until the browser forgets it, at the end of its session if there is none.
    pub(super) fn set(
        &self,
        name: &str,
        value: &str,
        seconds: Option<u64>,
        before: usize,
    ) -> Option<Vec<String>> {
        let pieces: Vec<&str> = value
            .as_bytes()
            .chunks(PIECE)
            .map(|piece| std::str::from_utf8(piece).unwrap_or_default())
            .collect();
        if pieces.len() > MAX_PIECES {
            return None;
        }
        let mut fields = Vec::with_capacity(pieces.len());
        for (at, piece) in pieces.iter().enumerate() {
            let value = if at == 0 { format!("{}.{piece}", pieces.len()) } else { (*piece).to_owned() };
            fields.push(self.field(&piece_name(name, at), &value, seconds));
        }
        fields.extend(
            (pieces.len()..before.min(MAX_PIECES)).map(|at| self.field(&piece_name(name, at), "", Some(0))),
        );
        Some(fields)
    }

    /// The fields that take away what has `pieces` cookies under a name.
    pub(super) fn clear(&self, name: &str, pieces: usize) -> Vec<String> {
        (0..pieces.clamp(1, MAX_PIECES)).map(|at| self.field(&piece_name(name, at), "", Some(0))).collect()
    }

    fn field(&self, name: &str, value: &str, seconds: Option<u64>) -> String {
        let mut field = format!("{name}={value}; Path={}; HttpOnly", self.path);
        if let Some(domain) = &self.domain {
            field += &format!("; Domain={domain}");
        }
        if let Some(seconds) = seconds {
            field += &format!("; Max-Age={seconds}");
        }
        if self.secure {
            field += "; Secure";
        }
        if !self.same_site.is_empty() {
            field += &format!("; SameSite={}", self.same_site);
        }
        field
    }
}

fn piece_name(name: &str, at: usize) -> String {
    if at == 0 { name.to_owned() } else { format!("{name}_{at}") }
}

/// The cookies of a request (RFC 6265, 4.2.1): names and values, as they were sent.
pub(super) fn cookies(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    let fields = headers.get_all("Cookie").filter_map(|field| std::str::from_utf8(field).ok());
    fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The value that is spread over the cookies of this name, and how many there are.
pub(super) fn value(headers: &Headers, name: &str) -> Option<(String, usize)> {
    let get = |name: &str| cookies(headers).find(|(known, _)| *known == name).map(|(_, value)| value);
    let (count, first) = get(name)?.split_once('.')?;
    let count: usize = count.parse().ok().filter(|count| (1..=MAX_PIECES).contains(count))?;
    let mut value = first.to_owned();
    for at in 1..count {
        value.push_str(get(&piece_name(name, at))?);
    }
    Some((value, count))
}

/// What the cookie of a login is called that is under way, by the beginning of its state.
pub(super) fn login_name(name: &str, state: &str) -> String {
    format!("{name}_login_{}", state.get(..LOGIN_DIGITS).unwrap_or_default())
}

/// Whether a cookie is of a login that is under way.
pub(super) fn is_login(cookie: &str, name: &str) -> bool {
    let digits = cookie.strip_prefix(name).and_then(|rest| rest.strip_prefix("_login_"));
    digits.is_some_and(|digits| {
        digits.len() == LOGIN_DIGITS && digits.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Whether a cookie is one of ours.
fn is_ours(cookie: &str, name: &str) -> bool {
    let piece = |rest: &str| {
        rest.strip_prefix('_').and_then(|at| at.parse().ok()).is_some_and(|at| (1..MAX_PIECES).contains(&at))
    };
    cookie.strip_prefix(name).is_some_and(|rest| rest.is_empty() || piece(rest)) || is_login(cookie, name)
}

/// Takes our cookies out of what goes on to the service: they hold tokens, and others must not learn to use them.
pub(super) fn hide(ctx: &mut Ctx<'_>, name: &str) {
    hide_cookies(&mut ctx.headers, |known| is_ours(known, name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_is_opened_by_the_same_key_for_the_same_purpose() {
        let (ours, other) = (Seal::new(b"secret").unwrap(), Seal::new(b"Secret").unwrap());
        let text = ours.close(b"session", b"alice").unwrap();
        assert_eq!(ours.open(b"session", &text).unwrap().as_slice(), b"alice");
        assert!(ours.open(b"login", &text).is_none());
        assert!(other.open(b"session", &text).is_none());
        assert_ne!(ours.close(b"session", b"alice").unwrap(), text, "a nonce of its own");
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(ours.open(b"session", std::str::from_utf8(&changed).unwrap()).is_none(), "{at}");
        }
        for short in ["", "A", "AAAA", "AAAAAAAAAAAAAAAA", "é"] {
            assert!(ours.open(b"session", short).is_none());
        }
    }

    #[test]
    fn others_cookies_are_theirs() {
        for ours in ["session", "session_1", "session_4", "session_login_abcDEF12"] {
            assert!(is_ours(ours, "session"), "{ours}");
        }
        for other in
            ["session_id", "session_0", "session_5", "session_login_abc", "sessions", "xsession", "session_"]
        {
            assert!(!is_ours(other, "session"), "{other}");
        }
        assert_eq!(login_name("s", "abcDEF12ghi"), "s_login_abcDEF12");
    }

    #[test]
    fn long_values_are_spread() {
        let jar = Jar { path: "/".into(), domain: None, same_site: "Lax", secure: true };
        let long: String = "abcdefgh".chars().cycle().take(PIECE * 2 + 5).collect();
        let fields = jar.set("s", &long, None, 5).unwrap();
        assert_eq!(fields.len(), 5);
        assert!(fields[0].ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"), "{}", fields[0]);
        assert!(fields[4].starts_with("s_4=; Path=/; HttpOnly; Max-Age=0"), "{}", fields[4]);
        assert!(fields.iter().all(|field| field.len() < 4096));
        let sent: Vec<_> = fields[..3].iter().map(|field| field.split(';').next().unwrap()).collect();
        let headers: Headers = [("Cookie", &*format!("a=b; {}; c", sent.join("; ")))].into_iter().collect();
        assert_eq!(value(&headers, "s"), Some((long, 3)));
        let headers: Headers = [("Cookie", &*sent[..2].join("; "))].into_iter().collect();
        assert_eq!(value(&headers, "s"), None, "one is missing");
        assert!(jar.set("s", &"x".repeat(PIECE * MAX_PIECES + 1), None, 0).is_none());
        for bad in ["s=", "s=0.x", "s=9.x", "s=x", "s=-1.x", ""] {
            let headers: Headers = [("Cookie", bad)].into_iter().collect();
            assert_eq!(value(&headers, "s"), None, "{bad}");
        }
    }
}
