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
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use weir_mint::{Secret, Uuid};

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

    /// Whether everything that a first start mints is there.
    pub(super) fn has_keys(&self) -> bool {
        let all = [self.store_key(), self.certificate_key(), self.folder.join("node.id")];
        all.iter().all(|path| path.exists())
    }

    /// What the node calls itself: minted once.
    pub(super) fn node_id(&self) -> Result<String> {
        self.text_made_once("node.id", 0o644, || Ok(Uuid::v4()?.to_string()))
    }

    /// The Admin API's token: minted once.
    pub(super) fn admin_token(&self) -> Result<Secret> {
        let made =
            self.text_made_once("secrets/admin.token", 0o600, || Ok(weir_mint::key()?.expose().to_owned()))?;
        let path = self.folder.join("secrets/admin.token");
        tracing::info!("the Admin API asks for the token in {}", path.display());
        Ok(Secret::from(made))
    }

    /// The text in a file; made and written, if the file is not there.
    fn text_made_once(&self, name: &str, mode: u32, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let path = self.folder.join(name);
        let context = || path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let text = make()?;
        write_beside(&path, mode, format!("{text}\n").as_bytes()).with_context(context)?;
        Ok(text)
    }

    /// Writes where the gateway listens: whoever waits for this file finds it complete.
    pub(super) fn write_listeners(&self, listening: &Listening) -> Result<()> {
        let text = serde_json::to_vec_pretty(listening)?;
        let path = self.listeners();
        write_beside(&path, 0o644, &text).with_context(|| path.display().to_string())
    }

    /// The gateway listens no longer.
    pub(super) fn remove_listeners(&self) {
        let _ = fs::remove_file(self.listeners());
    }
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it.
fn write_beside(path: &Path, mode: u32, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    // What an interrupted start left behind may have another mode.
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
