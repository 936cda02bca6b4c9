//! Heads of requests and responses: what is understood can be written down again and is understood the same, and holds
//! nothing by which one message could become two.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;

// The proxy's own parser, which its crate keeps to itself.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/weir-proxy/src/http1/mod.rs"]
mod http1;

use http1::request::RequestHead;
use http1::response::ResponseHead;
use http1::{Framing, head_end};

fuzz_target!(|data: &[u8]| {
    let [choice, bytes @ ..] = data else { return };
    let Some(end) = head_end(bytes, 0) else { return };
    // Found at the same place however the bytes come.
    for cut in 0..end {
        assert_eq!(head_end(&bytes[..cut], 0), None);
    }
    assert_eq!(head_end(bytes, usize::from(*choice).min(end)), Some(end));
    // Empty lines before a head are skipped by whoever reads it.
    if bytes.starts_with(b"\r") || bytes.starts_with(b"\n") {
        return;
    }
    request(bytes, end);
    let method = if choice & 1 == 0 { Method::GET } else { Method::HEAD };
    response(bytes, end, &method);
});

fn request(bytes: &[u8], end: usize) {
    let mut head = RequestHead::default();
    let Ok(read) = head.parse(bytes) else { return };
    assert_eq!(read, Some(end), "both ways to find the end agree");
    assert!(head.target.starts_with('/') && head.target.bytes().all(|b| b > b' ' && b != 0x7f));
    assert!(head.host.bytes().all(|b| b > b' ' && b != b'/' && b != b'@' && !b.is_ascii_uppercase()));
    check(&head.headers);
    let lengths = head.headers.get_all("content-length").count();
    let codings = head.headers.get_all("transfer-encoding").count();
    match head.framing {
        Framing::Chunked => assert_eq!((lengths, codings), (0, 1)),
        Framing::Length(_) => assert_eq!((lengths, codings), (1, 0)),
        Framing::None => assert!(lengths <= 1 && codings == 0),
        Framing::Close => panic!("a request's body ends before its connection does"),
    }
    let version = if head.http_11 { "1.1" } else { "1.0" };
    let again = written(&format!("{} {} HTTP/{version}", head.method, head.target), &head.headers);
    let mut same = RequestHead::default();
    same.parse(&again).unwrap();
    assert_eq!((&same.method, &same.target, &same.host), (&head.method, &head.target, &head.host));
    assert_eq!(
        (same.host_port, same.framing, same.keep_alive),
        (head.host_port, head.framing, head.keep_alive)
    );
    assert_eq!(same.expects_continue, head.expects_continue);
}

fn response(bytes: &[u8], end: usize, method: &Method) {
    let mut head = ResponseHead::default();
    let Ok(read) = head.parse(bytes, method) else { return };
    assert_eq!(read, Some(end), "both ways to find the end agree");
    check(&head.headers);
    if *method == Method::HEAD {
        assert_eq!(head.framing, Framing::None);
    }
    // Of a body that ends with the connection nothing can follow.
    assert!(head.framing != Framing::Close || !head.keep_alive);
    let again = written(&format!("HTTP/1.1 {} X", head.status.as_str()), &head.headers);
    let mut same = ResponseHead::default();
    same.parse(&again, method).unwrap();
    assert_eq!((same.status, same.framing), (head.status, head.framing));
}

/// No field's name or value can end its line, or begin another.
fn check(headers: &weir_plugin::Headers) {
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && *b != b':'), "{name:?}");
        assert!(!value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{value:?}");
    }
}

fn written(start: &str, headers: &weir_plugin::Headers) -> Vec<u8> {
    let mut out = format!("{start}\r\n").into_bytes();
    for (name, value) in headers.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}
