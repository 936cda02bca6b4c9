//! Host keys of a host that one cannot log in to, by the system's own `ssh-keyscan`.
//!
//! It knows neither ssh's configuration nor its jump hosts: the name has to be one that resolves, or an address.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::ssh::{Host, Ssh, SshError};

use super::bundle;
use super::key::PublicKey;

const MOST_BYTES: usize = 256 << 10;

/// The keys that a host shows to whoever connects.
///
/// # Errors
/// Why there are none, in words.
pub(super) fn scan(program: &OsStr, ssh: &Ssh, host: &Host) -> Result<Vec<PublicKey>, String> {
    let seconds = ssh.connect.as_secs().max(1).to_string();
    let port = host.port().unwrap_or(22).to_string();
    let child = Command::new(program)
        .args(["-T", &seconds, "-p", &port, "-t", "rsa,ecdsa,ed25519", "--", host.name()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.map_err(|error| {
        SshError::Start { program: program.to_string_lossy().into_owned(), error }.to_string()
    })?;
    let answer = ssh.talk(child, &[], MOST_BYTES).map_err(|error| error.to_string())?;
    let mut keys = Vec::new();
    for found in bundle::parse(&answer.output).found {
        if !keys.contains(&found.key) {
            keys.push(found.key);
        }
    }
    match (keys.is_empty(), answer.message.is_empty()) {
        (false, _) => Ok(keys),
        (true, true) => Err("it shows no host key".to_owned()),
        (true, false) => Err(answer.message),
    }
}
