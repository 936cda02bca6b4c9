//! Handshakes from the kernel's pool: aws-lc's cryptography, with every random value and every ephemeral key drawn from
//! weir-kernel.
//!
//! aws-lc keeps a generator of its own, whose state a snapshot of a machine copies. So the keys of the Diffie-Hellman
//! exchanges are drawn from the kernel and handed to it. No draw of ours waits, as that would hold up a whole worker: nobody
//! begins a handshake before the kernel's generator is ready. These draws stay inside aws-lc: keys and encapsulations of ML-KEM,
//! which is only ever combined with an X25519 exchange of ours (draft-ietf-tls-ecdhe-mlkem), and ECDSA's nonce, into
//! which aws-lc mixes the key and the message.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::agreement::{self, Algorithm, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kem::{self, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::{Error, NamedGroup, ProtocolVersion};
use weir_kernel::Purpose;
use zeroize::Zeroizing;

/// The cryptography of all handshakes.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider {
            kx_groups: vec![&Hybrid, &Curve::X25519, &Curve::P256, &Curve::P384],
            secure_random: &Kernel,
            ..rustls::crypto::aws_lc_rs::default_provider()
        })
    });
    Arc::clone(&PROVIDER)
}

/// The kernel's generator.
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        weir_kernel::try_fill_for(Purpose::Tls, bytes).map_err(|_| GetRandomFailed)
    }
}

/// An elliptic curve.
#[derive(Clone, Copy, Debug)]
enum Curve {
    X25519,
    P256,
    P384,
}

impl Curve {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::X25519 => &agreement::X25519,
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
        }
    }

    /// How long a private key is, in bytes.
    fn key_len(self) -> usize {
        match self {
            Self::X25519 | Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    fn generate(self) -> Result<Ephemeral, Error> {
        let mut bytes = Zeroizing::new([0; 48]);
        let bytes = &mut bytes[..self.key_len()];
        // Of the curves' private keys, all but one in 2^32 strings of their length are good; the others are drawn again.
        for _ in 0..8 {
            weir_kernel::try_fill_for(Purpose::Tls, bytes).map_err(|_| Error::FailedToGetRandomBytes)?;
            let Ok(private) = PrivateKey::from_private_key(self.algorithm(), bytes) else { continue };
            let public = private.compute_public_key().map_err(|_| broken())?;
            return Ok(Ephemeral { curve: self, private, public: public.as_ref().to_vec() });
        }
        Err(Error::FailedToGetRandomBytes)
    }
}

impl SupportedKxGroup for Curve {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.generate()?))
    }

    fn name(&self) -> NamedGroup {
        match self {
            Self::X25519 => NamedGroup::X25519,
            Self::P256 => NamedGroup::secp256r1,
            Self::P384 => NamedGroup::secp384r1,
        }
    }
}

/// A key for one handshake.
struct Ephemeral {
    curve: Curve,
    private: PrivateKey,
    public: Vec<u8>,
}

impl Ephemeral {
    fn agree(&self, peer: &[u8]) -> Result<Vec<u8>, Error> {
        // A point in another form than the uncompressed one is not TLS 1.3's (RFC 8446, 4.2.8.2).
        if !matches!(self.curve, Curve::X25519) && peer.first() != Some(&4) {
            return Err(invalid_share());
        }
        let peer = UnparsedPublicKey::new(self.curve.algorithm(), peer);
        agreement::agree(&self.private, peer, invalid_share(), |secret| Ok(secret.to_vec()))
    }
}

impl ActiveKeyExchange for Ephemeral {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.agree(peer).map(SharedSecret::from)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        self.curve.name()
    }
}

/// X25519MLKEM768: ML-KEM-768 first, X25519 second, in the shares as in the secret.
#[derive(Debug)]
struct Hybrid;

/// How long an encapsulation key of ML-KEM-768 is (FIPS 203, table 3).
const ML_KEM_KEY: usize = 1184;
/// How long a ciphertext of ML-KEM-768 is (FIPS 203, table 3).
const ML_KEM_CIPHERTEXT: usize = 1088;

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = Curve::X25519.generate()?;
        let decapsulation = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| broken())?;
        let key =
            decapsulation.encapsulation_key().and_then(|key| key.key_bytes().map(|b| b.as_ref().to_vec()));
        let mut public = key.map_err(|_| broken())?;
        public.extend_from_slice(&classical.public);
        Ok(Box::new(HybridKey { classical, decapsulation, public }))
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (key, point) = peer.split_at_checked(ML_KEM_KEY).ok_or_else(invalid_share)?;
        let classical = Curve::X25519.generate()?;
        let classical_secret = Zeroizing::new(classical.agree(point)?);
        let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| invalid_share())?;
        let (ciphertext, secret) = key.encapsulate().map_err(|_| broken())?;
        let mut public = ciphertext.as_ref().to_vec();
        public.extend_from_slice(&classical.public);
        let secret = join(secret.as_ref(), &classical_secret);
        Ok(CompletedKeyExchange { group: NamedGroup::X25519MLKEM768, pub_key: public, secret })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// Both keys of a hybrid exchange that this side began.
struct HybridKey {
    classical: Ephemeral,
    decapsulation: DecapsulationKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for HybridKey {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, point) = peer.split_at_checked(ML_KEM_CIPHERTEXT).ok_or_else(invalid_share)?;
        let classical_secret = Zeroizing::new(self.classical.agree(point)?);
        let ciphertext = kem::Ciphertext::from(ciphertext);
        let secret = self.decapsulation.decapsulate(ciphertext).map_err(|_| invalid_share())?;
        Ok(join(secret.as_ref(), &classical_secret))
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((NamedGroup::X25519, &self.classical.public))
    }

    fn complete_hybrid_component(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.agree(peer).map(SharedSecret::from)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

fn join(post_quantum: &[u8], classical: &[u8]) -> SharedSecret {
    SharedSecret::from([post_quantum, classical].concat())
}

fn invalid_share() -> Error {
    rustls::PeerMisbehaved::InvalidKeyShare.into()
}

fn broken() -> Error {
    Error::General("key exchange failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(client: &dyn SupportedKxGroup, server: &dyn SupportedKxGroup) {
        let begun = client.start().unwrap();
        let share = begun.pub_key().to_vec();
        let done = server.start_and_complete(&share).unwrap();
        let secret = begun.complete(&done.pub_key).unwrap();
        assert_eq!(secret.secret_bytes(), done.secret.secret_bytes());
        assert!(secret.secret_bytes().iter().any(|b| *b != 0));
        for bad in [&share[1..], &[], &[0; 32]] {
            assert!(server.start_and_complete(bad).is_err(), "{:?}", server.name());
        }
    }

    #[test]
    fn both_sides_agree_with_each_other_and_with_rustls() {
        use rustls::crypto::aws_lc_rs::kx_group as theirs;
        let groups: [(&dyn SupportedKxGroup, &dyn SupportedKxGroup); 4] = [
            (&Hybrid, theirs::X25519MLKEM768),
            (&Curve::X25519, theirs::X25519),
            (&Curve::P256, theirs::SECP256R1),
            (&Curve::P384, theirs::SECP384R1),
        ];
        for (ours, theirs) in groups {
            assert_eq!(ours.name(), theirs.name());
            exchange(ours, ours);
            exchange(ours, theirs);
            exchange(theirs, ours);
        }
    }

    #[test]
    fn no_key_is_used_twice() {
        let keys: Vec<Vec<u8>> = (0..4).map(|_| Hybrid.start().unwrap().pub_key().to_vec()).collect();
        assert!((1..4).all(|i| keys[i] != keys[0] && keys[i][ML_KEM_KEY..] != keys[0][ML_KEM_KEY..]));
    }
}
