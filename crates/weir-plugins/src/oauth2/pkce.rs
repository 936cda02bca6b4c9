//! Proof Key for Code Exchange (RFC 7636), of whose methods only S256 is worth something.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use weir_mint::Secret;
use weir_model::typed::OAuth2Client;

use super::answer::Refused;
use super::params::Params;

/// Who must use it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Required {
    /// Nobody. Whoever does is held to it all the same.
    None,
    /// Clients that can keep no secret.
    #[default]
    Lax,
    /// Everybody.
    Strict,
}

impl Required {
    fn of(self, client: &OAuth2Client) -> bool {
        match self {
            Self::None => false,
            Self::Lax => client.public,
            Self::Strict => true,
        }
    }
}

/// The challenge of a request for a code (RFC 7636, 4.3).
pub(super) fn challenge<'a>(
    required: Required,
    client: &OAuth2Client,
    params: &'a Params,
) -> Result<Option<&'a str>, Refused> {
    let invalid = |description: String| Refused::new("invalid_request", description);
    let challenge = params.get("code_challenge");
    let method = params.get("code_challenge_method");
    // Without a method it would be "plain" (4.3).
    if (challenge.is_some() || method.is_some()) && method != Some("S256") {
        return Err(invalid("code_challenge_method is not supported, must be S256".to_owned()));
    }
    match challenge {
        Some(challenge) if challenge.len() == 43 && challenge.bytes().all(is_base64url) => {
            Ok(Some(challenge))
        }
        Some(_) => Err(invalid("code_challenge must be 43 characters of base64url".to_owned())),
        None if method.is_some() => Err(invalid("code_challenge is missing".to_owned())),
        None if required.of(client) => {
            let kind = if client.public { "public" } else { "confidential" };
            Err(invalid(format!("code_challenge is required for {kind} clients")))
        }
        None => Ok(None),
    }
}

/// Whether whoever has a code is who asked for it (RFC 7636, 4.6).
pub(super) fn verify(
    required: Required,
    client: &OAuth2Client,
    challenge: Option<&str>,
    verifier: Option<&Secret>,
) -> Result<(), Refused> {
    let invalid = || Refused::new("invalid_grant", "Invalid code");
    match (challenge, verifier) {
        (None, None) if required.of(client) => Err(invalid()),
        (None, None) => Ok(()),
        // RFC 9700, 2.1.1: or else an attacker could take the challenge out of the request for the code.
        (None, Some(_)) => {
            Err(Refused::new("invalid_grant", "code_verifier is given, and the code was asked for without"))
        }
        (Some(_), None) => {
            Err(Refused::new("invalid_request", "code_verifier is required for PKCE authorization requests"))
        }
        (Some(challenge), Some(verifier)) => {
            let text = verifier.expose();
            if !(43..=128).contains(&text.len()) || !text.bytes().all(is_unreserved) {
                let description = "code_verifier must be 43 to 128 unreserved characters";
                return Err(Refused::new("invalid_request", description));
            }
            let digest = digest::digest(&digest::SHA256, text.as_bytes());
            let right = Secret::new(URL_SAFE_NO_PAD.encode(digest)).matches(challenge.as_bytes());
            if right { Ok(()) } else { Err(invalid().guess()) }
        }
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_unreserved(byte: u8) -> bool {
    is_base64url(byte) || byte == b'.' || byte == b'~'
}

#[cfg(test)]
mod tests {
    use weir_mint::Uuid;

    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn client(public: bool) -> OAuth2Client {
        OAuth2Client {
            id: Uuid::from_bytes([1; 16]),
            consumer: Uuid::from_bytes([2; 16]),
            name: "app".into(),
            client_id: "cid".into(),
            client_secret: None,
            hash_secret: false,
            redirect_uris: Vec::new(),
            public,
            previous: None,
        }
    }

    fn verified(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), &'static str> {
        let verifier = verifier.map(|text| Secret::new(text.to_owned()));
        verify(Required::Lax, &client(false), challenge, verifier.as_ref()).map_err(|refused| refused.error)
    }

    #[test]
    fn rfc_7636_appendix_b() {
        assert_eq!(verified(Some(CHALLENGE), Some(VERIFIER)), Ok(()));
        assert_eq!(verified(Some(CHALLENGE), Some(&VERIFIER.replace('d', "e"))), Err("invalid_grant"));
    }

    #[test]
    fn a_proof_is_neither_left_out_nor_slipped_in() {
        assert_eq!(verified(Some(CHALLENGE), None), Err("invalid_request"));
        assert_eq!(verified(None, Some(VERIFIER)), Err("invalid_grant"));
        assert_eq!(verified(None, None), Ok(()));
        for bad in [&VERIFIER[1..], &"a".repeat(129), &VERIFIER.replace('-', "+")] {
            assert_eq!(verified(Some(CHALLENGE), Some(bad)), Err("invalid_request"), "{bad}");
        }
        assert!(verify(Required::Lax, &client(true), None, None).is_err());
    }

    #[test]
    fn who_must_use_it_is_asked_for_it() {
        let ask = |required, public, form: &str| {
            let kind = Some("application/x-www-form-urlencoded");
            let params = Params::read(None, kind, form.as_bytes()).unwrap();
            let asked = challenge(required, &client(public), &params);
            asked.map(|challenge| challenge.is_some()).map_err(|refused| refused.description)
        };
        let (none, lax, strict) = (Required::None, Required::Lax, Required::Strict);
        assert_eq!(
            [ask(none, true, ""), ask(none, false, ""), ask(lax, false, "")],
            [Ok(false), Ok(false), Ok(false)]
        );
        let said = |kind: &str| Err(format!("code_challenge is required for {kind} clients"));
        assert_eq!(ask(lax, true, ""), said("public"));
        assert_eq!(ask(strict, false, ""), said("confidential"));
        let good = format!("code_challenge={CHALLENGE}&code_challenge_method=S256");
        assert_eq!(ask(strict, true, &good), Ok(true));
        for bad in [
            format!("code_challenge={CHALLENGE}"),
            format!("code_challenge={CHALLENGE}&code_challenge_method=plain"),
            "code_challenge_method=S256".to_owned(),
            "code_challenge=abc&code_challenge_method=S256".to_owned(),
        ] {
            assert!(ask(none, false, &bad).is_err(), "{bad}");
        }
    }
}
