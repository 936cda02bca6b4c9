//! Keys of sshd, of TLS and in files: who shares one.

use std::collections::BTreeSet;

use super::{Case, Evidence, KeyFile, Learnt, Server, and, listed, push, shared};
use crate::verify::bundle::{Found, Unread};
use crate::verify::key::PublicKey;
use weir_report::Verdict;

pub(super) const NEW_HOST_KEYS: &str = "rm -f /etc/ssh/ssh_host_*_key* && ssh-keygen -A && systemctl try-restart ssh sshd  # as root, on each of them";

impl Case<'_> {
    pub(super) fn keys(&mut self) {
        self.host_keys();
        self.tls_keys();
        self.file_keys();
    }

    fn host_keys(&mut self) {
        let mut keys = Vec::new();
        let mut having = 0;
        for (at, machine) in self.evidence.machines.iter().enumerate() {
            keys.extend(machine.host_keys().iter().map(|key| (identity(key), at)));
            match &machine.learnt {
                Ok(_) if !machine.host_keys().is_empty() => having += 1,
                Ok(_) => self.not_seen(machine.name(), "ssh host keys", "none was found"),
                Err(_) => (),
            }
            if let Ok(Learnt::Told(facts)) = &machine.learnt {
                for why in &facts.odd_keys {
                    self.not_seen(machine.name(), "ssh host keys", format!("one {why}"));
                }
            }
        }
        let groups = shared(keys.iter().cloned());
        let values: BTreeSet<&PublicKey> = keys.iter().map(|(key, _)| key).collect();
        self.compared("ssh host keys", (having, "machines"), values.len(), groups.is_empty());
        for (machines, keys) in groups {
            self.shared_host_keys(&machines, &keys);
        }
    }

    fn shared_host_keys(&mut self, machines: &BTreeSet<usize>, keys: &[PublicKey]) {
        let names = self.names(machines.iter().copied());
        let is_scanned = |at: &usize| {
            self.evidence
                .machines
                .get(*at)
                .is_some_and(|machine| matches!(machine.learnt, Ok(Learnt::Scanned(_))))
        };
        let perhaps = if machines.iter().any(is_scanned) {
            " Unless these names lead to one machine: from without that cannot be seen."
        } else {
            ""
        };
        let (one, fingerprints) = (keys.len() == 1, fingerprints(keys));
        let beginning =
            format!("{} share {} ssh host {}", and(&names), keys.len(), if one { "key" } else { "keys" });
        let (what, list) = listed(beginning, described(keys));
        let why = format!(
            "Whoever has the private key of one can stand in for the others; it was in the image, or made from the same randomness.{perhaps}"
        );
        let finding = self.find("host-key.shared", Verdict::Critical, what, why);
        finding.commands = vec![push(&names), NEW_HOST_KEYS.to_owned()];
        finding.list = list;
        finding.machines = names;
        finding.keys = fingerprints;
    }

    fn tls_keys(&mut self) {
        let mut keys = Vec::new();
        for server in &self.evidence.servers {
            match &server.shown {
                Ok(shown) => {
                    keys.push((identity(&shown.key), server));
                    if !shown.proved {
                        self.not_seen(&server.place(), "TLS key", "the handshake failed after the certificate: that the server has the key is not proved");
                    }
                }
                Err(why) => self.not_seen(&server.place(), "TLS key", why),
            }
        }
        // One machine may well use a key on several ports, and several names of it are none but names.
        let hosts = shared(keys.iter().map(|(key, server)| (key.clone(), host(server))));
        let hosts: BTreeSet<PublicKey> = hosts.into_values().flatten().collect();
        let ports = shared(keys.iter().map(|(key, server)| (key.clone(), (host(server), server.port))));
        let ports: BTreeSet<PublicKey> = ports.into_values().flatten().collect();
        let servers: BTreeSet<_> = keys.iter().map(|(_, server)| (host(server), server.port)).collect();
        let values: BTreeSet<&PublicKey> = keys.iter().map(|(key, _)| key).collect();
        self.compared("TLS keys", (servers.len(), "servers"), values.len(), ports.is_empty());
        for shared in &ports {
            let servers: Vec<&Server> =
                keys.iter().filter(|(key, _)| key == shared).map(|(_, server)| *server).collect();
            self.shared_tls_key(shared, &servers, !hosts.contains(shared));
        }
    }

    fn shared_tls_key(&mut self, key: &PublicKey, servers: &[&Server], on_one_host: bool) {
        let places: Vec<String> = servers.iter().map(|server| server.place()).collect();
        let self_signed =
            servers.iter().any(|server| server.shown.as_ref().is_ok_and(|shown| shown.self_signed));
        let what =
            format!("{} share a TLS key: {}", and(&places), described(std::slice::from_ref(key)).concat());
        let (verdict, why, command) = if on_one_host {
            let why = "One machine may well use a key on several ports. If these ports lead to several machines, name each by an address of its own.";
            (Verdict::Note, why, "")
        } else if self_signed {
            let why = "Its certificate vouches for itself, as those do that a package makes: it was in the image, and whoever has the image can stand in for all of them.";
            (
                Verdict::Critical,
                why,
                "make-ssl-cert generate-default-snakeoil --force-overwrite  # as root, on each of them; or whatever made it",
            )
        } else {
            let why = "One certificate for several servers may be meant so; then one of them that is broken into costs all of them their key.";
            (
                Verdict::Warning,
                why,
                "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem  # on each of them, and have it signed",
            )
        };
        let machines =
            self.names(servers.iter().filter_map(|server| server.machine).collect::<BTreeSet<_>>());
        let finding = self.find("tls-key.shared", verdict, what, why);
        finding.commands =
            Some(command.to_owned()).filter(|command| !command.is_empty()).into_iter().collect();
        finding.keys = vec![key.fingerprint()];
        finding.machines = machines;
        finding.places = places;
    }

    fn file_keys(&mut self) {
        const MOST_TOLD: usize = 10;
        let files: &[KeyFile] = &self.evidence.files;
        for file in files {
            let unread = match &file.keys {
                Err(why) => {
                    self.not_seen(&file.name, "keys", why);
                    continue;
                }
                Ok(bundle) if bundle.found.is_empty() && bundle.unread.is_empty() => {
                    self.not_seen(&file.name, "keys", "there is none in it");
                    continue;
                }
                Ok(bundle) if bundle.found.is_empty() && bundle.unread.iter().all(Unread::is_nothing) => {
                    self.not_seen(&file.name, "keys", "this is not a file of keys");
                    continue;
                }
                Ok(bundle) => &bundle.unread,
            };
            for unread in unread.iter().take(MOST_TOLD) {
                self.not_seen(
                    &file.name,
                    "keys",
                    format!("line {}: {} {}", unread.line, unread.what, unread.why),
                );
            }
            if let Some(more @ 1..) = unread.len().checked_sub(MOST_TOLD) {
                self.not_seen(&file.name, "keys", format!("and {more} more lines"));
            }
        }
        let all: Vec<(PublicKey, &KeyFile, &Found)> =
            found(self.evidence).map(|(file, found)| (identity(&found.key), file, found)).collect();
        let values: BTreeSet<&PublicKey> = all.iter().map(|(key, ..)| key).collect();
        // Where two places say whose key it is and say the same, it is one key and not a shared one.
        let by_label = all.iter().map(|(key, file, found)| {
            let label = found.label.clone().unwrap_or_else(|| format!("{}:{}", file.name, found.line));
            (key, label)
        });
        let groups = shared(by_label);
        self.compared("keys in files", (all.len(), "places"), values.len(), groups.is_empty());
        let keys: BTreeSet<PublicKey> = groups.into_values().flatten().cloned().collect();
        for key in keys {
            let places: Vec<(&KeyFile, &Found)> = all
                .iter()
                .filter(|(other, ..)| *other == key)
                .map(|(_, file, found)| (*file, *found))
                .collect();
            self.shared_file_key(&key, &places);
        }
    }

    fn shared_file_key(&mut self, key: &PublicKey, places: &[(&KeyFile, &Found)]) {
        let words: Vec<String> = places.iter().map(|(file, found)| labelled(file, found)).collect();
        let what =
            format!("The same key is at {}: {}", and(&words), described(std::slice::from_ref(key)).concat());
        let (verdict, why) = if places.iter().filter(|(_, found)| found.names_hosts).count() > 1 {
            (Verdict::Warning, "Several machines have it, or these are names of one machine.")
        } else {
            (
                Verdict::Note,
                "It may be one key in several files, a certificate renewed for the same key, or a key that was copied.",
            )
        };
        let finding = self.find("key.shared", verdict, what, why);
        finding.keys = vec![key.fingerprint()];
        finding.places = places.iter().map(|(file, found)| format!("{}:{}", file.name, found.line)).collect();
    }
}

/// Keys in files.
pub(super) fn found(evidence: &Evidence) -> impl Iterator<Item = (&KeyFile, &Found)> {
    evidence.files.iter().flat_map(|file| {
        let keys = file.keys.iter().flat_map(|bundle| &bundle.found);
        keys.map(move |found| (file, found))
    })
}

/// What is compared: of RSA the modulus alone, which is all of the secret.
fn identity(key: &PublicKey) -> PublicKey {
    match key {
        PublicKey::Rsa { modulus, .. } => PublicKey::rsa(modulus, &[1, 0, 1]),
        other => other.clone(),
    }
}

fn fingerprints(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(PublicKey::fingerprint).collect()
}

fn described(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(|key| format!("{} {}", key.kind(), key.fingerprint())).collect()
}

fn labelled(file: &KeyFile, found: &Found) -> String {
    let place = format!("{}:{}", file.name, found.line);
    found.label.as_ref().map_or(place.clone(), |label| format!("{place} {label}"))
}

/// The machine that a server is on, or the name that it has where no machine was named so.
fn host(server: &Server) -> (Option<usize>, Option<&str>) {
    match server.machine {
        Some(at) => (Some(at), None),
        None => (None, Some(&server.host)),
    }
}
