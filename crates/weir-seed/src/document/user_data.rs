//! What cloud-init is given as user-data.
//!
//! A cloud-config document gets `random_seed`: cloud-init (module `cc_seed_random`, the first of its boot stage "network",
//! before host keys are made) decodes the data and writes it to /dev/urandom, which mixes and credits nothing. A kernel that is
//! ready does not look at its pool again before its own next reseed, so `command` follows, which has it look at once: with
//! Python, which cloud-init itself runs on, so that nothing needs to be in the image; where there is none, or
//! the kernel refuses, the command succeeds all the same and nothing is lost but the haste.
//!
//! What is no cloud-config document, but something that cloud-init knows by its first line, becomes a part of a MIME message
//! beside one. Recognised is what cloud-init 22–25 recognises (`cloudinit/handlers/__init__.py`, `user_data.py`).
//!
//! cloud-init keeps user-data on the disk (/var/lib/cloud/instance/user-data.txt) and the provider serves it to whoever may
//! ask: a seed from it earns no credit.

use super::error::text_of;
use super::yaml::{self, Pair};
use super::{MergeError, Options, Template, mime};

/// `RNDRESEEDCRNG` by number: nothing in a plain guest knows it by name. A shell around it, so that it never fails.
const RESEED: &str =
    r#"[sh, -c, "python3 -c 'from fcntl import ioctl; ioctl(0, 0x5207)' </dev/urandom 2>/dev/null || :"]"#;
const KEY: &str = "random_seed";
/// cloud-init looks for it in so many bytes.
const MIME_WITHIN: usize = 4096;

/// A cloud-config document with nothing but a seed.
#[must_use]
pub fn new(options: Options) -> Template {
    let Pair { block, .. } = pair(options);
    Template::quoted(block.0, block.1).within("#cloud-config\n", "\n")
}

/// The seed added to user-data of any kind that cloud-init knows.
///
/// # Errors
/// [`MergeError`].
pub fn merge(document: &[u8], options: Options) -> Result<Template, MergeError> {
    let text = text_of(document)?;
    if text.trim().is_empty() {
        return Ok(new(options));
    }
    if is_mime(text) {
        return mime::merge(text, options);
    }
    let Some(kind) = Kind::of(text) else { return Err(unknown(text)) };
    match kind {
        Kind::CloudConfig => merge_cloud_config(text, options),
        _ => {
            kind.check(text, 0)?;
            mime::wrap(text, kind, options)
        }
    }
}

/// What cloud-init takes a text for, by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    CloudConfig,
    Archive,
    JsonPatch,
    Jinja,
    Include,
    IncludeOnce,
    Boothook,
    PartHandler,
    Script,
}

impl Kind {
    /// Beginnings, in lower case; of two that fit, the longer one counts, which comes first.
    const BEGINNINGS: [(&str, Self); 9] = [
        ("#cloud-config-archive", Self::Archive),
        ("#cloud-config-jsonp", Self::JsonPatch),
        ("## template: jinja", Self::Jinja),
        ("#cloud-boothook", Self::Boothook),
        ("#cloud-config", Self::CloudConfig),
        ("#include-once", Self::IncludeOnce),
        ("#part-handler", Self::PartHandler),
        ("#include", Self::Include),
        ("#!", Self::Script),
    ];

    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim_start();
        let begins =
            |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        Self::BEGINNINGS.iter().find(|(with, _)| begins(with)).map(|(_, kind)| *kind)
    }

    pub(super) fn of_media_type(media_type: &str) -> Option<Self> {
        let all = Self::BEGINNINGS.iter().map(|(_, kind)| *kind);
        all.into_iter().find(|kind| kind.media_type() == media_type)
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::CloudConfig => "text/cloud-config",
            Self::Archive => "text/cloud-config-archive",
            Self::JsonPatch => "text/cloud-config-jsonp",
            Self::Jinja => "text/jinja2",
            Self::Include => "text/x-include-url",
            Self::IncludeOnce => "text/x-include-once-url",
            Self::Boothook => "text/cloud-boothook",
            Self::PartHandler => "text/part-handler",
            Self::Script => "text/x-shellscript",
        }
    }

    /// A kind that can carry configuration in a form that is not looked into must not have a seed of its own.
    pub(super) fn check(self, text: &str, lines_above: usize) -> Result<(), MergeError> {
        let what = match self {
            Self::Archive => "an archive",
            Self::JsonPatch => "a JSON patch",
            Self::Jinja => "a template",
            _ => return Ok(()),
        };
        match text.find(KEY) {
            None => Ok(()),
            Some(at) => {
                let why =
                    format!("{what} with a {KEY} of its own, which cannot be replaced here; take it out");
                Err(MergeError::malformed(text, at, why).down(lines_above))
            }
        }
    }
}

/// The seed added to a cloud-config document, whose first line may be missing where MIME says what it is.
pub(super) fn merge_cloud_config(text: &str, options: Options) -> Result<Template, MergeError> {
    let blank = text.len() - text.trim_start().len();
    let floor = match Kind::of(text) {
        Some(_) => text.get(blank..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| blank + at + 1),
        None => 0,
    };
    yaml::add(text, floor, &pair(options), options.replace)
}

fn pair(options: Options) -> Pair {
    let mut block_tail = "\"\n  encoding: base64".to_owned();
    let mut flow_tail = "\", \"encoding\": \"base64\"".to_owned();
    if options.reseed {
        block_tail = format!("{block_tail}\n  command: {RESEED}");
        let quoted = RESEED.replace("[sh, -c", "[\"sh\", \"-c\"");
        flow_tail = format!("{flow_tail}, \"command\": {quoted}");
    }
    flow_tail.push('}');
    Pair {
        key: KEY,
        block: ("random_seed:\n  file: /dev/urandom\n  data: \"".into(), block_tail),
        flow: ("\"random_seed\": {\"file\": \"/dev/urandom\", \"data\": \"".into(), flow_tail),
    }
}

/// cloud-init's own rule, which knows nothing of where a header ends.
pub(super) fn is_mime(text: &str) -> bool {
    let start = text.as_bytes().get(..MIME_WITHIN).unwrap_or(text.as_bytes());
    start.to_ascii_lowercase().windows(13).any(|window| window == b"mime-version:")
}

fn unknown(text: &str) -> MergeError {
    let at = text.len() - text.trim_start().len();
    let start = text.trim_start();
    let begins = |with: &str| start.get(..with.len()).is_some_and(|part| part.eq_ignore_ascii_case(with));
    let why = if begins("content-type:") {
        "a MIME message, but without a MIME-Version field at its beginning, by which cloud-init would recognise it"
    } else if start.starts_with('{') && start.contains("\"ignition\"") {
        "this is for Ignition and not for cloud-init"
    } else {
        "cloud-init would not know what this is: it should begin with #cloud-config, #!, or another line of its"
    };
    MergeError::malformed(text, at, why)
}
