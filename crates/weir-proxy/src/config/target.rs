//! A service with what is worked out of it once, so that no request has to.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use weir_model::typed::Service;

/// A service, ready to be sent requests.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) service: Service,
    /// What the Host field of its requests says.
    pub(crate) authority: Box<str>,
    /// Where it is, if its host is an address and no name.
    pub(crate) address: Option<SocketAddr>,
    /// With TLS: the server name to ask for, and whether the certificate is verified.
    pub(crate) tls: Option<(Arc<str>, bool)>,
}

impl Target {
    pub(crate) fn new(service: Service) -> Self {
        let host = &*service.host;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut authority = match bare.contains(':') {
            true => format!("[{bare}]"),
            false => host.to_owned(),
        };
        if service.port != service.protocol.default_port() {
            // Writing to a String cannot fail.
            let _ = write!(authority, ":{}", service.port);
        }
        let address = bare.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, service.port));
        let tls = service.protocol.is_tls().then(|| (Arc::from(bare), service.tls_verify));
        Self { authority: authority.into(), address, tls, service }
    }
}
