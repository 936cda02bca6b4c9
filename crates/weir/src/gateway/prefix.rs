//! The folder that a gateway keeps its things in.
//!
//! ```text
//! PREFIX/weir.db             entities (with -wal and -shm while it runs)
//! PREFIX/node.id             what the node calls itself
//! PREFIX/secrets/store.key   opens the secrets in the database
//! PREFIX/secrets/admin.token what the Admin API asks for, where it asks
//! PREFIX/ssl/                the certificate of the first start
//! PREFIX/run/weir.lock       held by the running gateway
//! PREFIX/run/listeners.json  where it listens
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use weir_mint::{Secret, Uuid};

/// What the Admin API asks for, where it asks.
const ADMIN_TOKEN: &str = "secrets/admin.token";

/// What the node calls itself.
const NODE_ID: &str = "node.id";

/// A gateway's folder.
pub(crate) struct Prefix {
    folder: PathBuf,
}

/// Where a gateway listens.
#[derive(Serialize)]
pub(crate) struct Listening {
    pub(crate) proxy: Vec<SocketAddr>,
    pub(crate) proxy_ssl: Vec<SocketAddr>,
    pub(crate) admin: Vec<SocketAddr>,
    pub(crate) admin_ssl: Vec<SocketAddr>,
    pub(crate) status: Vec<SocketAddr>,
    pub(crate) status_ssl: Vec<SocketAddr>,
}

impl Prefix {
    /// The folder, made if it is not there. Only its owner may look into it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let prefix = Self { folder: folder.to_owned() };
        for part in ["", "run", "secrets", "ssl"] {
            let path = if part.is_empty() { folder.to_owned() } else { folder.join(part) };
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.with_context(|| format!("the prefix: {}", path.display()))?;
        }
        Ok(prefix)
    }

    /// The folder, whether it is there or not.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("run/weir.lock")
    }

    pub(crate) fn listeners(&self) -> PathBuf {
        self.folder.join("run/listeners.json")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("weir.db")
    }

    pub(super) fn store_key(&self) -> PathBuf {
        self.folder.join("secrets/store.key")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("ssl/self-signed.crt")
    }

    pub(super) fn certificate_key(&self) -> PathBuf {
        self.folder.join("ssl/self-signed.key")
    }

    /// The folder, from the root.
    pub(super) fn absolute(&self) -> PathBuf {
        std::path::absolute(&self.folder).unwrap_or_else(|_| self.folder.clone())
    }

    /// Which of the files that a start makes at need are not there.
    pub(super) fn missing(&self) -> Vec<PathBuf> {
        let all = [
            self.database(),
            self.store_key(),
            self.folder.join(ADMIN_TOKEN),
            self.certificate(),
            self.certificate_key(),
        ];
        all.into_iter().filter(|path| !path.exists()).collect()
    }

    /// Whether a file is missing that holds something minted: a key, an id, and where they are asked for the Admin API's token
    /// and the certificate.
    pub(super) fn must_mint(&self, admin_token: bool, certificate: bool) -> bool {
        let token = admin_token.then(|| self.folder.join(ADMIN_TOKEN));
        let pair = certificate.then(|| [self.certificate(), self.certificate_key()]);
        let mut all = [self.store_key(), self.folder.join(NODE_ID)].into_iter();
        let more = token.into_iter().chain(pair.into_iter().flatten());
        all.any(|path| !path.exists()) || more.into_iter().any(|path| !path.exists())
    }

    /// What the node calls itself: minted once.
    pub(super) fn node_id(&self) -> Result<String> {
        let text = self.text_made_once(NODE_ID, 0o644, || Ok(Secret::new(Uuid::v4()?.to_string())))?;
        Ok(text.expose().to_owned())
    }

    /// The Admin API's token: minted once.
    pub(super) fn admin_token(&self) -> Result<Secret> {
        let token = self.text_made_once(ADMIN_TOKEN, 0o600, || Ok(weir_mint::key()?))?;
        tracing::info!("the Admin API asks for the token in {}", self.folder.join(ADMIN_TOKEN).display());
        Ok(token)
    }

    /// The text in a file; made and written, if the file is not there. It may be a secret, of which nothing is left behind.
    fn text_made_once(&self, name: &str, mode: u32, make: impl FnOnce() -> Result<Secret>) -> Result<Secret> {
        let path = self.folder.join(name);
        let context = || path.display().to_string();
        match fs::read_to_string(&path).map(Secret::new) {
            Ok(text) if !text.expose().trim().is_empty() => {
                let found = fs::metadata(&path).with_context(context)?.permissions().mode();
                if found & !mode & 0o077 != 0 {
                    bail!("{0}: others than its owner can read it: chmod {mode:o} {0}", path.display());
                }
                return Ok(Secret::new(text.expose().trim().to_owned()));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let text = make()?;
        write_beside(&path, mode, &[text.expose().as_bytes(), b"\n"]).with_context(context)?;
        Ok(text)
    }

    /// Writes where the gateway listens: whoever waits for this file finds it complete.
    pub(super) fn write_listeners(&self, listening: &Listening) -> Result<()> {
        let text = serde_json::to_vec_pretty(listening)?;
        let path = self.listeners();
        write_beside(&path, 0o644, &[&text]).with_context(|| path.display().to_string())
    }

    /// The gateway listens no longer.
    pub(super) fn remove_listeners(&self) {
        let _ = fs::remove_file(self.listeners());
    }
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it.
fn write_beside(path: &Path, mode: u32, pieces: &[&[u8]]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    // What an interrupted start left behind may have another mode.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece))?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
