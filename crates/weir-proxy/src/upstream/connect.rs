//! New connections to services.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Failure;
use super::exchange::Connection;
use super::pool::Destination;
use crate::io::Upstream;
use crate::tls::ClientConfigs;

/// Connects, with a handshake where the destination speaks TLS.
pub(crate) async fn connect(
    to: &Destination,
    limit: Duration,
    tls: &ClientConfigs,
) -> Result<Box<Connection>, Failure> {
    let connecting = async {
        let stream = TcpStream::connect(to.address).await.map_err(Failure::Connect)?;
        // Requests are written whole; waiting for more to send along would only delay them.
        let _ = stream.set_nodelay(true);
        match &to.tls {
            None => Ok(Upstream::Plain(stream)),
            Some((name, verify)) => handshake(stream, name, *verify, tls).await,
        }
    };
    match timeout(limit, connecting).await {
        Ok(stream) => Ok(Box::new(Connection::new(stream?))),
        Err(_) => Err(Failure::Timeout),
    }
}

async fn handshake(
    stream: TcpStream,
    name: &Arc<str>,
    verify: bool,
    tls: &ClientConfigs,
) -> Result<Upstream, Failure> {
    let wrong = |error: String| Failure::Connect(io::Error::other(error));
    // A handshake draws, and what aws-lc draws would wait, with the whole worker.
    if !weir_kernel::is_ready() {
        return Err(wrong("the kernel's random number generator is not ready for TLS".to_owned()));
    }
    let server = ServerName::try_from(&**name).map_err(|error| wrong(error.to_string()))?.to_owned();
    let config = tls.get(verify).map_err(|error| wrong(error.to_string()))?;
    let stream = TlsConnector::from(config).connect(server, stream).await.map_err(Failure::Connect)?;
    Ok(Upstream::Tls(Box::new(stream)))
}
