//! The gateway's own answers, written as the client asks for them.

use std::fmt::Write as _;

use bytes::Bytes;
use http::StatusCode;
use weir_plugin::{Answer, Content, Headers};

use crate::settings::Templates;

/// The forms in which a sentence is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Html,
    Xml,
    Plain,
}

impl Form {
    /// The form that an Accept field asks for: of the media types it names the one with the greatest weight, and the
    /// first of several. JSON where none is known.
    pub(crate) fn accepted(accept: &[u8]) -> Self {
        let mut best: Option<(Self, f32)> = None;
        for range in std::str::from_utf8(accept).unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" | "application/*" | "*/*" => Self::Json,
                "text/html" => Self::Html,
                "application/xml" => Self::Xml,
                "text/plain" | "text/*" => Self::Plain,
                _ => continue,
            };
            let weight =
                parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > 0.0 && best.is_none_or(|(_, other)| weight > other) {
                best = Some((form, weight));
            }
        }
        best.map_or(Self::Json, |(form, _)| form)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }

    fn template(self, templates: &Templates) -> Option<&str> {
        match self {
            Self::Json => templates.json.as_deref(),
            Self::Html => templates.html.as_deref(),
            Self::Xml => templates.xml.as_deref(),
            Self::Plain => templates.plain.as_deref(),
        }
    }

    fn write(self, message: &str, request_id: &str, templates: &Templates) -> String {
        if let Some(template) = self.template(templates) {
            return fill(template, &self.escaped(message), request_id);
        }
        let mut out = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Json => {
                let text = serde_json::Value::from(message);
                write!(out, "{{\"message\":{text},\"request_id\":\"{request_id}\"}}")
            }
            Self::Plain => writeln!(out, "{message}\nrequest_id: {request_id}"),
            Self::Html => write!(
                out,
                "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  \
                 <body>\n    <h1>Error</h1>\n    <p>{}.</p>\n    <p>request_id: {request_id}</p>\n  </body>\n</html>\n",
                self.escaped(message)
            ),
            Self::Xml => write!(
                out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>{}</message>\n  \
                 <requestid>{request_id}</requestid>\n</error>\n",
                self.escaped(message)
            ),
        };
        out
    }

    fn escaped(self, message: &str) -> String {
        match self {
            Self::Html | Self::Xml => message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            Self::Json => {
                let quoted = serde_json::Value::from(message).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Plain => message.to_owned(),
        }
    }
}

/// Puts the message and the request's id where a template has `%s`.
fn fill(template: &str, message: &str, request_id: &str) -> String {
    let mut values = [message, request_id].into_iter();
    let mut parts = template.split("%s");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(values.next().unwrap_or("%s"));
        out.push_str(part);
    }
    out
}

/// Writes an answer: its status, its header fields with those that describe the body, and the body.
pub(crate) fn render(
    answer: Answer,
    form: Form,
    request_id: &str,
    templates: &Templates,
) -> (StatusCode, Headers, Bytes) {
    let Answer { status, mut headers, content } = answer;
    let body = match content {
        Content::Message(message) => {
            headers.set("Content-Type", form.content_type());
            Bytes::from(form.write(&message, request_id, templates))
        }
        Content::Exact(body) => body,
    };
    (status, headers, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_accept() {
        let form = |accept: &str| Form::accepted(accept.as_bytes());
        assert_eq!(form("text/html"), Form::Html);
        assert_eq!(form("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Form::Html);
        assert_eq!(form("text/html;q=0, text/plain"), Form::Plain);
        assert_eq!(form("text/plain;q=0.5, application/xml"), Form::Xml);
        for json in
            ["", "*/*", "application/*", "application/json; charset=utf-8", "image/png", "text/xml", "\u{fe}"]
        {
            assert_eq!(form(json), Form::Json, "{json}");
        }
    }

    #[test]
    fn what_is_said_cannot_break_out() {
        let none = Templates::default();
        assert_eq!(Form::Json.write("a\"b", "id", &none), r#"{"message":"a\"b","request_id":"id"}"#);
        assert!(Form::Html.write("<script>", "id", &none).contains("<p>&lt;script&gt;.</p>"));
        let own = Templates { json: Some("{\"error\":\"%s\",\"id\":\"%s\"}".to_owned()), ..none };
        assert_eq!(Form::Json.write("a\"b", "7", &own), r#"{"error":"a\"b","id":"7"}"#);
    }
}
