//! The command line: one list of options, from which parsing and help both come.
//!
//! Options of haveged that mean the same here are understood, so that its unit file runs this daemon with another path:
//! `-F`, `-w`, `-v`, `-p`, `--once`, and their long forms. Its others tune a generator that does not exist here, and are
//! refused by name.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use weir_entropy::{Credit, Spec};

use crate::log::Level;
use crate::word::Place;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) command: Command,
    /// In bits, on kernels that count to 4096.
    pub(crate) watermark_bits: u32,
    pub(crate) interval: Duration,
    /// Empty: those that make sense by themselves.
    pub(crate) sources: Vec<Spec>,
    pub(crate) credit: Vec<Credit>,
    /// What a seed file may be credited with at most, in bits.
    pub(crate) seed_credit_bits: u32,
    pub(crate) if_useful: bool,
    pub(crate) budget: Duration,
    pub(crate) words: Vec<Place>,
    pub(crate) hooks: Option<PathBuf>,
    pub(crate) run_dir: PathBuf,
    /// `None`: no seed file.
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) metrics: Option<PathBuf>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) level: Level,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Run,
    Once,
    Status,
    RunHooks,
    Help,
    Version,
}

/// An option: how it is written, what it takes, what it does.
struct Opt {
    short: Option<char>,
    long: &'static str,
    value: Option<&'static str>,
    help: &'static str,
}

const fn opt(
    short: Option<char>,
    long: &'static str,
    value: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt { short, long, value, help }
}

const OPTIONS: &[Opt] = &[
    opt(None, "once", None, "Make the kernel ready if it is not, feed it, reseed it, and end"),
    opt(None, "status", None, "Say what the running daemon does and last did"),
    opt(None, "json", None, "With --status: one JSON document"),
    opt(None, "run-hooks", None, "Run the hooks of the present generation, unless they were run, and end"),
    opt(None, "if-useful", None, "End at once, saying so, on a host where a daemon does no good"),
    opt(
        Some('w'),
        "write",
        Some("BITS"),
        "Keep the kernel's estimate above this, on kernels that count to 4096 (64 to 4096) [1024]",
    ),
    opt(None, "interval", Some("SECONDS"), "Between two reseeds (60 to 86400) [600]"),
    opt(None, "source", Some("SOURCE"), "Use this source; may be given several times [all that are there]"),
    opt(
        None,
        "credit",
        Some("SOURCE=BITS"),
        "Credit at most so much for a sample of the source, or for the seed file",
    ),
    opt(
        None,
        "budget",
        Some("SECONDS"),
        "With --once: how long to try to make the kernel ready (1 to 600) [10]",
    ),
    opt(
        None,
        "word",
        Some("PLACE"),
        "Hear the hypervisor's word at unix:PATH, vsock:PORT or device:PATH; may be given several times",
    ),
    opt(
        None,
        "hooks",
        Some("DIR"),
        "Run the programs in this folder after a clone [with --run-hooks: /etc/weir/clone.d]",
    ),
    opt(
        None,
        "run-dir",
        Some("DIR"),
        "Status and generation number [$RUNTIME_DIRECTORY, else /run/weir-feed]",
    ),
    opt(None, "state-dir", Some("DIR"), "The seed file [$STATE_DIRECTORY, else /var/lib/weir-feed]"),
    opt(None, "no-seed-file", None, "Neither use nor keep a seed file"),
    opt(None, "metrics", Some("FILE"), "Write metrics there, in Prometheus' text format"),
    opt(Some('p'), "pidfile", Some("FILE"), "Write the process's number there"),
    opt(Some('F'), "Foreground", None, "Stay in the foreground, as the daemon does anyway"),
    opt(Some('v'), "verbose", Some("LEVEL"), "0 warnings, 1 what it does, 2 each round [1]"),
    opt(Some('h'), "help", None, "Print help"),
    opt(Some('V'), "version", None, "Print version"),
];

/// What haveged has and this daemon cannot have.
const HAVEGED: &[&str] =
    &["buffer", "data", "file", "inst", "number", "onlinetest", "time", "chroot", "command"];

const HAVEGED_LETTERS: &str = "bcdfinort";

impl Options {
    fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        // systemd may name several folders with colons between them; the first is the daemon's own.
        let folder = |name: &str, default: &str| {
            let said = variable(name).and_then(|value| value.into_string().ok());
            let first =
                said.as_deref().and_then(|value| value.split(':').next()).filter(|dir| !dir.is_empty());
            PathBuf::from(first.unwrap_or(default))
        };
        Self {
            command: Command::Run,
            watermark_bits: 1024,
            interval: Duration::from_secs(600),
            sources: Vec::new(),
            credit: Vec::new(),
            seed_credit_bits: u32::MAX,
            if_useful: false,
            budget: Duration::from_secs(10),
            words: Vec::new(),
            hooks: None,
            run_dir: folder("RUNTIME_DIRECTORY", "/run/weir-feed"),
            state_dir: Some(folder("STATE_DIRECTORY", "/var/lib/weir-feed")),
            metrics: None,
            pid_file: None,
            json: false,
            level: Level::Info,
        }
    }

    /// Parses the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let mut options = Self::new(variable);
        let mut parser = lexopt::Parser::from_iter(arguments);
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            let known = match &argument {
                Short(letter) => OPTIONS.iter().find(|option| option.short == Some(*letter)),
                Long(name) => OPTIONS.iter().find(|option| option.long == *name),
                Value(_) => None,
            };
            let Some(option) = known else { return Err(unknown(&argument)) };
            let value = match option.value {
                Some(_) => text(parser.value())?,
                None => String::new(),
            };
            options.set(option.long, &value).map_err(|why| format!("--{}: {why}", option.long))?;
        }
        options.check()
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "once" => self.command = Command::Once,
            "status" => self.command = Command::Status,
            "run-hooks" => self.command = Command::RunHooks,
            "help" => self.command = Command::Help,
            "version" => self.command = Command::Version,
            "json" => self.json = true,
            "if-useful" => self.if_useful = true,
            "write" => self.watermark_bits = number(value, 64, 4096)?,
            "interval" => self.interval = Duration::from_secs(number(value, 60, 86_400)?.into()),
            "budget" => self.budget = Duration::from_secs(number(value, 1, 600)?.into()),
            "source" => self.sources.push(value.parse().map_err(|error| format!("{error}"))?),
            "credit" => self.lower(value)?,
            "word" => self.words.push(value.parse()?),
            "hooks" => self.hooks = Some(path(value)?),
            "run-dir" => self.run_dir = path(value)?,
            "state-dir" => self.state_dir = Some(path(value)?),
            "no-seed-file" => self.state_dir = None,
            "metrics" => self.metrics = Some(path(value)?),
            "pidfile" => self.pid_file = Some(path(value)?),
            "verbose" => self.level = level(value)?,
            _ => {}
        }
        Ok(())
    }

    fn lower(&mut self, value: &str) -> Result<(), String> {
        match value.strip_prefix("seed=") {
            Some(bits) => self.seed_credit_bits = number(bits, 0, 256)?,
            None => self.credit.push(value.parse().map_err(|error| format!("{error}"))?),
        }
        Ok(())
    }

    fn check(self) -> Result<Self, String> {
        if self.json && self.command != Command::Status {
            return Err("--json goes with --status".to_owned());
        }
        Ok(self)
    }
}

fn text(value: Result<OsString, lexopt::Error>) -> Result<String, String> {
    let value = value.map_err(|error| error.to_string())?;
    value.into_string().map_err(|value| format!("{} is not UTF-8", value.display()))
}

fn unknown(argument: &lexopt::Arg<'_>) -> String {
    match argument {
        Short(letter) if HAVEGED_LETTERS.contains(*letter) => foreign(&format!("-{letter}")),
        Short(letter) => format!("unknown option -{letter}; see --help"),
        Long(name) if HAVEGED.contains(name) => foreign(&format!("--{name}")),
        Long(name) => format!("unknown option --{name}; see --help"),
        Value(value) => format!("unexpected \"{}\"; see --help", value.display()),
    }
}

fn foreign(option: &str) -> String {
    format!("{option} is haveged's and tunes its generator, which this daemon does not have; leave it out")
}

fn number(value: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("\"{value}\" is not a number from {least} to {most}"))
}

fn path(value: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_absolute() { Ok(path) } else { Err(format!("\"{value}\" is not an absolute path")) }
}

fn level(value: &str) -> Result<Level, String> {
    // haveged's is a set of bits; beyond the first two they concern its generator.
    Ok(match number(value, 0, 255)? {
        0 => Level::Warning,
        1 => Level::Info,
        _ => Level::Debug,
    })
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Makes the kernel's random number generator ready, keeps it fed, and notices when the machine was cloned.\n\n\
         Usage: weir-feed [OPTIONS]\n\nOptions:\n",
    );
    for option in OPTIONS {
        let short = option.short.map_or("   ".to_owned(), |letter| format!("-{letter},"));
        let long =
            format!("--{}{}", option.long, option.value.map_or(String::new(), |value| format!(" {value}")));
        let _ = writeln!(text, "  {short} {long:<22} {}", option.help);
    }
    text.push_str("\nSources:\n");
    for kind in weir_entropy::source::KINDS {
        let _ = writeln!(text, "  {:<26} {}", kind.name, kind.summary);
    }
    text.push_str(
        "\nExit status: 0 done, or of no use here (--if-useful); 1 failed; 2 the command line is wrong; \
         3 --status: no daemon runs;\n77 the kernel does not let this process feed it.\n\n\
         Signals: TERM and INT end it, USR1 writes its status to the log.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let arguments = std::iter::once("weir-feed").chain(line.split_whitespace()).map(OsString::from);
        Options::parse(arguments, |_| None)
    }

    #[test]
    fn a_unit_file_of_haveged_is_understood() {
        let options = parse("--Foreground --verbose=1 -w 2048 -p /run/haveged.pid").unwrap();
        assert_eq!(
            (options.command, options.watermark_bits, options.level),
            (Command::Run, 2048, Level::Info)
        );
        assert_eq!(options.pid_file, Some(PathBuf::from("/run/haveged.pid")));
        assert_eq!(parse("-F -w1024 -v 33").unwrap().level, Level::Debug);
        assert!(parse("--data 16").unwrap_err().contains("haveged"));
        assert!(parse("-d 16").unwrap_err().contains("haveged"));
    }

    #[test]
    fn folders_are_those_that_systemd_names() {
        let named = |name: &str| (name == "STATE_DIRECTORY").then(|| "/var/lib/a:/var/lib/b".into());
        let options = Options::parse([OsString::from("weir-feed")], named).unwrap();
        assert_eq!(options.state_dir, Some(PathBuf::from("/var/lib/a")));
        assert_eq!(options.run_dir, PathBuf::from("/run/weir-feed"));
        assert_eq!(parse("--no-seed-file").unwrap().state_dir, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, why) in [
            ("-w 0", "64 to 4096"),
            ("-w 4097", "64 to 4096"),
            ("--interval 59", "60 to 86400"),
            ("--hooks clone.d", "absolute"),
            ("--word tcp:1", "unix:PATH"),
            ("--json", "--status"),
            ("--source lava", "lava"),
            ("--credit seed=257", "0 to 256"),
            ("--verbose", "--verbose"),
            ("--colour", "--colour"),
            ("extra", "extra"),
            ("--once=yes", "once"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn the_manual_page_names_every_option() {
        let page = include_str!("../../../packaging/weir-feed/weir-feed.8").replace("\\-", "-");
        for option in OPTIONS {
            assert!(page.contains(&format!("--{}", option.long)), "--{}", option.long);
        }
    }

    #[test]
    fn help_names_every_option_and_every_source() {
        let help = help();
        assert!(OPTIONS.iter().all(|option| help.contains(option.long)));
        assert!(weir_entropy::source::KINDS.iter().all(|kind| help.contains(kind.name)));
    }
}
