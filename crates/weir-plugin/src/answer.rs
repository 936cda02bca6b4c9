//! Answers that the gateway gives itself, in place of the upstream service.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;

use crate::Headers;

/// An answer of the gateway's own.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields, apart from those that describe the body or come with every answer.
    pub headers: Headers,
    /// What it says.
    pub content: Content,
}

/// What an answer says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A sentence, written as the client's Accept field asks: JSON, HTML, XML or plain text.
    Message(Cow<'static, str>),
    /// Exactly these bytes. The headers say what they are.
    Exact(Bytes),
}

impl Answer {
    /// A sentence in the form that the client asks for.
    pub fn message(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, headers: Headers::new(), content: Content::Message(message.into()) }
    }

    /// Exactly these bytes.
    pub fn exact(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = [("Content-Type", content_type)].into_iter().collect();
        Self { status, headers, content: Content::Exact(body.into()) }
    }

    /// Nothing but a status.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Headers::new(), content: Content::Exact(Bytes::new()) }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name, value);
        self
    }
}
