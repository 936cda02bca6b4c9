//! Keys and identities that nearly every host has, and when they were made.
//!
//! Only names and times are looked at, and the comment of public keys; never a private key's content.

use super::root::{Fact, Meta, Root, Unknown};

/// What a file identifies or protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// A private key of the SSH server.
    SshHost,
    /// The private key of a TLS certificate.
    Tls,
    /// Any other private key.
    Secret,
    /// An identifier that should be this machine's alone and is no secret key.
    Identity,
}

/// A well-known key file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Where.
    pub path: String,
    /// What kind.
    pub kind: KeyKind,
    /// What the file system says; the time of its last change is taken for the time when it was made.
    pub meta: Fact<Meta>,
    /// For SSH host keys: the host name in the public key's comment, which is that of the machine where it was made.
    pub made_on: Option<String>,
}

const PLACES: &[(&str, KeyKind)] = &[
    ("/etc/ssh/ssh_host_rsa_key", KeyKind::SshHost),
    ("/etc/ssh/ssh_host_ecdsa_key", KeyKind::SshHost),
    ("/etc/ssh/ssh_host_ed25519_key", KeyKind::SshHost),
    ("/etc/ssh/ssh_host_dsa_key", KeyKind::SshHost),
    ("/etc/dropbear/dropbear_rsa_host_key", KeyKind::SshHost),
    ("/etc/dropbear/dropbear_ecdsa_host_key", KeyKind::SshHost),
    ("/etc/dropbear/dropbear_ed25519_host_key", KeyKind::SshHost),
    ("/etc/ssl/private/ssl-cert-snakeoil.key", KeyKind::Tls),
    ("/etc/pki/tls/private/localhost.key", KeyKind::Tls),
    ("/etc/kubernetes/pki/ca.key", KeyKind::Tls),
    ("/etc/kubernetes/pki/sa.key", KeyKind::Secret),
    ("/var/lib/systemd/credential.secret", KeyKind::Secret),
    ("/etc/bind/rndc.key", KeyKind::Secret),
    ("/etc/rndc.key", KeyKind::Secret),
    ("/etc/unbound/unbound_server.key", KeyKind::Tls),
    ("/etc/machine-id", KeyKind::Identity),
    ("/var/lib/dbus/machine-id", KeyKind::Identity),
    ("/etc/iscsi/initiatorname.iscsi", KeyKind::Identity),
    ("/etc/nvme/hostid", KeyKind::Identity),
];

/// Folders of which each matching file is a key.
const FOLDERS: &[(&str, &str, KeyKind)] = &[("/etc/wireguard", ".conf", KeyKind::Secret)];

/// The keys that are there, and those places that could not be looked at.
pub(super) fn known_keys(root: &Root) -> Vec<KnownKey> {
    let single = PLACES.iter().map(|(path, kind)| ((*path).to_owned(), *kind));
    let several = FOLDERS.iter().flat_map(|(folder, ending, kind)| match root.list(folder) {
        Ok(names) => {
            let keys = names.into_iter().filter(|name| name.ends_with(ending)).take(64);
            keys.map(|name| (format!("{folder}/{name}"), *kind)).collect()
        }
        Err(Unknown::Absent) => Vec::new(),
        // Which keys are in it cannot be seen; the folder stands for them.
        Err(_) => vec![((*folder).to_owned(), *kind)],
    });
    let key = |(path, kind): (String, KeyKind)| {
        let made_on = (kind == KeyKind::SshHost).then(|| made_on(root, &path)).flatten();
        let folder = FOLDERS.iter().any(|(folder, ..)| *folder == path);
        let meta = if folder { root.list(&path).and(Err(Unknown::Absent)) } else { root.meta(&path) };
        KnownKey { meta, path, kind, made_on }
    };
    single.chain(several).map(key).filter(|key| key.meta != Err(Unknown::Absent)).collect()
}

/// `root@name` at the end of the public key's line.
fn made_on(root: &Root, private: &str) -> Option<String> {
    let line = root.line(&format!("{private}.pub")).ok()?;
    let (_, host) = line.split_ascii_whitespace().nth(2)?.split_once('@')?;
    Some(host.chars().filter(|c| !c.is_control()).take(64).collect())
}

/// Whether /etc/machine-id says that it will be made at the first boot, as an image should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineId {
    /// Empty or `uninitialized`.
    Unset,
    /// Thirty-two hexadecimal digits.
    Set,
}

pub(super) fn machine_id(root: &Root) -> Fact<MachineId> {
    let id = root.line("/etc/machine-id")?;
    match id.as_str() {
        "" | "uninitialized" => Ok(MachineId::Unset),
        id if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(MachineId::Set),
        _ => Err(Unknown::Malformed("no machine ID")),
    }
}

/// What cloud-init remembers of the machine that this one was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInstance {
    /// The instance that this is.
    pub current: String,
    /// The one that the same disk was before. `None`: this is the first.
    pub previous: Option<String>,
    /// When cloud-init first saw the current one, in seconds since 1970.
    pub since: Fact<i64>,
    /// When the step that mixes in the seed of the instance's data (`seed_random`) ran for the current one, in seconds since
    /// 1970. Whether there was a seed in the data is not looked at.
    pub seeded: Fact<i64>,
}

pub(super) fn cloud_instance(root: &Root) -> Fact<CloudInstance> {
    let id = |name: &str| root.line(&format!("/var/lib/cloud/data/{name}"));
    let clean = |id: String| id.chars().filter(char::is_ascii_graphic).take(64).collect::<String>();
    let current = clean(id("instance-id")?);
    let previous = id("previous-instance-id").map(clean).ok();
    let previous = previous.filter(|id| !id.is_empty() && id != "NO_PREVIOUS_INSTANCE_ID" && *id != current);
    // Written once, when the instance was first seen.
    let since = root.meta("/var/lib/cloud/data/previous-instance-id").map(|meta| meta.modified);
    // Written when the step is done; an instance has it once.
    let seeded = root.meta("/var/lib/cloud/instance/sem/config_seed_random").map(|meta| meta.modified);
    Ok(CloudInstance { current, previous, since, seeded })
}
