//! The certificate that listeners show, which can be replaced while they listen.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;
use super::provider::provider;

/// The certificate in force. Handshakes that begin after a replacement show the new one; connections stay as they are.
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    /// Puts a certificate in force.
    ///
    /// # Errors
    /// When its key cannot be used, or belongs to another certificate.
    pub fn new(identity: &Identity) -> Result<Arc<Self>, rustls::Error> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(certified(identity)?))))
    }

    /// Replaces the certificate in force.
    ///
    /// # Errors
    /// As [`Certificate::new`]; the one before stays in force then.
    pub fn replace(&self, identity: &Identity) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(certified(identity)?));
        Ok(())
    }
}

fn certified(identity: &Identity) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(identity.chain(), identity.key(), &provider())
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
