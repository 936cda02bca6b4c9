//! Keys in files: lines of ssh (public keys, known_hosts, authorized_keys, what ssh-keyscan prints), PEM, DER, and
//! `Modulus=` lines of `openssl rsa -modulus`; any of them, and several kinds in one file.
//!
//! What a file holds is seen by looking, not by its name. What cannot be read is said with its place and does not keep the
//! rest from being read. Private keys are read for their public half only; what was decoded of them is erased.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::der;
use super::key::{Fields, KeyError, PublicKey, is_ssh_kind};

/// A key and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The key.
    pub key: PublicKey,
    /// Which line of the file it begins in, from 1; of DER 1.
    pub line: usize,
    /// What is written beside it: the host of a known key, the comment of a line, the subject of a certificate.
    pub label: Option<String>,
    /// Whether the label names hosts, as in known_hosts.
    pub names_hosts: bool,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// In which line.
    pub line: usize,
    /// What is there.
    pub what: String,
    /// Why it was of no use.
    pub why: String,
}

impl Unread {
    /// A line in which there is not even the beginning of a key.
    const NOTHING: &str = "a line";

    /// Whether nothing in it looks like a key.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.what == Self::NOTHING
    }
}

/// What is in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Keys in their order.
    pub found: Vec<Found>,
    /// What else.
    pub unread: Vec<Unread>,
}

/// Labels are cut to so many characters: they are there to be recognised.
const MOST_LABEL: usize = 200;
/// Longest PEM block, in bytes of its text.
const MOST_PEM: usize = 256 << 10;

/// Looks for keys in the content of a file.
#[must_use]
pub fn parse(content: &[u8]) -> Bundle {
    let mut bundle = Bundle::default();
    if let [0x30, 0x80..=0xff, ..] = content {
        bundle.der(content);
        return bundle;
    }
    let mut lines = content.split(|byte| *byte == b'\n').enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_ascii();
        match begin(line) {
            Some(block) => {
                let body = (&mut lines).map(|(_, line)| line.trim_ascii());
                bundle.block(at + 1, block, body);
            }
            None if line.is_empty() || line.starts_with(b"#") => (),
            None => bundle.line(at + 1, line),
        }
    }
    bundle
}

/// The name of a block that begins in this line.
fn begin(line: &[u8]) -> Option<&[u8]> {
    let pem = line.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"));
    pem.or_else(|| line.strip_prefix(b"---- BEGIN ").and_then(|rest| rest.strip_suffix(b" ----")))
}

impl Bundle {
    fn add(&mut self, line: usize, key: PublicKey, label: Option<String>, names_hosts: bool) {
        self.found.push(Found { key, line, label: label.map(|label| short(&label)), names_hosts });
    }

    fn refuse(&mut self, line: usize, what: &str, why: impl ToString) {
        self.unread.push(Unread { line, what: short(what), why: why.to_string() });
    }

    fn der(&mut self, content: &[u8]) {
        if let Ok(certified) = der::certificate(content).or_else(|_| der::request(content)) {
            return self.add(1, certified.key, Some(certified.subject), false);
        }
        let key = der::public_key(content).or_else(|_| der::rsa_public(content));
        match key.or_else(|_| der::rsa_private(content)) {
            Ok(key) => self.add(1, key, None, false),
            Err(_) => match der::private(content) {
                Ok(Some(key)) => self.add(1, key, None, false),
                _ => self.refuse(1, "DER", "is no certificate and no key that is known here"),
            },
        }
    }

    fn block<'a>(&mut self, at: usize, name: &[u8], body: impl Iterator<Item = &'a [u8]>) {
        let name = String::from_utf8_lossy(name);
        match contents(body) {
            Err(why) => self.refuse(at, &name, why),
            Ok(Contents::Encrypted) => self.refuse(at, &name, "is encrypted"),
            Ok(Contents::Bytes(bytes)) => match decoded(&name, &bytes) {
                Ok(Some((key, label))) => self.add(at, key, label, false),
                Ok(None) => self.refuse(at, &name, "holds no public key that can be read"),
                Err(why) => self.refuse(at, &name, why),
            },
        }
    }

    fn line(&mut self, at: usize, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else {
            return self.refuse(at, Unread::NOTHING, "is no text");
        };
        if let Some(digits) = text.strip_prefix("Modulus=") {
            return match modulus(digits) {
                Some(key) => self.add(at, key, None, false),
                None => self.refuse(at, "Modulus", KeyError::Malformed),
            };
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let mut wrong = None;
        for (place, pair) in words.windows(2).enumerate() {
            let &[kind, base64] = pair else { continue };
            if !is_ssh_kind(kind) {
                continue;
            }
            match PublicKey::from_ssh_line(kind, base64) {
                Ok(key) => {
                    let (before, after) = (words.get(..place), words.get(place + 2..));
                    let (label, names_hosts) = label(before.unwrap_or_default(), after.unwrap_or_default());
                    return self.add(at, key, label, names_hosts);
                }
                // An option of authorized_keys may hold words that look like a key.
                Err(why) => wrong = Some((kind, why)),
            }
        }
        match wrong {
            Some((kind, why)) => self.refuse(at, kind, why),
            None => self.refuse(at, Unread::NOTHING, "has no key in it"),
        }
    }
}

/// What stands beside a key: hosts before it, or a comment after it and perhaps options before.
fn label(before: &[&str], after: &[&str]) -> (Option<String>, bool) {
    const OPTIONS: &[&str] =
        &["restrict", "cert-authority", "agent-forwarding", "port-forwarding", "pty", "user-rc"];
    let hosts = match before {
        [marker, hosts] if marker.starts_with('@') => Some(*hosts),
        [hosts] => Some(*hosts),
        _ => None,
    };
    let is_option = |hosts: &&str| {
        let first = hosts.split(',').next().unwrap_or_default();
        first.contains(['=', '"']) && !first.starts_with("|1|")
            || first.starts_with("no-")
            || OPTIONS.contains(&first)
    };
    match hosts.filter(|hosts| !is_option(hosts)) {
        Some(hosts) => (Some(hosts.to_owned()), true),
        None => ((!after.is_empty()).then(|| after.join(" ")), false),
    }
}

fn modulus(digits: &str) -> Option<PublicKey> {
    let digits = digits.as_bytes();
    if digits.is_empty() || digits.len() > MOST_PEM {
        return None;
    }
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let values: Option<Vec<u8>> = digits.iter().map(value).collect();
    let bytes: Vec<u8> =
        values?.rchunks(2).rev().map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    // The exponent is not known; the usual one keeps the key from being taken for a weak one.
    (bytes.iter().any(|byte| *byte != 0)).then(|| PublicKey::rsa(&bytes, &[1, 0, 1]))
}

enum Contents {
    Encrypted,
    Bytes(Zeroizing<Vec<u8>>),
}

/// What a block of PEM (RFC 7468) or of RFC 4716 holds, up to its end.
fn contents<'a>(body: impl Iterator<Item = &'a [u8]>) -> Result<Contents, &'static str> {
    let mut text = Zeroizing::new(Vec::new());
    let (mut continued, mut encrypted, mut length) = (false, false, 0);
    for line in body {
        if line.starts_with(b"-----END ") || line.starts_with(b"---- END ") {
            if encrypted {
                return Ok(Contents::Encrypted);
            }
            let bytes = STANDARD.decode(text.as_slice()).map_err(|_| "is not base64")?;
            return Ok(Contents::Bytes(Zeroizing::new(bytes)));
        }
        length += line.len();
        if length > MOST_PEM {
            return Err("is too long");
        }
        encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
        // A header, or the rest of one that a backslash continues.
        let is_header = continued || line.contains(&b':');
        continued = is_header && line.ends_with(b"\\");
        if !is_header {
            // Room for all of it at once, lest a part stays behind where it was before it grew.
            if text.is_empty() {
                text.reserve(MOST_PEM);
            }
            text.extend_from_slice(line);
        }
    }
    Err("has no end")
}

fn decoded(name: &str, bytes: &[u8]) -> Result<Option<(PublicKey, Option<String>)>, KeyError> {
    let key = match name {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            let certified = der::certificate(bytes)?;
            return Ok(Some((certified.key, Some(certified.subject))));
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            let certified = der::request(bytes)?;
            return Ok(Some((certified.key, Some(certified.subject))));
        }
        "PUBLIC KEY" => der::public_key(bytes)?,
        "RSA PUBLIC KEY" => der::rsa_public(bytes)?,
        "SSH2 PUBLIC KEY" => PublicKey::from_ssh(bytes)?,
        "RSA PRIVATE KEY" => der::rsa_private(bytes)?,
        "PRIVATE KEY" => return Ok(der::private(bytes)?.map(|key| (key, None))),
        "OPENSSH PRIVATE KEY" => openssh_private(bytes)?,
        _ => return Ok(None),
    };
    Ok(Some((key, None)))
}

/// The public half, which is not encrypted (OpenSSH's PROTOCOL.key).
fn openssh_private(bytes: &[u8]) -> Result<PublicKey, KeyError> {
    let mut fields = Fields(bytes.strip_prefix(b"openssh-key-v1\0").ok_or(KeyError::Malformed)?);
    let (_cipher, _kdf, _options) = (fields.next()?, fields.next()?, fields.next()?);
    fields.0 = fields.0.strip_prefix(&[0, 0, 0, 1]).ok_or(KeyError::Malformed)?;
    PublicKey::from_ssh(fields.next()?)
}

/// Made fit to be shown.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = include_str!("testdata/keys.txt");

    /// Kind and base64 of the lines of a kind.
    fn line(kind: &str) -> String {
        let wanted = |line: &&str| line.split('|').nth(2) == Some(kind);
        let line = LINES.lines().find(wanted).unwrap();
        line.splitn(3, '|').nth(2).unwrap().replace('|', " ")
    }

    #[test]
    fn lines_of_ssh_are_read_with_what_stands_beside_the_key() {
        let (rsa, ed) = (line("ssh-rsa"), line("ssh-ed25519"));
        let text = format!(
            "# a comment\n\n{rsa} me@laptop\n\
             web1,10.0.0.1 {ed}\r\n\
             |1|abc=|def= {ed}\n\
             @cert-authority *.example {rsa} note\n\
             command=\"echo ssh-rsa AAAA\",no-pty {ed} backup key\n\
             restrict,pty {rsa}\n\
             [::1]:2222 {ed}\n"
        );
        let bundle = parse(text.as_bytes());
        assert_eq!(bundle.unread, []);
        let seen: Vec<_> = bundle
            .found
            .iter()
            .map(|found| (found.line, found.label.as_deref(), found.names_hosts))
            .collect();
        let expected = [
            (3, Some("me@laptop"), false),
            (4, Some("web1,10.0.0.1"), true),
            (5, Some("|1|abc=|def="), true),
            (6, Some("*.example"), true),
            (7, Some("backup key"), false),
            (8, None, false),
            (9, Some("[::1]:2222"), true),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_rest_is_read() {
        let text = format!(
            "hello\nssh-rsa AAAA\n\u{1b}[31m ssh-ed25519 AAAAC3\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
             -----BEGIN EC PARAMETERS-----\nBggq\n-----END EC PARAMETERS-----\n\
             -----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----\n\
             Modulus=xyz\nModulus=0F1\n{}\n-----BEGIN CERTIFICATE-----\nAAAA",
            line("ssh-ed25519")
        );
        let bundle = parse(text.as_bytes());
        assert_eq!(bundle.found.iter().map(|found| found.line).collect::<Vec<_>>(), [17, 18]);
        assert_eq!(bundle.found[0].key, PublicKey::rsa(&[0xf1], &[1, 0, 1]));
        let seen: Vec<_> = bundle.unread.iter().map(|unread| (unread.line, unread.why.as_str())).collect();
        let expected = [
            (1, "has no key in it"),
            (2, "is damaged"),
            (3, "is not base64"),
            (4, "is damaged"),
            (7, "holds no public key that can be read"),
            (10, "is encrypted"),
            (16, "is damaged"),
            (19, "has no end"),
        ];
        assert_eq!(seen, expected);
        assert!(bundle.unread.iter().all(|unread| !unread.what.contains('\u{1b}')));
    }
}
