//! How a source is named: `jitter`, `file:/dev/foo`, `command:/usr/bin/foo an argument`.
//!
//! Parsing checks all that can be known without looking at the machine; it opens nothing.

use std::str::FromStr;
use std::{error, fmt};

use super::{KINDS, Kind, Use};

/// The longest name of a source, in bytes.
const MAX_BYTES: usize = 4096;

/// A source, named.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    kind: &'static Kind,
    text: String,
}

impl Spec {
    /// A kind that needs no argument.
    pub(crate) fn of(kind: &'static Kind) -> Self {
        Self { kind, text: kind.name.to_owned() }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The whole name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text
    }

    /// What follows the colon; empty for a kind without argument.
    #[must_use]
    pub fn argument(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, argument)| argument)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_BYTES {
            return Err(SpecError::TooLong);
        }
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| SpecError::Unknown(name.chars().take(40).collect()))?;
        match (kind.argument, argument) {
            (None, Some(_)) => return Err(SpecError::TooMuch { kind: kind.name }),
            (Some(what), None | Some("")) => return Err(SpecError::Missing { kind: kind.name, what }),
            (Some(_), Some(argument)) => check(kind, argument)?,
            (None, None) => {}
        }
        Ok(Self { kind, text: text.to_owned() })
    }
}

/// Arguments are paths, perhaps with words after them.
fn check(kind: &'static Kind, argument: &str) -> Result<(), SpecError> {
    if !argument.starts_with('/') {
        return Err(SpecError::Relative { kind: kind.name });
    }
    if argument.chars().any(char::is_control) {
        return Err(SpecError::ControlCharacter { kind: kind.name });
    }
    Ok(())
}

/// Why a text names no source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// There is no kind of this name.
    Unknown(String),
    /// The kind takes no argument.
    TooMuch {
        /// The kind.
        kind: &'static str,
    },
    /// The kind needs an argument.
    Missing {
        /// The kind.
        kind: &'static str,
        /// What has to follow its name.
        what: &'static str,
    },
    /// The path does not begin with a slash.
    Relative {
        /// The kind.
        kind: &'static str,
    },
    /// A control character, a zero byte or the end of a line say, in the argument.
    ControlCharacter {
        /// The kind.
        kind: &'static str,
    },
    /// Longer than 4096 bytes.
    TooLong,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no source {name:?}; there are")?;
                let usable = KINDS.iter().filter(|kind| kind.default != Use::Never);
                for (index, kind) in usable.enumerate() {
                    f.write_str(if index == 0 { " " } else { ", " })?;
                    f.write_str(kind.name)?;
                    if let Some(argument) = kind.argument {
                        write!(f, ":{argument}")?;
                    }
                }
                Ok(())
            }
            Self::TooMuch { kind } => write!(f, "the source {kind} takes no argument"),
            Self::Missing { kind, what } => write!(f, "the source {kind} needs {what}: {kind}:{what}"),
            Self::Relative { kind } => write!(f, "the source {kind} needs a path that begins with a slash"),
            Self::ControlCharacter { kind } => {
                write!(f, "the argument of the source {kind} has a control character in it")
            }
            Self::TooLong => write!(f, "the name of a source is longer than {MAX_BYTES} bytes"),
        }
    }
}

impl error::Error for SpecError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, SpecError> {
        text.parse()
    }

    #[test]
    fn names_are_taken_whole_and_given_back() {
        for text in ["jitter", "rdseed", "rdrand", "rndr", "hwrng", "tpm", "kernel"] {
            let spec = parse(text).expect("a kind");
            assert_eq!((spec.kind().name, spec.argument(), spec.to_string().as_str()), (text, "", text));
        }
        let spec = parse("command:/usr/bin/foo a:b c").expect("a command");
        assert_eq!((spec.kind().name, spec.argument()), ("command", "/usr/bin/foo a:b c"));
        assert_eq!(parse("file:/dev/foo").expect("a file").argument(), "/dev/foo");
        assert_eq!(parse("fifo:/run/x").expect("a fifo").argument(), "/run/x");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        assert_eq!(parse("Jitter"), Err(SpecError::Unknown("Jitter".into())));
        assert_eq!(parse(""), Err(SpecError::Unknown(String::new())));
        assert_eq!(parse("jitter:"), Err(SpecError::TooMuch { kind: "jitter" }));
        assert_eq!(parse("file"), Err(SpecError::Missing { kind: "file", what: "PATH" }));
        assert_eq!(parse("fifo:"), Err(SpecError::Missing { kind: "fifo", what: "PATH" }));
        assert_eq!(parse("file:dev/foo"), Err(SpecError::Relative { kind: "file" }));
        assert_eq!(parse("command:/bin/x\0y"), Err(SpecError::ControlCharacter { kind: "command" }));
        assert_eq!(parse(&format!("file:/{}", "x".repeat(MAX_BYTES))), Err(SpecError::TooLong));
        let text = parse("haveged").expect_err("no kind").to_string();
        assert!(text.contains("\"haveged\"") && text.contains("jitter, rdseed"), "{text}");
        assert!(text.contains("file:PATH") && !text.contains("kernel"), "{text}");
    }
}
