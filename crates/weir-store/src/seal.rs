//! Secrets at rest.
//!
//! One key of 256 bits, drawn at the first start and kept in a file that only its owner may read, gives two keys: one
//! seals values (AES-256-GCM, NIST SP 800-38D, a nonce of 96 random bits for each), one makes the digests that secrets
//! are looked up by. A sealed value is bound to its place: moved to another entity or field, it does not open.
//!
//! A nonce is drawn for each value, so one key is good for 2^32 values (SP 800-38D, 8.3).

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use weir_kernel::Purpose;
use weir_mint::Digester;
use zeroize::Zeroizing;

use crate::{Digest, Error, Result};

/// What sealed values begin with; the number is the version of the scheme.
const PREFIX: &str = "weir:sealed:1:";

/// How secrets are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretsAtRest {
    /// Sealed: whoever has the database but not the key reads none.
    #[default]
    Encrypted,
    /// As digests, where a secret is only ever compared with what somebody shows; sealed where it has to be read again.
    Digest,
    /// As they are: whoever has the database has them.
    Plain,
}

impl SecretsAtRest {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Digest => "digest",
            Self::Plain => "plain",
        }
    }
}

/// Whether a text is a sealed value.
pub fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Seals and opens secrets, and makes the digests they are looked up by.
pub struct Sealer {
    path: PathBuf,
    seal: LessSafeKey,
    digester: Digester,
    check: [u8; 32],
}

impl Sealer {
    /// Reads the key from its file.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when it is not there, open to others, or no key.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::KeyFile { path: path.display().to_string(), why };
        let mut file = fs::File::open(path).map_err(|e| wrong(e.to_string()))?;
        let mode = file.metadata().map_err(|e| wrong(e.to_string()))?.mode();
        if mode & 0o077 != 0 {
            return Err(wrong(format!(
                "others may read it (mode {:03o}): chmod 600 {}",
                mode & 0o777,
                path.display()
            )));
        }
        let mut text = Zeroizing::new(String::new());
        Read::by_ref(&mut file).take(256).read_to_string(&mut text).map_err(|e| wrong(e.to_string()))?;
        let key = weir_mint::hex::decode(text.trim().as_bytes())
            .map(Zeroizing::new)
            .ok_or_else(|| wrong("it does not hold 64 hexadecimal digits".to_owned()))?;
        Ok(Self::new(&key, path))
    }

    /// Reads the key from its file, or draws one and writes the file if there is none.
    ///
    /// # Errors
    /// As [`Sealer::open`]; [`Error::Random`] when no key can be drawn.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::KeyFile { path: path.display().to_string(), why };
        let mut key = Zeroizing::new([0; 32]);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Self::open(path),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(mut file) => {
                let written = weir_kernel::fill_for(Purpose::Key, key.as_mut());
                let written = written.map_err(Error::from).and_then(|()| {
                    let mut text = Zeroizing::new(String::with_capacity(65));
                    key.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
                    text.push('\n');
                    file.write_all(text.as_bytes())
                        .and_then(|()| file.sync_all())
                        .map_err(|e| wrong(e.to_string()))
                });
                if let Err(error) = written {
                    // An empty or partial file would pass for a key file at the next start.
                    let _ = fs::remove_file(path);
                    return Err(error);
                }
            }
        }
        sync_parent(path).map_err(|e| wrong(e.to_string()))?;
        Ok(Self::new(&key, path))
    }

    /// A sealer with this key. `path` is named in errors.
    pub fn new(key: &[u8; 32], path: &Path) -> Self {
        let master = Digester::new(key);
        let seal_key = Zeroizing::new(master.derive("weir seal 1"));
        // AES_256_GCM takes exactly the 32 bytes that a derived key has.
        let unbound = UnboundKey::new(&AES_256_GCM, seal_key.as_ref()).unwrap_or_else(|_| unreachable!());
        Self {
            path: path.to_owned(),
            seal: LessSafeKey::new(unbound),
            digester: Digester::new(&Zeroizing::new(master.derive("weir digest 1"))),
            check: master.derive("weir check 1"),
        }
    }

    /// Where the key is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this key from others without telling anything about it.
    pub fn check(&self) -> &[u8; 32] {
        &self.check
    }

    /// Makes the digests that secrets are looked up by.
    pub fn digester(&self) -> &Digester {
        &self.digester
    }

    /// The digest that a secret is looked up by.
    pub fn digest(&self, secret: &str) -> Digest {
        self.digester.digest(secret.as_bytes())
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    /// [`Error::Random`] when no nonce can be drawn.
    pub fn seal(&self, place: &str, value: &str) -> Result<String> {
        let mut nonce = [0; NONCE_LEN];
        // It is drawn where other requests wait for the same thread: an error is better than a wait.
        weir_kernel::try_fill_for(Purpose::Key, &mut nonce)?;
        let mut bytes = Vec::with_capacity(NONCE_LEN + value.len() + AES_256_GCM.tag_len());
        bytes.extend_from_slice(value.as_bytes());
        self.seal
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut bytes)
            .map_err(|_| Error::Corrupt("a value is too long to be sealed".to_owned()))?;
        bytes.splice(0..0, nonce);
        Ok(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(bytes)))
    }

    /// Opens a sealed value at its place.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was not sealed with this key for this place.
    pub fn open_value(&self, place: &str, sealed: &str) -> Result<String> {
        let corrupt = || Error::Corrupt(format!("{place} does not open"));
        let text = sealed.strip_prefix(PREFIX).ok_or_else(corrupt)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| corrupt())?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(corrupt)?;
        let mut rest = rest.to_vec();
        let plain = self
            .seal
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut rest)
            .map_err(|_| corrupt())?;
        String::from_utf8(plain.to_vec()).map_err(|_| corrupt())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes a new file's name as durable as the file.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_at_its_place() {
        let sealer = Sealer::new(&[1; 32], Path::new("k"));
        let sealed = sealer.seal("a/1/key", "secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(sealer.open_value("a/1/key", &sealed).unwrap(), "secret");
        assert!(sealer.open_value("a/2/key", &sealed).is_err());
        assert!(Sealer::new(&[2; 32], Path::new("k")).open_value("a/1/key", &sealed).is_err());
        assert_ne!(sealer.seal("a/1/key", "secret").unwrap(), sealed);
    }

    #[test]
    fn nonces_are_counted_as_keys() {
        let keys = || weir_kernel::draws().of(Purpose::Key).draws;
        let before = keys();
        Sealer::new(&[1; 32], Path::new("k")).seal("a/1/key", "secret").unwrap();
        assert!(keys() > before);
    }

    #[test]
    fn a_key_file_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.key");
        let first = Sealer::open_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Sealer::open_or_create(&path).unwrap().check(), first.check());
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(Sealer::open(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.key");
        fs::write(&path, "zz").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(Sealer::open(&path), Err(Error::KeyFile { .. })));
    }
}
