//! Addresses to listen on, as kong.conf writes them: `127.0.0.1:8000, 127.0.0.1:8443 ssl http2 backlog=1024`.

use std::net::SocketAddr;

use weir_proxy::Listen;

/// How many connections the kernel keeps waiting where nobody says: as many as Kong asks for.
const BACKLOG: u32 = 16_384;

/// Reads a list of addresses; `off` stands for none.
///
/// # Errors
/// What is wrong.
pub(crate) fn parse(text: &str) -> Result<Vec<Listen>, String> {
    if text == "off" {
        return Ok(Vec::new());
    }
    let list: Vec<Listen> = text.split(',').map(str::trim).map(one).collect::<Result<_, _>>()?;
    for (at, listen) in list.iter().enumerate() {
        let port = listen.address.port();
        if port != 0 && list[..at].iter().any(|other| other.address == listen.address) {
            return Err(format!("{} is there twice", listen.address));
        }
    }
    Ok(list)
}

fn one(text: &str) -> Result<Listen, String> {
    let mut words = text.split_whitespace();
    let address = words.next().unwrap_or_default();
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("'{address}' is no address such as 127.0.0.1:8000 or [::1]:8000"))?;
    let mut listen = Listen { address, tls: false, http2: false, backlog: BACKLOG };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("ssl", "") => listen.tls = true,
            ("http2", "") => listen.http2 = true,
            ("backlog", count) => {
                listen.backlog = count.parse().map_err(|_| format!("backlog={count} is no number"))?;
            }
            // True of every listener here, or without effect on what clients see.
            ("reuseport" | "bind" | "deferred", "") | ("ipv6only" | "so_keepalive", _) => {}
            ("proxy_protocol", _) => return Err("proxy_protocol is not in this version".to_owned()),
            _ => return Err(format!("'{word}' is nothing that a listener can be")),
        }
    }
    Ok(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_they_speak() {
        let list = parse("0.0.0.0:8000 reuseport backlog=16, [::1]:8443 http2 ssl").unwrap();
        assert_eq!((list[0].tls, list[0].http2, list[0].backlog), (false, false, 16));
        assert_eq!(
            (list[1].tls, list[1].http2, list[1].address.to_string().as_str()),
            (true, true, "[::1]:8443")
        );
        assert!(parse("off").unwrap().is_empty());
        for bad in [
            "",
            "8000",
            "localhost:8000",
            "1.2.3.4:8000 tls",
            "1.2.3.4:8000, 1.2.3.4:8000 ssl",
            "1.2.3.4:8000 proxy_protocol",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("127.0.0.1:0, 127.0.0.1:0 ssl").unwrap().len(), 2);
    }
}
