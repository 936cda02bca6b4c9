//! Answers of the Admin API.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

const JSON: &str = "application/json; charset=utf-8";

/// A JSON value.
pub(crate) fn json_with(status: StatusCode, body: &Value) -> Answer {
    with(status, JSON, body.to_string())
}

/// A JSON value with 200.
pub(crate) fn ok(body: &Value) -> Answer {
    json_with(StatusCode::OK, body)
}

/// `{"message": …}`.
pub(crate) fn message(status: StatusCode, text: &str) -> Answer {
    json_with(status, &json!({"message": text}))
}

pub(crate) fn not_found() -> Answer {
    message(StatusCode::NOT_FOUND, "Not found")
}

pub(crate) fn method_not_allowed() -> Answer {
    message(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}

/// 204, with nothing to say.
pub(crate) fn no_content() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A page for what no program of Kong's would see, as nginx gives it.
pub(crate) fn page(status: StatusCode) -> Answer {
    let body = format!(
        "<html>\n<head><title>{status}</title></head>\n<body>\n<h1>{status}</h1>\n</body>\n</html>\n"
    );
    with(status, "text/html; charset=utf-8", body)
}

/// A text of this type.
pub(crate) fn with(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The answer to OPTIONS. `asked` are the header fields that a browser wants to send.
pub(crate) fn options(methods: &[Method], asked: Option<&HeaderValue>) -> Answer {
    let mut answer = no_content();
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    if let Ok(list) = HeaderValue::from_str(&list) {
        answer.headers_mut().insert(header::ALLOW, list.clone());
        answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, list);
    }
    let asked = asked.cloned().unwrap_or(HeaderValue::from_static("Content-Type"));
    answer.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    answer
}
