//! Hosts on a command line, and how they are reached: what pushing and verifying have in common.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_seed::push::parse_hosts;
use weir_seed::ssh::{Host, Ssh};

/// Hosts, and how to reach them.
#[derive(clap::Args)]
pub(super) struct Hosts {
    /// Hosts; aliases of ssh's configuration too
    #[arg(value_name = "[USER@]HOST[:PORT]")]
    named: Vec<Host>,
    /// More of them from a file, one a line, # begins a comment; - for standard input
    #[arg(long = "hosts", value_name = "FILE")]
    list: Option<PathBuf>,
    /// How many at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: u16,
    /// How long a host may take, connection included
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    /// What to run as ssh
    #[arg(long, value_name = "PROGRAM", default_value = "ssh")]
    ssh: OsString,
    /// Configuration file for ssh, as its -F
    #[arg(short = 'F', long, value_name = "FILE")]
    ssh_config: Option<PathBuf>,
    /// Option for ssh, as its -o; several times if need be
    #[arg(short = 'o', long, value_name = "OPTION=VALUE")]
    ssh_option: Vec<OsString>,
}

/// How long a connection may take to come about, within the time for all.
const CONNECT: Duration = Duration::from_secs(10);
/// More than any list of hosts; what is cut there is refused for its length.
const MOST_LIST: u64 = 8 << 20;

impl Hosts {
    /// Those of the command line, then those of the file.
    pub(super) fn all(&self) -> Result<Vec<Host>, String> {
        let mut all = self.named.clone();
        if let Some(path) = &self.list {
            let name = if path.as_os_str() == "-" {
                "standard input".to_owned()
            } else {
                path.display().to_string()
            };
            let text = read(path).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => format!("{name}: not a text file"),
                _ => format!("{name}: {error}"),
            })?;
            all.extend(parse_hosts(&text).map_err(|error| format!("{name}: {error}"))?);
        }
        Ok(all)
    }

    /// Whether a file of hosts was named.
    pub(super) fn have_list(&self) -> bool {
        self.list.is_some()
    }

    /// How many at a time.
    pub(super) fn at_once(&self) -> usize {
        self.at_once.into()
    }

    /// How long a connection may take to come about.
    pub(super) fn connect(&self) -> Duration {
        CONNECT.min(self.limit())
    }

    /// The way to them.
    pub(super) fn ssh(&self) -> Ssh {
        let config = self.ssh_config.iter().flat_map(|path| ["-F".into(), path.into()]);
        let options = self.ssh_option.iter().flat_map(|option| ["-o".into(), option.clone()]);
        Ssh {
            program: self.ssh.clone(),
            arguments: config.chain(options).collect(),
            connect: self.connect(),
            limit: self.limit(),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MOST_LIST).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(MOST_LIST).read_to_string(&mut text)?;
    }
    Ok(text)
}
