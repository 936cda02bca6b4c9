//! What a host says of itself: the answer of `collect.sh`, line by line.
//!
//! Contract: the far end may be anybody. Only what stands between the script's first and last line counts, which have to be
//! there; everything is bounded, and texts are made fit to be shown. A record that is not known here is passed over; one
//! that is known and damaged makes the answer worthless.

use super::key::{KeyError, PublicKey, is_ssh_kind};

/// The script that is run on a host.
pub const SCRIPT: &str = include_str!("collect.sh");
/// More than any answer has.
pub const MOST_BYTES: usize = 256 << 10;

/// SHA-256 of something that stays on the host.
pub type Hash = [u8; 32];

/// An id that may or may not be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Id {
    /// Its hash, with a label that is the same everywhere.
    Hash(Hash),
    /// It is not there.
    #[default]
    Missing,
    /// This user may not read it.
    Unreadable,
    /// It is there and nothing is in it, or the word that says that the first boot will make one.
    Empty,
    /// The host has no program for SHA-256.
    NoHash,
}

impl Id {
    /// The hash, if there is one.
    #[must_use]
    pub fn hash(&self) -> Option<&Hash> {
        match self {
            Self::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    /// Why there is none.
    #[must_use]
    pub fn why_not(&self) -> Option<&'static str> {
        match self {
            Self::Hash(_) => None,
            Self::Missing => Some("there is none"),
            Self::Unreadable => Some("this user may not read it"),
            Self::Empty => Some("it is empty"),
            Self::NoHash => Some("the host has no program for SHA-256"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "missing" => Some(Self::Missing),
            "unreadable" => Some(Self::Unreadable),
            "empty" => Some(Self::Empty),
            "no-sha256" => Some(Self::NoHash),
            digits => hash(digits).map(Self::Hash),
        }
    }
}

/// What a host said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The number of the user that asked; 0 sees everything.
    pub user: Option<u32>,
    /// Name and release of the kernel.
    pub kernel: Option<String>,
    /// What the host calls itself.
    pub hostname: Option<String>,
    /// systemd's id of the installation.
    pub machine_id: Id,
    /// D-Bus' id, hashed with the same label: usually the same.
    pub dbus_id: Id,
    /// The kernel's id of this boot.
    pub boot_id: Id,
    /// What the firmware says that the machine is.
    pub product_uuid: Id,
    /// Whether it is a container: it shares its kernel with others.
    pub container: Option<bool>,
    /// Whether it is a virtual machine.
    pub is_virtual: Option<bool>,
    /// Whether the hypervisor says when the machine was cloned, and the kernel listens (VMGenID).
    pub generation: Generation,
    /// Host keys of sshd.
    pub host_keys: Vec<PublicKey>,
    /// Host keys that could not be read, and why.
    pub odd_keys: Vec<KeyError>,
    /// Files that carry a seed from one boot to the next.
    pub seed_files: Vec<(String, Id)>,
    /// Hashes of 32 bytes each that were drawn for this.
    pub draws: Vec<Hash>,
}

/// Whether the kernel learns that its machine was cloned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generation {
    /// Not told.
    #[default]
    Unknown,
    /// The hypervisor gives no VMGenID.
    NoDevice,
    /// It does, and this kernel has no driver for it.
    NoDriver,
    /// It does, and the kernel listens.
    Heard,
}

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The script did not run.
    #[error("it did not run the script that looks: does this user have a POSIX shell?")]
    NoBegin,
    /// The script did not end.
    #[error("its answer was cut short")]
    NoEnd,
    /// A line is damaged.
    #[error("it answered with a line that makes no sense: {0}")]
    Line(String),
}

/// So many keys, files and draws are looked at, which is more than the script gives.
const MOST_OF_A_KIND: usize = 64;
const MOST_TEXT: usize = 255;

/// Parses the script's answer.
///
/// # Errors
/// [`AnswerError`].
pub fn parse(answer: &[u8]) -> Result<Facts, AnswerError> {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.lines().map(str::trim_end);
    if !lines.any(|line| line == "weir-verify 1 begin") {
        return Err(AnswerError::NoBegin);
    }
    let mut facts = Facts::default();
    for line in lines {
        if line == "weir-verify 1 end" {
            return Ok(facts);
        }
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        facts.take(name, value).ok_or_else(|| AnswerError::Line(fit(line, 60)))?;
    }
    Err(AnswerError::NoEnd)
}

impl Facts {
    /// Takes a record; `None` if it is damaged.
    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "user" => self.user = Some(value.parse().ok()?),
            "kernel" => self.kernel = Some(fit(value, MOST_TEXT)),
            "hostname" => self.hostname = Some(fit(value, MOST_TEXT)),
            "machine-id" => self.machine_id = Id::parse(value)?,
            "dbus-id" => self.dbus_id = Id::parse(value)?,
            "boot-id" => self.boot_id = Id::parse(value)?,
            "product-uuid" => self.product_uuid = Id::parse(value)?,
            "container" => self.container = yes_or_no(value)?,
            "virtual" => self.is_virtual = yes_or_no(value)?,
            "vmgenid" => {
                self.generation = match value {
                    "no-device driver" | "no-device no-driver" => Generation::NoDevice,
                    "device no-driver" => Generation::NoDriver,
                    "device driver" => Generation::Heard,
                    _ => return None,
                }
            }
            "host-key" => self.take_key(value),
            "seed-file" => {
                let (path, id) = value.rsplit_once(' ')?;
                self.seed_files.push((fit(path, MOST_TEXT), Id::parse(id)?));
            }
            "draw" => self.draws.extend(draw(value)?),
            _ => (),
        }
        let counts = [self.host_keys.len() + self.odd_keys.len(), self.seed_files.len(), self.draws.len()];
        counts.iter().all(|count| *count <= MOST_OF_A_KIND).then_some(())
    }

    /// A key that is named twice, in its usual place and in sshd's configuration, counts once.
    fn take_key(&mut self, value: &str) {
        let (kind, base64) = value.split_once(' ').unwrap_or((value, ""));
        let key = match is_ssh_kind(kind) {
            true => PublicKey::from_ssh_line(kind, base64),
            false => Err(KeyError::Unknown),
        };
        match key {
            Ok(key) if !self.host_keys.contains(&key) => self.host_keys.push(key),
            Ok(_) => (),
            Err(why) => self.odd_keys.push(why),
        }
    }
}

/// A draw's hash, or none where there was nothing to draw from or no program to hash with.
fn draw(value: &str) -> Option<Option<Hash>> {
    /// SHA-256 of nothing at all.
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    match value {
        NOTHING | "no-sha256" => Some(None),
        digits => hash(digits).map(Some),
    }
}

fn hash(digits: &str) -> Option<Hash> {
    let digits = digits.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(hash)
}

fn yes_or_no(value: &str) -> Option<Option<bool>> {
    match value {
        "yes" => Some(Some(true)),
        "no" => Some(Some(false)),
        "unknown" => Some(None),
        _ => None,
    }
}

/// Made fit to be shown.
pub(super) fn fit(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lines: &str) -> String {
        format!("motd\nweir-verify 1 begin\n{lines}weir-verify 1 end\nbye\n")
    }

    #[test]
    fn the_script_is_understood_here() {
        let run = |shell: &str| {
            let mut child = std::process::Command::new(shell);
            child.arg("-s").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut child = child.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), SCRIPT.as_bytes()).unwrap();
            child.wait_with_output().unwrap().stdout
        };
        let facts = parse(&run("sh")).unwrap();
        // Alike with odds below 2^-250.
        let different: std::collections::BTreeSet<_> = facts.draws.iter().collect();
        assert_eq!((facts.draws.len(), different.len()), (8, 8));
        assert!(facts.user.is_some() && facts.kernel.is_some_and(|kernel| kernel.starts_with("Linux ")));
        assert!(facts.boot_id.hash().is_some());
    }

    #[test]
    fn answers_that_are_cut_short_or_make_no_sense_are_refused() {
        assert_eq!(parse(b""), Err(AnswerError::NoBegin));
        assert_eq!(parse(b"This account is not available.\n"), Err(AnswerError::NoBegin));
        assert_eq!(parse(b"weir-verify 1 begin\nuser 0\n"), Err(AnswerError::NoEnd));
        let digits = "0".repeat(64);
        for line in [
            "user root".to_owned(),
            "user -1".to_owned(),
            "machine-id".to_owned(),
            format!("machine-id {digits}0"),
            format!("draw {}", &digits[1..]),
            format!("draw g{}", &digits[1..]),
            "container maybe".to_owned(),
            "vmgenid device".to_owned(),
            "seed-file /x".to_owned(),
        ] {
            let error = parse(answer(&format!("{line}\n")).as_bytes()).unwrap_err();
            assert!(matches!(error, AnswerError::Line(_)), "{line}: {error}");
        }
        let many = format!("draw {digits}\n").repeat(65);
        assert!(parse(answer(&many).as_bytes()).is_err());
    }

    #[test]
    fn texts_are_made_fit_to_be_shown_and_nothing_is_no_draw() {
        let nothing =
            "draw e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\ndraw no-sha256\n";
        let lines =
            format!("hostname \u{1b}[2Jweb\nfuture record\nhost-key what AAAA\ncontainer unknown\n{nothing}");
        let facts = parse(answer(&lines).as_bytes()).unwrap();
        assert_eq!(facts.hostname.as_deref(), Some("[2Jweb"));
        assert_eq!((facts.draws.len(), facts.container), (0, None));
        assert_eq!(facts.odd_keys, [KeyError::Unknown]);
    }
}
