//! /etc/weir/seed.conf: what `weir seed fetch` does where its command line says nothing. Lines of `key = value`, and
//! comments after `#`.
//!
//! | key | value | how often |
//! |---|---|---|
//! | `server` | as on the command line | any number of times |
//! | `pin` | `sha256//` and base64 | any number of times |
//! | `ca` | a file | once |
//! | `timeout` | seconds, with decimals | once |
//! | `insecure-http` | `yes` or `no` | once |

use std::path::PathBuf;
use std::time::Duration;

use super::{Pin, Server};

/// Where it is.
pub const PATH: &str = "/etc/weir/seed.conf";
/// No such file is longer.
pub const MAX_BYTES: usize = 64 * 1024;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The servers.
    pub servers: Vec<Server>,
    /// The pins.
    pub pins: Vec<Pin>,
    /// The file of authorities.
    pub ca: Option<PathBuf>,
    /// How long all of it may take.
    pub timeout: Option<Duration>,
    /// Whether servers without TLS may be asked.
    pub insecure_http: bool,
}

/// A line that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ConfigError {
    /// Which, from 1.
    pub line: usize,
    why: String,
}

impl Config {
    /// Understands the file's text.
    ///
    /// # Errors
    /// [`ConfigError`], for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut once = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            config.take(line, &mut once).map_err(|why| ConfigError { line: number + 1, why })?;
        }
        if !config.pins.is_empty() && config.ca.is_some() {
            return Err(ConfigError { line: text.lines().count(), why: "pin or ca, not both".to_owned() });
        }
        Ok(config)
    }

    fn take<'a>(&mut self, line: &'a str, once: &mut Vec<&'a str>) -> Result<(), String> {
        let (key, value) = line.split_once('=').ok_or("it should be key = value")?;
        let (key, value) = (key.trim(), value.trim());
        if !matches!(key, "server" | "pin") {
            if once.contains(&key) {
                return Err(format!("a second {key}"));
            }
            once.push(key);
        }
        match key {
            "server" => {
                self.servers.push(value.parse().map_err(|error: super::ServerError| error.to_string())?)
            }
            "pin" => self.pins.push(value.parse().map_err(|error: super::PinError| error.to_string())?),
            "ca" if !value.is_empty() => self.ca = Some(value.into()),
            "ca" => return Err("ca names no file".to_owned()),
            "timeout" => self.timeout = Some(seconds(value)?),
            "insecure-http" => match value {
                "yes" => self.insecure_http = true,
                "no" => {}
                _ => return Err("insecure-http is yes or no".to_owned()),
            },
            _ => {
                return Err(format!(
                    "there is no {key:?}: there are server, pin, ca, timeout, insecure-http"
                ));
            }
        }
        Ok(())
    }
}

/// A time in seconds, with decimals: from a tenth of a second to ten minutes.
///
/// # Errors
/// What it should be.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time is seconds from 0.1 to 600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_what_the_command_line_would() {
        let pin = include_str!("../../testdata/pinned.pin").trim();
        let text = format!(
            "# ours\nserver = https://a.example\n server=b.example:8443 # second\npin = {pin}\n\ntimeout = 1.5\ninsecure-http = yes\n"
        );
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.servers, ["https://a.example".parse().unwrap(), "b.example:8443".parse().unwrap()]);
        assert_eq!(
            (config.pins.len(), config.timeout, config.insecure_http),
            (1, Some(Duration::from_millis(1500)), true)
        );
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::parse("ca = /etc/ca.pem").unwrap().ca, Some("/etc/ca.pem".into()));
    }

    #[test]
    fn what_it_cannot_say_is_named_with_its_line() {
        let pin = include_str!("../../testdata/pinned.pin").trim();
        for (text, error) in [
            ("server", "line 1: it should be key = value"),
            (
                "\nserver = ftp://x",
                "line 2: \"ftp://x\" names no server: only https and http are spoken; it should be https://host[:port][/path]",
            ),
            (
                "servers = x",
                "line 1: there is no \"servers\": there are server, pin, ca, timeout, insecure-http",
            ),
            ("timeout = 3\ntimeout = 3", "line 2: a second timeout"),
            ("timeout = NaN", "line 1: a time is seconds from 0.1 to 600"),
            ("insecure-http = true", "line 1: insecure-http is yes or no"),
            ("ca =", "line 1: ca names no file"),
        ] {
            assert_eq!(Config::parse(text).unwrap_err().to_string(), error);
        }
        assert!(Config::parse(&format!("ca = x\npin = {pin}")).is_err());
    }
}
