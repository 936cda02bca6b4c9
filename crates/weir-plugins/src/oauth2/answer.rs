//! What the endpoints and the guard answer: RFC 6749, 5.1 and 5.2, RFC 6750, 3.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::{Value, json};
use weir_plugin::{Answer, RecordsError};

use crate::auth;

const JSON: &str = "application/json; charset=utf-8";
/// When to come again after a failure that passes, seconds.
const RETRY_AFTER: &str = "5";

/// When to come again where too many wait, seconds.
const RETRY_AFTER_QUEUE: &str = "2";

/// An answer in JSON that nobody may keep (RFC 6749, 5.1).
pub(super) fn own(status: StatusCode, body: &Value) -> Answer {
    Answer::exact(status, JSON, body.to_string())
        .header("Cache-Control", "no-store")
        .header("Pragma", "no-cache")
}

/// Why a request gets no token. The client is told the code and the description.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
    /// What to say in WWW-Authenticate.
    pub(super) challenge: Option<String>,
    /// Whether it counts as an attempt to guess something.
    pub(super) guess: bool,
}

impl Refused {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self { status: StatusCode::BAD_REQUEST, error, description, challenge: None, guess: false }
    }

    /// It counts as an attempt to guess something.
    pub(super) fn guess(mut self) -> Self {
        self.guess = true;
        self
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn challenge(mut self, challenge: String) -> Self {
        self.challenge = Some(challenge);
        self
    }

    pub(super) fn answer(&self) -> Answer {
        let body = json!({"error": self.error, "error_description": self.description});
        let answer = own(self.status, &body);
        match &self.challenge {
            Some(challenge) => answer.header("WWW-Authenticate", challenge),
            None => answer,
        }
    }
}

/// Why a request gets no token, or why nobody gets one now.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client's fault.
    Refused(Refused),
    /// The host's: its generator is not ready.
    NotReady,
    /// The store's.
    Unavailable,
    /// Too many wait to be authenticated already.
    Busy,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<RecordsError> for Failure {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::NotReady => Self::NotReady,
            // The store has logged what it failed in.
            _ => Self::Unavailable,
        }
    }
}

impl From<weir_mint::Error> for Failure {
    fn from(_: weir_mint::Error) -> Self {
        Self::NotReady
    }
}

impl Failure {
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Refused(refused) => refused.answer(),
            Self::NotReady => Answer::message(
                StatusCode::SERVICE_UNAVAILABLE,
                "The kernel's random number generator is not ready",
            )
            .header("Retry-After", RETRY_AFTER),
            Self::Unavailable => own(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({
                    "error": "temporarily_unavailable",
                    "error_description": "Nothing can be stored at the moment; nothing was changed",
                }),
            )
            .header("Retry-After", RETRY_AFTER),
            // RFC 6749, 5.2 has no word for it; 4.1.2.1 does.
            Self::Busy => own(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({
                    "error": "temporarily_unavailable",
                    "error_description": "Too many clients to authenticate",
                }),
            )
            .header("Retry-After", RETRY_AFTER_QUEUE),
        }
    }
}

/// A challenge of RFC 6750, 3, in the form that Kong gives it: without commas.
pub(super) fn challenge(scheme: &str, realm: Option<&str>, attributes: &[(&str, &str)]) -> String {
    let mut out = auth::challenge(scheme, realm);
    for (name, value) in attributes {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = write!(out, " {name}=\"{value}\"");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_quotes_what_it_holds() {
        assert_eq!(challenge("Bearer", None, &[]), "Bearer");
        assert_eq!(
            challenge("Bearer", Some("a \"b\""), &[("error", "x")]),
            "Bearer realm=\"a \\\"b\\\"\" error=\"x\""
        );
    }
}
