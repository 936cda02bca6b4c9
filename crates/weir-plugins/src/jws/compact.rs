//! Tokens in the compact form (RFC 7515, 7.1): three parts of base64url with dots between them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Algorithm, Error, Key, Members};

/// A token may have so many bytes. Heads of requests are shorter; tokens in bodies need not be.
pub const MAX_TOKEN: usize = 64 << 10;

/// A token that was taken apart. Nothing that it says is true before [`Compact::verify`].
#[derive(Debug)]
pub struct Compact<'t> {
    /// What is signed: the first two parts as they were written (RFC 7515, 5.2).
    signed: &'t str,
    /// The header, the payload and the signature, decoded, one behind the other.
    bytes: Vec<u8>,
    header_end: usize,
    payload_end: usize,
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Error::Form`].
    pub fn parse(text: &'t str) -> Result<Self, Error> {
        if text.len() > MAX_TOKEN {
            return Err(Error::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Error::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Form)?;
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
        // A dot too many is in one of the parts, where it is no base64url.
        let mut decode = |part| match URL_SAFE_NO_PAD.decode_vec(part, &mut bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(Error::Form),
        };
        let (header_end, payload_end) = (decode(header)?, decode(payload)?);
        decode(signature)?;
        Ok(Self { signed, bytes, header_end, payload_end })
    }

    /// The header.
    ///
    /// # Errors
    /// [`Error::Json`]; [`Error::Critical`] for every `crit`, since no extension is understood.
    pub fn header(&self) -> Result<Header<'_>, Error> {
        let members = Members::parse(&self.bytes[..self.header_end])?;
        match members.contains("crit") {
            true => Err(Error::Critical),
            false => Ok(Header { members }),
        }
    }

    /// What is signed besides the header, whatever it is.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.header_end..self.payload_end]
    }

    /// The payload as the claims of a JSON Web Token.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub fn claims(&self) -> Result<Members<'_>, Error> {
        Members::parse(self.payload())
    }

    /// The signature, decoded.
    pub fn signature(&self) -> &[u8] {
        &self.bytes[self.payload_end..]
    }

    /// Whether the holder of this key signed the token by this algorithm. That the algorithm is one that the holder signs
    /// by, and that it is the one in the header, is the caller's to see.
    ///
    /// # Errors
    /// [`Error::Algorithm`] and [`Error::Signature`].
    pub fn verify(&self, key: &Key, algorithm: Algorithm) -> Result<(), Error> {
        key.verify(algorithm, self.signed.as_bytes(), self.signature())
    }
}

/// What the header of a token says. No `crit` is in it.
#[derive(Debug)]
pub struct Header<'a> {
    members: Members<'a>,
}

impl<'a> Header<'a> {
    /// The algorithm that it claims to be signed by, if it is one.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.members.text("alg").and_then(Algorithm::parse)
    }

    /// Which of several keys it claims to be signed by.
    pub fn key_id(&self) -> Option<&str> {
        self.members.text("kid")
    }

    /// Everything that it says.
    pub fn members(&self) -> &Members<'a> {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn what_is_no_compact_jws_is_refused() {
        let long = format!("{}.e30.", "A".repeat(MAX_TOKEN));
        for text in [
            "",
            ".",
            "e30",
            "e30.e30",
            "e30.e30.e30.e30",
            "e30=.e30.",
            "e30.e31.",
            "e3+.e30.",
            "e30.e30. ",
            "é..",
            &long,
        ] {
            assert_eq!(Compact::parse(text).err(), Some(Error::Form), "{text}");
        }
        assert!(Compact::parse("..").is_ok_and(|token| token.header().is_err()));
    }

    #[test]
    fn header_and_claims_are_json_objects() {
        for header in ["", "[]", "null", "{", r#"{"alg":"HS256","alg":"none"}"#, "{} {}", "{\"a\":\u{fffd}}"]
        {
            let text = token(header, "{}");
            assert_eq!(Compact::parse(&text).unwrap().header().err(), Some(Error::Json), "{header}");
        }
        let text = token(r#"{"alg":"HS256","\u0061lg":"none"}"#, r#"{"exp":1,"exp":2}"#);
        let token = Compact::parse(&text).unwrap();
        assert_eq!(token.header().err(), Some(Error::Json));
        assert_eq!(token.claims().err(), Some(Error::Json));
    }

    #[test]
    fn no_extension_is_understood() {
        for crit in [r#"["b64"]"#, "[]", "null"] {
            let text = token(&format!(r#"{{"alg":"HS256","crit":{crit},"b64":false}}"#), "{}");
            assert_eq!(Compact::parse(&text).unwrap().header().err(), Some(Error::Critical));
        }
    }

    #[test]
    fn none_is_no_algorithm() {
        for name in ["none", "None", "hs256", "HS256 ", ""] {
            let text = token(&format!(r#"{{"alg":"{name}"}}"#), "{}");
            assert_eq!(Compact::parse(&text).unwrap().header().unwrap().algorithm(), None, "{name}");
        }
        let text = token(r#"{"alg":["HS256"],"kid":7}"#, "{}");
        let token = Compact::parse(&text).unwrap();
        assert_eq!(token.header().unwrap().algorithm(), None);
        assert_eq!(token.header().unwrap().key_id(), None);
    }
}
