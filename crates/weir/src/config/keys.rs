//! The one list of what can be configured. `weir check --keys` shows it, docs/configuration.md names each.

/// A key of the configuration.
pub(crate) struct Definition {
    /// Its name in the file; in the environment it is upper case after `WEIR_`.
    pub(crate) name: &'static str,
    /// Other names that it goes by.
    pub(crate) also: &'static [&'static str],
    /// What it is when nobody says.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
}

macro_rules! keys {
    ($($name:ident $(| $also:ident)* = $default:literal: $about:literal;)*) => {
        /// Every key.
        pub(crate) static KEYS: &[Definition] = &[$(Definition {
            name: stringify!($name),
            also: &[$(stringify!($also)),*],
            default: $default,
            about: $about,
        }),*];
    };
}

keys! {
    prefix = "./weir-data":
        "Where the gateway keeps its database, keys, certificate and pid.";
    database = "sqlite":
        "Where entities live. This version knows sqlite, a file below the prefix.";
    proxy_listen = "127.0.0.1:8000, 127.0.0.1:8443 http2 ssl":
        "Where clients are served: addresses, each with ssl, http2, backlog=N; off for none.";
    admin_listen = "127.0.0.1:8001, 127.0.0.1:8444 ssl":
        "Where the Admin API is served. Beyond loopback it asks for a token or a client certificate.";
    status_listen = "127.0.0.1:8007":
        "Where /status, /status/ready, /metrics and /randomness are served, for monitors. It changes nothing and asks for nothing.";
    admin_auth = "auto":
        "Who may use the Admin API: auto (anyone on loopback; elsewhere a token or certificate), token (a token everywhere), off (loopback only).";
    admin_token = "":
        "The token that the Admin API asks for in Kong-Admin-Token. Minted at the first need, in PREFIX/secrets/admin.token, if it is not set.";
    admin_client_ca = "":
        "Certificates (PEM) of the authorities whose clients may use the Admin API over ssl.";
    admin_hosts = "":
        "Names under which the Admin API may be asked for on loopback, besides localhost and loopback addresses.";
    admin_origins = "":
        "Origins whose pages may use the Admin API from a browser, besides this machine's own; * for all, which lets any website change the gateway.";
    secrets_at_rest = "encrypted":
        "How secrets are kept in the database: encrypted; digest (API keys and tokens as digests, which are shown once and never again); plain (as Kong keeps them: whoever has the database has them).";
    api_key_kind = "":
        "What minted API keys open, such as shop: they are then weir_shop_… with a checksum, which secret scanners recognise (docs/tokens.md). Letters and digits alone if it is not set.";
    auth_lockout_attempts = "0":
        "After so many failed attempts to authenticate, an address (of IPv6: a /64) is answered 429; 0 for never.";
    auth_lockout_window = "60":
        "Seconds within which the failed attempts must be.";
    auth_lockout_duration = "300":
        "Seconds for which the address is answered 429.";
    log_level = "notice":
        "What is logged: debug, info, notice, warn, error, crit.";
    plugins = "bundled":
        "The plugins that entities may name: bundled, off, or a list of names.";
    router_flavor = "traditional_compatible":
        "How routes are found: traditional_compatible, for which traditional is taken too.";
    nginx_worker_processes | workers = "auto":
        "How many threads serve requests: auto is one for each processor.";
    ssl_cert = "":
        "The certificate (PEM, with its chain) of the ssl listeners. Self-signed, made at the first start, if it is not set.";
    ssl_cert_key = "":
        "The key (PEM) that belongs to ssl_cert.";
    trusted_ips = "":
        "Addresses and networks of peers that are believed when they say who they speak for.";
    real_ip_header | nginx_proxy_real_ip_header = "X-Real-IP":
        "The header field in which trusted peers say who they speak for.";
    real_ip_recursive | nginx_proxy_real_ip_recursive = "off":
        "Whether trusted addresses in that field are skipped, from the last to the first.";
    headers = "server_tokens, latency_tokens, X-Kong-Request-Id":
        "Header fields added to answers: server_tokens, latency_tokens, Server, Via, X-Kong-Proxy-Latency, X-Kong-Response-Latency, X-Kong-Upstream-Latency, X-Kong-Upstream-Status, X-Kong-Request-Id; off for none.";
    headers_upstream = "X-Kong-Request-Id":
        "Header fields added to requests on their way to services: X-Kong-Request-Id; off for none.";
    error_template_html = "":
        "A page for errors, for those who accept HTML: %s stands for the message, a second %s for the request's id.";
    error_template_json = "":
        "The same for those who accept JSON.";
    error_template_xml = "":
        "The same for those who accept XML.";
    error_template_plain = "":
        "The same for those who accept plain text.";
    client_max_body_size | nginx_http_client_max_body_size = "0":
        "The longest body of a request, such as 10m; 0 for no limit.";
    client_body_buffer_size | nginx_http_client_body_buffer_size = "1m":
        "How much of a request's body is kept in memory when a plugin reads it, or when its length is not known beforehand.";
    client_header_timeout = "60":
        "Seconds for a request's head to arrive.";
    client_body_timeout = "60":
        "Seconds between two pieces of a request's body.";
    client_keepalive_timeout = "75":
        "Seconds that a client's connection may wait for the next request.";
    send_timeout = "60":
        "Seconds between two pieces of an answer that the client takes.";
    upstream_keepalive_pool_size = "512":
        "How many connections to one address a worker keeps for later requests; 0 keeps none.";
    upstream_keepalive_max_requests = "10000":
        "How many requests go over one of them; 0 for no limit.";
    upstream_keepalive_idle_timeout = "60":
        "Seconds that one of them waits.";
    shutdown_timeout = "30":
        "Seconds that requests under way have to end when the gateway is told to stop.";
}

/// Keys of kong.conf that have no meaning here: families by how they begin, and single ones.
const KONGS_FAMILIES: &[&str] = &[
    "lua_",
    "nginx_",
    "pg_",
    "db_",
    "cluster_",
    "dns_",
    "resolver_",
    "worker_",
    "admin_gui_",
    "admin_ssl_",
    "status_ssl_",
    "ssl_",
    "proxy_stream_",
    "proxy_error_",
    "admin_error_",
    "admin_access_",
    "proxy_access_",
    "status_access_",
    "status_error_",
    "tracing_",
    "opentelemetry_",
    "wasm",
    "vault_",
    "plugin_",
    "router_",
    "client_ssl",
    "role",
    "node_id",
    "anonymous_",
    "declarative_",
    "stream_listen",
    "mem_",
    "untrusted_",
    "vaults",
    "lmdb_",
    "debug_",
    "allow_debug_",
    "request_debug",
    "port_maps",
    "error_default_type",
    "latency_tokens",
    "openresty_",
    "pluginserver_",
    "dedicated_",
    "kic",
    "keyring_",
    "legacy_",
    "control_plane",
    "events_",
    "proxy_server",
    "new_dns_client",
    "host_ports",
    "admin_api_uri",
    "concurrency_limit",
];

/// Of Kong's keys, those that change what a gateway does: whoever moves here should know. Each with the values that mean
/// what holds here anyway, and what that is.
const KONGS_EFFECTIVE: &[(&str, &[&str], &str)] = &[
    (
        "lua_ssl_trusted_certificate",
        &["", "system"],
        "services' certificates are verified against this machine's authorities, or those in SSL_CERT_FILE",
    ),
    ("admin_ssl_cert", &[""], "the ssl addresses of admin_listen show ssl_cert"),
    ("status_ssl_cert", &[""], "the ssl addresses of status_listen show ssl_cert"),
    ("stream_listen", &["", "off"], "nothing listens there, since TCP and UDP streams are not proxied"),
    ("client_ssl", &["", "off"], "services are shown no certificate of this gateway"),
    ("ssl_protocols", &["", "TLSv1.2 TLSv1.3"], "clients speak TLS 1.2 or 1.3"),
    ("role", &["", "traditional"], "this node has its own database and Admin API"),
    ("declarative_config", &[""], "entities come from the Admin API"),
];

/// What a name turns out to be.
pub(crate) enum Key {
    /// One of ours.
    Ours(&'static Definition),
    /// One of Kong's that has no meaning here.
    KongsOnly,
    /// Nothing, and what was probably meant.
    Unknown(Option<&'static str>),
}

/// Looks a name up.
pub(crate) fn find(name: &str) -> Key {
    let ours = KEYS.iter().find(|key| key.name == name || key.also.contains(&name));
    if let Some(definition) = ours {
        return Key::Ours(definition);
    }
    let close = KEYS
        .iter()
        .map(|key| (distance(name, key.name), key.name))
        .filter(|(distance, key)| *distance <= 3 && *distance * 3 <= key.len())
        .min();
    // A slip of the pen in one of ours may look like one of Kong's: the closer one is meant.
    match close {
        Some((1 | 2, meant)) => Key::Unknown(Some(meant)),
        _ if KONGS_FAMILIES.iter().any(|family| name.starts_with(family)) => Key::KongsOnly,
        close => Key::Unknown(close.map(|(_, meant)| meant)),
    }
}

/// What holds here instead, if a key of Kong's alone would have changed with this value what its gateway does.
pub(crate) fn instead(name: &str, value: &str) -> Option<&'static str> {
    let (_, harmless, instead) = KONGS_EFFECTIVE.iter().find(|(key, ..)| *key == name)?;
    (!harmless.contains(&value.trim())).then_some(*instead)
}

/// The definition of a key that is in the list.
pub(crate) fn definition(name: &str) -> &'static Definition {
    static NOTHING: Definition = Definition { name: "", also: &[], default: "", about: "" };
    KEYS.iter().find(|key| key.name == name).unwrap_or(&NOTHING)
}

/// How many letters have to be put in, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let changed = before + usize::from(ca != *cb);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert!(matches!(find("prefix"), Key::Ours(d) if d.name == "prefix"));
        assert!(matches!(find("workers"), Key::Ours(d) if d.name == "nginx_worker_processes"));
        assert!(matches!(find("admin_listem"), Key::Unknown(Some("admin_listen"))));
        assert!(matches!(find("pg_password"), Key::KongsOnly));
        assert!(matches!(find("ssl_certt"), Key::Unknown(Some("ssl_cert"))));
        assert!(matches!(find("qwertyuiop"), Key::Unknown(None)));
        for name in
            ["proxy_server_ssl_verify", "new_dns_client", "host_ports", "admin_api_uri", "concurrency_limit"]
        {
            assert!(matches!(find(name), Key::KongsOnly), "{name}");
        }
    }

    #[test]
    fn what_kongs_keys_did_is_said_unless_it_holds_anyway() {
        for (name, harmless, _) in KONGS_EFFECTIVE {
            assert!(matches!(find(name), Key::KongsOnly), "{name}");
            assert!(harmless.iter().all(|value| instead(name, value).is_none()), "{name}");
            assert!(instead(name, "something else").is_some(), "{name}");
        }
        assert_eq!(instead("pg_host", "db"), None);
    }

    #[test]
    fn every_key_is_described_once() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(key.about.ends_with('.'), "{}", key.name);
            assert!(KEYS[..at].iter().all(|other| other.name != key.name && !other.also.contains(&key.name)));
        }
    }

    #[test]
    fn every_key_is_in_the_documentation() {
        let page = include_str!("../../../../docs/configuration.md");
        for key in KEYS {
            for name in key.also.iter().chain([&key.name]) {
                assert!(page.contains(&format!("`{name}`")), "docs/configuration.md lacks {name}");
            }
            assert!(
                key.default.is_empty() || page.contains(&format!("| `{}` |", key.default)),
                "docs/configuration.md lacks the default of {}: {}",
                key.name,
                key.default
            );
        }
    }
}
