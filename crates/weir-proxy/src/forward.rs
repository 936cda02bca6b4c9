//! The request as the service gets it: who it comes from, without what was meant for this gateway alone.

use std::net::IpAddr;

use weir_plugin::{Client, Ctx, Headers};

use crate::config::Target;
use crate::http1::Framing;
use crate::settings::Settings;

/// How this gateway names itself to those on either side of it (RFC 9110, 7.6.3).
pub(crate) const VIA: &str = concat!("1.1 weir/", env!("CARGO_PKG_VERSION"));

/// The client behind a trusted peer, as the peer tells it.
pub(crate) fn real_ip(client: &Client, headers: &Headers, settings: &Settings) -> Option<IpAddr> {
    let name = settings.real_ip_header.as_str();
    // A field may come several times, and hold a list each time: the last address is the nearest.
    let mut addresses: Vec<IpAddr> = Vec::new();
    for value in headers.get_all(name) {
        for part in std::str::from_utf8(value).ok()?.split(',') {
            addresses.push(parse_address(part.trim())?);
        }
    }
    let mut nearest = addresses.into_iter().rev();
    let mut found = nearest.next()?;
    if settings.real_ip_recursive {
        while settings.trusts(found) {
            match nearest.next() {
                Some(next) => found = next,
                None => break,
            }
        }
    }
    (found != client.ip).then_some(found)
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let (host, _) = weir_model::schema::types::split_port(text);
    host.parse().ok()
}

/// Removes the fields that the client's Connection field names: they end here (RFC 9110, 7.6.1). Done before plugins
/// run, so that a client cannot have a field removed that a plugin sets.
pub(crate) fn drop_connection_named(headers: &mut Headers) {
    let ordinary = |name: &[u8]| {
        [&b"keep-alive"[..], b"close", b"upgrade", b"te", b""]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    };
    let mut named: Vec<String> = Vec::new();
    for value in headers.get_all("Connection") {
        for name in value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|name| !ordinary(name)) {
            named.extend(std::str::from_utf8(name).ok().map(str::to_owned));
        }
    }
    for name in named {
        headers.remove(&name);
    }
}

/// What the head of the forwarded request depends on besides its context.
pub(crate) struct Onward<'a> {
    pub(crate) target: &'a Target,
    pub(crate) settings: &'a Settings,
    pub(crate) framing: Framing,
    /// What was cut off the front of the path.
    pub(crate) prefix: Option<&'a str>,
    pub(crate) preserve_host: bool,
    /// Whether the client asked to switch to WebSocket, and may.
    pub(crate) websocket: bool,
}

/// Writes the head of the forwarded request.
pub(crate) fn write_head(out: &mut Vec<u8>, ctx: &Ctx<'_>, onward: &Onward<'_>) {
    let client = ctx.client;
    let trusted = |name: &str| if client.trusted { ctx.headers.get(name) } else { None };
    out.extend_from_slice(ctx.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(ctx.upstream_target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    match ctx.headers.get("Host") {
        Some(host) if onward.preserve_host => out.extend_from_slice(host),
        _ => out.extend_from_slice(onward.target.authority.as_bytes()),
    }
    out.extend_from_slice(if onward.websocket {
        b"\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: "
    } else {
        b"\r\nConnection: keep-alive\r\nX-Forwarded-For: "
    });
    for value in ctx.headers.get_all("X-Forwarded-For") {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(client.peer_text.as_bytes());
    put(out, "X-Forwarded-Proto", trusted("X-Forwarded-Proto").unwrap_or(client.scheme.as_str().as_bytes()));
    put(out, "X-Forwarded-Host", trusted("X-Forwarded-Host").unwrap_or(ctx.host.as_bytes()));
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    match trusted("X-Forwarded-Port") {
        Some(port) => out.extend_from_slice(port),
        None => out.extend_from_slice(itoa::Buffer::new().format(client.port).as_bytes()),
    }
    put(out, "X-Forwarded-Path", trusted("X-Forwarded-Path").unwrap_or(ctx.path().as_bytes()));
    if let Some(prefix) = trusted("X-Forwarded-Prefix").or(onward.prefix.map(str::as_bytes)) {
        put(out, "X-Forwarded-Prefix", prefix);
    }
    put(out, "X-Real-IP", client.ip_text.as_bytes());
    if onward.settings.headers.request_id_upstream {
        put(out, "X-Kong-Request-Id", ctx.id.as_bytes());
    }
    if onward.settings.headers.via {
        out.extend_from_slice(b"\r\nVia: ");
        for before in ctx.headers.get_all("Via") {
            out.extend_from_slice(before);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(VIA.as_bytes());
    }
    match onward.framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"\r\nContent-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"\r\nTransfer-Encoding: chunked"),
        Framing::None if ctx.headers.contains("Content-Length") => {
            out.extend_from_slice(b"\r\nContent-Length: 0")
        }
        Framing::None | Framing::Close => {}
    }
    out.extend_from_slice(b"\r\n");
    let via = onward.settings.headers.via;
    ctx.headers.write(out, |name, value| goes_on(name, value, via));
    out.extend_from_slice(b"\r\n");
}

/// Adds a field after the end of the line before it.
fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
}

/// Whether a client's field goes on to the service as it is: not those of the connection, nor those that are written
/// anew. Decided by length first, as most names match none.
fn goes_on(name: &[u8], value: &[u8], via: bool) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    !match name.len() {
        // Only one of its values means something beyond the connection.
        2 => is("te") && !value.eq_ignore_ascii_case(b"trailers"),
        3 => is("via") && via,
        4 => is("host"),
        // A program that takes its surroundings from header fields would take this one for a proxy to use.
        5 => is("proxy"),
        6 => is("expect"),
        7 => is("upgrade"),
        9 => is("x-real-ip"),
        10 => is("connection") || is("keep-alive"),
        14 => is("content-length"),
        15 => is("x-forwarded-for"),
        16 => {
            is("x-forwarded-host")
                || is("x-forwarded-port")
                || is("x-forwarded-path")
                || is("proxy-connection")
        }
        17 => is("x-forwarded-proto") || is("transfer-encoding") || is("x-kong-request-id"),
        18 => is("x-forwarded-prefix"),
        _ => false,
    }
}
