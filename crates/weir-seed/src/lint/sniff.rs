//! What a file's content says: whether it holds a private key, a seed, an id.
//!
//! Contract: takes any bytes in constant memory, which is erased, and answers yes or no. Nothing of the content ever comes
//! out.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use zeroize::Zeroizing;

/// A piece is searched at once; pieces overlap by more than anything that is looked for takes.
const PIECE_BYTES: usize = 256 << 10;
const OVERLAP_BYTES: usize = 4 << 10;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A private key: PEM of any kind, OpenSSH, PuTTY, age, or such as tinc, Tor, OpenVPN and minisign write.
    PrivateKey,
    /// A value behind one of these names, as in `PrivateKey = ...`; upper and lower case are alike.
    Setting(&'static [&'static str]),
    /// A line that is neither empty nor a comment.
    Lines,
    /// A machine's id: 32 hexadecimal digits, not all of them zero.
    MachineId,
    /// A seed for a machine, as user-data has it (`random_seed`), or a private key.
    Seed,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Content {
    /// How much of a file is looked at.
    pub(super) fn most_bytes(self) -> u64 {
        match self {
            Self::Seed => 256 << 20,
            Self::MachineId => 64,
            _ => 1 << 20,
        }
    }

    /// Which of these are in what `file` gives. Compressed logs are looked into.
    pub(super) fn which(contents: &[Self], file: &mut dyn Read) -> io::Result<Vec<bool>> {
        let mut head = Zeroizing::new(Vec::with_capacity(2));
        file.take(2).read_to_end(&mut head)?;
        let packed = head.as_slice() == b"\x1f\x8b" && contents.contains(&Self::Seed);
        let file = head.as_slice().chain(file);
        if packed {
            let mut plain = MultiGzDecoder::new(file).take(Self::Seed.most_bytes());
            return search(contents, &mut |buffer| match plain.read(buffer) {
                // A log that ends in the middle is searched as far as it goes.
                Err(_) => Ok(0),
                read => read,
            });
        }
        let mut file = file;
        search(contents, &mut |buffer| file.read(buffer))
    }

    /// Whether it is in what `file` gives.
    pub(super) fn is_in(self, file: &mut dyn Read) -> io::Result<bool> {
        Ok(Self::which(&[self], file)?.contains(&true))
    }

    /// Whether it is in these bytes.
    pub(super) fn is_in_bytes(self, bytes: &[u8]) -> bool {
        match self {
            Self::PrivateKey => holds_private_key(bytes),
            Self::Setting(names) => lines(bytes).any(|line| is_set(line, names)),
            Self::Lines => {
                lines(bytes).any(|line| !matches!(line.first(), None | Some(b'#' | b'!' | b';' | b'%')))
            }
            Self::MachineId => is_machine_id(bytes),
            Self::Seed => holds_seed(bytes) || holds_private_key(bytes),
            Self::Words(words) => words.iter().any(|word| find(bytes, word.as_bytes()).is_some()),
        }
    }
}

/// Asks everything of any bytes, as a look does. For tests of hostile files.
pub fn check(bytes: &[u8]) -> usize {
    let all = [
        Content::PrivateKey,
        Content::Setting(&["PrivateKey", "Key"]),
        Content::Lines,
        Content::MachineId,
        Content::Seed,
        Content::Words(&["token:"]),
    ];
    let answers = Content::which(&all, &mut &*bytes).unwrap_or_default();
    answers.iter().filter(|answer| **answer).count()
}

/// Searches piece by piece; pieces overlap, so that nothing is missed between two.
fn search(
    contents: &[Content],
    read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Vec<bool>> {
    let mut answers = vec![false; contents.len()];
    let mut piece = Zeroizing::new(vec![0; PIECE_BYTES]);
    let (mut held, mut over) = (0, false);
    while !over {
        while held < piece.len() && !over {
            match read(piece.get_mut(held..).unwrap_or_default()) {
                Ok(0) => over = true,
                Ok(length) => held += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let bytes = piece.get(..held).unwrap_or_default();
        for (answer, content) in answers.iter_mut().zip(contents) {
            *answer = *answer || content.is_in_bytes(bytes);
        }
        if answers.iter().all(|answer| *answer) {
            break;
        }
        piece.copy_within(held.saturating_sub(OVERLAP_BYTES)..held, 0);
        held = held.min(OVERLAP_BYTES);
    }
    Ok(answers)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// `-----BEGIN ... PRIVATE KEY-----` with any words between (RFC 7468 and its forerunners) and a line of the key, and those
/// forms that are not PEM. The marker by itself is in many a history and holds nothing.
fn holds_private_key(bytes: &[u8]) -> bool {
    const OTHERS: [&[u8]; 3] = [b"PuTTY-User-Key-File-", b"AGE-SECRET-KEY-1", b"== ed25519v1-secret:"];
    let pem = memchr::memmem::find_iter(bytes, b"-----BEGIN ").any(|at| {
        let head = bytes.get(at + 11..).unwrap_or_default();
        let head = head.get(..64).unwrap_or(head);
        let end = head.windows(5).position(|window| window == b"-----");
        let label = end.and_then(|end| head.get(..end));
        let rest = end.and_then(|end| bytes.get(at + 11 + end + 5..));
        label.is_some_and(names_a_key) && rest.is_some_and(begins_with_key)
    });
    // dropbear writes the type's name behind its length.
    let dropbear = bytes.get(..4).is_some_and(|length| matches!(length, [0, 0, 0, 1..=64]))
        && bytes.get(4..11).is_some_and(|name| name.starts_with(b"ssh-") || name.starts_with(b"ecdsa-"));
    pem || dropbear || OTHERS.iter().any(|other| find(bytes, other).is_some())
}

fn names_a_key(label: &[u8]) -> bool {
    label.ends_with(b"PRIVATE KEY")
        || label.ends_with(b"PRIVATE KEY BLOCK")
        || label.starts_with(b"OpenVPN Static key")
}

/// Whether a line of a key follows a marker: right behind it, or on the first line that is neither empty nor a header
/// (`DEK-Info: ...`). Line ends may be escaped, as in JSON, and lines have more before them, as in a log.
fn begins_with_key(rest: &[u8]) -> bool {
    const NEAR: usize = 2048;
    let mut rest = rest.get(..NEAR).unwrap_or(rest);
    let mut is_first = true;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|two| two[0] == b'\n' || two == b"\\n").unwrap_or(rest.len());
        let line = trimmed(rest.get(..end).unwrap_or_default());
        let is_header = line.contains(&b':');
        let mut words = line.split(|byte| byte.is_ascii_whitespace());
        let word = if is_first { words.next() } else { words.next_back() };
        if word.is_some_and(is_of_key) && (is_first || is_header || words.next().is_none()) {
            return true;
        }
        if !is_first && !is_header && !line.is_empty() {
            return false;
        }
        is_first = false;
        let ends = if rest.get(end) == Some(&b'\\') { 2 } else { 1 };
        rest = rest.get(end + ends..).unwrap_or_default();
    }
    false
}

/// Without what stands around a line that is part of a string.
fn trimmed(line: &[u8]) -> &[u8] {
    let around = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\,+".contains(byte);
    let bare = |line: &[u8]| {
        let start = line.iter().position(|byte| !around(byte)).unwrap_or(line.len());
        let end = line.iter().rposition(|byte| !around(byte)).map_or(start, |last| last + 1);
        start..end
    };
    let line = line.get(bare(line)).unwrap_or_default();
    // The first line is that of the marker, of which an escaped `\r` may be all that is left.
    let line = if line == b"r" { b"" } else { line.strip_suffix(b"\\r").unwrap_or(line) };
    line.get(bare(line)).unwrap_or_default()
}

/// Base64, or the first of it before something else ends it; no path, which is of the same characters.
fn is_of_key(word: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    word.iter().all(is_base64) && (word.len() >= 40 || word.len() >= 16 && !word.starts_with(b"/"))
}

/// `name = value`, `name: value`, with something for a value.
fn is_set(line: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| {
        let Some(head) = line.get(..name.len()) else { return false };
        let rest = line.get(name.len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":"));
        head.eq_ignore_ascii_case(name.as_bytes())
            && value.is_some_and(|value| !value.trim_ascii().is_empty())
    })
}

/// machine-id(5): 32 lower-case hexadecimal digits; upper case and dashes are taken by some readers.
fn is_machine_id(bytes: &[u8]) -> bool {
    let line: Vec<u8> =
        lines(bytes).next().unwrap_or_default().iter().copied().filter(|byte| *byte != b'-').collect();
    line.len() == 32 && line.iter().all(u8::is_ascii_hexdigit) && line.iter().any(|byte| *byte != b'0')
}

/// cloud-init's `random_seed`: with its data beneath it, or as a data source gives it, with the seed right behind. Its name
/// alone is in many a log and holds nothing.
fn holds_seed(bytes: &[u8]) -> bool {
    const NEAR: usize = 512;
    memchr::memmem::find_iter(bytes, b"random_seed").any(|at| {
        let rest = bytes.get(at + 11..).unwrap_or_default();
        let rest = rest.get(..NEAR).unwrap_or(rest);
        let data = find(rest, b"data").and_then(|at| rest.get(at + 4..));
        is_value(rest, 16) || data.is_some_and(|data| is_value(data, 8))
    })
}

/// Whether a value of so many bytes follows, behind quotes, a colon, space.
fn is_value(rest: &[u8], least: usize) -> bool {
    let start = rest.iter().take(16).position(|byte| !b" \t\"'\\:=,|>b\n\r[".contains(byte));
    let value = start.and_then(|start| rest.get(start..)).unwrap_or_default();
    // From the sign that ended it, a name that is only mentioned is told from a value.
    start.is_some_and(|start| start > 0)
        && rest.iter().take(16).any(|byte| b":=".contains(byte))
        && value.iter().take_while(|byte| byte.is_ascii_graphic() && !b"\"'\\,}".contains(byte)).count()
            >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_known_by_their_heads() {
        for text in [
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA",
            "text before\n-----BEGIN RSA PRIVATE KEY-----\r\nMC4CAQAwBQYDK2VwBCIEIA\r\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMC4CAQAwBQYDK2VwBCIEIA",
            "{\"key\": \"-----BEGIN ENCRYPTED PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIA\\n\"}",
            "'-----BEGIN PRIVATE KEY-----\\\\r\\\\nMC4CAQAwBQYDK2VwBCIEIA\\\\r\\\\n'",
            "  key: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    b3BlbnNzaC1rZXktdjEAAAAA\n",
            "KEY=-----BEGIN PRIVATE KEY----- MC4CAQAwBQYDK2VwBCIEIA -----END PRIVATE KEY-----",
            "Jan  1 00:00:00 h c[1]: -----BEGIN EC PRIVATE KEY-----\nJan  1 00:00:00 h c[1]: MC4CAQAwBQYDK2VwBCIEIA\n",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\nlQOYBGAAAAABCADAAAAA\n=abcd\n",
            "PuTTY-User-Key-File-3: ssh-ed25519",
            "# OpenVPN\n-----BEGIN OpenVPN Static key V1-----\n00112233445566778899aabbccddeeff\n",
            "== ed25519v1-secret: type0 ==\0\0\0",
            "\0\0\0\x07ssh-rsa\0\0",
            "\0\0\0\x13ecdsa-sha2-nistp256",
        ] {
            assert!(Content::PrivateKey.is_in_bytes(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "PRIVATE KEY",
            "-----BEGIN ",
            "ssh-rsa AAAA a@b",
            "-----BEGIN X-----PRIVATE KEY-----",
            "echo -----BEGIN PRIVATE KEY-----\n",
            "grep -r -- '-----BEGIN PRIVATE KEY-----' /etc\nls\nMC4CAQAwBQYDK2VwBCIEIA\n",
            "echo -----BEGIN PRIVATE KEY-----\n/usr/lib/systemd/systemd\n",
            "echo -----BEGIN PRIVATE KEY-----\ngit checkout 00112233445566778899aabbccddeeff\n",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(!Content::PrivateKey.is_in_bytes(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn ids_are_32_digits() {
        assert!(Content::MachineId.is_in_bytes(b"0123456789abcdef0123456789abcdef\n"));
        assert!(Content::MachineId.is_in_bytes(b"01234567-89ab-cdef-0123-456789abcdef"));
        for other in [
            "",
            "uninitialized\n",
            "00000000000000000000000000000000\n",
            "0123",
            "g123456789abcdef0123456789abcdef",
        ] {
            assert!(!Content::MachineId.is_in_bytes(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn seeds_are_told_from_their_mention() {
        for text in [
            "#cloud-config\nrandom_seed:\n  file: /dev/urandom\n  encoding: base64\n  data: c2VlZHNlZWRzZWVk\n",
            "random_seed: {data: 'c2VlZHNlZWRzZWVk', encoding: base64}",
            "{\"random_seed\": \"c2VlZHNlZWRzZWVkc2VlZA==\"}",
            "{'random_seed': b'c2VlZHNlZWRzZWVkc2VlZA=='}",
        ] {
            assert!(Content::Seed.is_in_bytes(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "cc_seed_random.py[DEBUG]: seed_random: adding 64 bytes of random seed entropy to /dev/urandom",
            "random_seed: redacted",
            "Running module random_seed (<module 'cloudinit.config.cc_seed_random'>)",
            "random_seed:\n  command: [pollinate]\n",
            "the option random_seed is documented in the manual of cloud-init",
            "'random_seed': None, 'instance-id': 'i-0'",
        ] {
            assert!(!Content::Seed.is_in_bytes(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn compressed_logs_are_looked_into() {
        use std::io::Write;
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(b"user-data: random_seed: {data: c2VlZHNlZWRzZWVk}").unwrap();
        let bytes = writer.finish().unwrap();
        assert!(Content::Seed.is_in(&mut bytes.as_slice()).unwrap());
        let torn = &bytes[..bytes.len() - 4];
        assert!(Content::Seed.is_in(&mut &torn[..]).unwrap());
    }

    #[test]
    fn nothing_is_missed_between_two_pieces() {
        for at in [
            0,
            100,
            PIECE_BYTES - 400,
            PIECE_BYTES - 20,
            PIECE_BYTES - 1,
            PIECE_BYTES,
            2 * PIECE_BYTES - OVERLAP_BYTES - 3,
        ] {
            let mut bytes = vec![b'.'; at];
            bytes.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n");
            bytes.resize(3 * PIECE_BYTES, b'.');
            let answers = Content::which(
                &[Content::PrivateKey, Content::Seed, Content::Words(&["no"])],
                &mut bytes.as_slice(),
            );
            assert_eq!(answers.unwrap(), [true, true, false], "{at}");
        }
    }

    #[test]
    fn settings_have_values() {
        let wireguard = Content::Setting(&["PrivateKey"]);
        assert!(wireguard.is_in_bytes(b"[Interface]\nprivatekey = abc=\n"));
        for text in
            ["[Interface]\nPrivateKey =\n", "# PrivateKey = x\n", "PrivateKeyFile = /x\n", "PublicKey = x"]
        {
            assert!(!wireguard.is_in_bytes(text.as_bytes()), "{text}");
        }
        assert!(Content::Lines.is_in_bytes(b"# c\n\n1 SHA1 HEX:00\n"));
        assert!(!Content::Lines.is_in_bytes(b"# c\n  \n! x\n"));
    }
}
