//! `weir seed new`: fresh seeds in the form in which a machine takes them.
//!
//! Contract: everything that can be wrong with options and files is found before a seed is drawn; all files of a run are
//! written, or none where it fails; nothing that is there is replaced unless that was asked for; a seed is in what was asked
//! for and nowhere else, least of all in a message.

mod content;
mod target;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Map, Value};
use weir_kernel::clock;
use weir_seed::document::files::{Batch, FileError};
use weir_seed::document::limit::Provider;
use weir_seed::document::{MAX_BYTES, MergeError, esp, qemu};
use weir_seed::{Seed, SeedError};

use self::content::{Content, Machine};
use self::target::Target;

const AFTER_HELP: &str = "\
With -n, every machine gets a seed of its own: -o names a folder, or a pattern in which {} is the machine's number.
Whoever has a document has the seed in it. Give each to one machine, and keep no copy; a manifest keeps the SHA-256.

Exit status: 0 written, 1 failed (nothing was written), 2 wrong usage, 3 the kernel's generator is not ready yet.

Examples:
  weir seed new -f cloud-config                             user-data with a seed and nothing else
  weir seed new --merge user-data.yaml -o out.yaml          the same with all that you have there
  weir seed new --merge user-data.yaml -n 50 -o seeds/      fifty, each with another seed
  weir seed new --merge setup.sh --limit ec2 -o user-data   a script, with a cloud-config part beside it
  weir seed new --merge config.ign -o web.ign               Ignition
  weir seed new -f iso --hostname web1 -o web1.iso          a disk that cloud-init looks for (NoCloud)
  weir seed new -f qemu -o web1.seed                        a file, and QEMU's arguments for it
  weir seed new -f base64 -n 3                              three lines

docs/seeding/new.md says what each form is good for.";

/// Make fresh seeds, as user-data, Ignition, a disk, or plain bytes; or add one to what you have
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// In which form [default: raw, or with --merge the one that the file has]
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// For how many machines, each with a seed of its own
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Where to [default: standard output]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Length of a seed, 32 to 4096 [default: 64; 32 for esp]
    #[arg(long, value_name = "N")]
    bytes: Option<usize>,
    /// Add the seed to this document and change nothing else in it; - is standard input
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
    /// Let it take the place of a seed that is there
    #[arg(long, requires = "merge")]
    replace: bool,
    /// Leave out what has the guest's kernel look at the seed at once
    #[arg(long)]
    no_reseed: bool,
    /// Refuse user-data that is too long for a provider: ec2, azure, gce, openstack, digitalocean, hetzner, ibm, vsphere
    #[arg(long, value_name = "PROVIDER")]
    limit: Option<Provider>,
    /// Compress user-data, which cloud-init unpacks by itself
    #[arg(long)]
    gzip: bool,
    /// The machine's name (nocloud, iso, metadata); {} in it is the machine's number
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// The machine's id (nocloud, iso, metadata) [default: a random UUID]
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
    /// Its network (nocloud, iso)
    #[arg(long, value_name = "FILE")]
    network_config: Option<PathBuf>,
    /// Which of its files carries the seed (nocloud, iso) [default: user-data]
    #[arg(long, value_enum, value_name = "FILE")]
    seed_in: Option<SeedIn>,
    /// Whose metadata (metadata) [default: nocloud, or with --merge the one whose form the file has]
    #[arg(long, value_enum, value_name = "NAME")]
    datasource: Option<Source>,
    /// Write which file got which seed, by its SHA-256: a line of JSON for each
    #[arg(long, value_name = "FILE", requires = "output")]
    manifest: Option<PathBuf>,
    /// Print the same lines
    #[arg(long, requires = "output")]
    json: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The bytes
    Raw,
    /// A line of base64
    Base64,
    /// A line of hexadecimal digits
    Hex,
    /// A line of JSON: base64, length, SHA-256
    Json,
    /// User-data for cloud-init
    CloudConfig,
    /// A configuration for Ignition 3
    Ignition,
    /// A folder with user-data and meta-data, as cloud-init's NoCloud takes it
    Nocloud,
    /// The same as a disk image labelled cidata
    Iso,
    /// Metadata for NoCloud or OpenStack
    Metadata,
    /// A file of raw bytes, and arguments for QEMU on standard output
    Qemu,
    /// systemd-boot's seed, into the EFI system partition that is mounted at PATH
    Esp,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SeedIn {
    UserData,
    MetaData,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    Nocloud,
    Openstack,
}

/// Why nothing was written.
enum Failure {
    Usage(String),
    Failed(String),
    Output(io::Error),
    NotReady,
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let advice = if error.is_there() { " (--force replaces it)" } else { "" };
        Self::Failed(format!("{error}{advice}"))
    }
}

impl From<weir_kernel::Error> for Failure {
    fn from(error: weir_kernel::Error) -> Self {
        if error.is_retryable() { Self::NotReady } else { Self::Failed(error.to_string()) }
    }
}

impl From<SeedError> for Failure {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Kernel(error) => error.into(),
            other => Self::Usage(other.to_string()),
        }
    }
}

const NOT_READY: u8 = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    let (message, status) = match make(args) {
        Ok(()) => return ExitCode::SUCCESS,
        // Who closed the pipe has had enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(Failure::Output(error)) => (format!("standard output: {error}"), 1),
        Err(Failure::Failed(message)) => (message, 1),
        Err(Failure::Usage(message)) => (message, 2),
        Err(Failure::NotReady) => (
            "the kernel's random number generator is not ready yet, so nothing was made; see what it lacks with \
             `weir doctor`"
                .to_owned(),
            NOT_READY,
        ),
    };
    complain(&message);
    ExitCode::from(status)
}

/// If even that cannot be written, nobody is there to read it.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "weir: {message}");
}

fn make(args: &Args) -> Result<(), Failure> {
    let old = args.old()?;
    let format = args.format(old.as_ref());
    args.check(format)?;
    let content = Content::new(args, format, old)?;
    let target = Target::new(args, format)?;
    let length = args.bytes.unwrap_or(if format == Format::Esp { esp::BYTES } else { Seed::BYTES });
    match target {
        None => print(args, &content, length),
        Some(target) => write(args, format, &content, length, &target),
    }
}

/// A seed, and what carries it to a machine.
fn next(args: &Args, content: &Content, length: usize, number: u32) -> Result<(Seed, Machine), Failure> {
    let seed = Seed::draw_of(length)?;
    let machine = content.machine(args, &seed, number)?;
    Ok((seed, machine))
}

fn print(args: &Args, content: &Content, length: usize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for number in 1..=args.count {
        let (_, machine) = next(args, content, length, number)?;
        for (_, bytes) in &machine.files {
            out.write_all(bytes).map_err(Failure::Output)?;
        }
    }
    out.flush().map_err(Failure::Output)?;
    if io::stdout().is_terminal() {
        complain("whoever sees this has the seed: give it to one machine, and keep no copy");
    }
    Ok(())
}

fn write(
    args: &Args,
    format: Format,
    content: &Content,
    length: usize,
    target: &Target,
) -> Result<(), Failure> {
    let mut batch = Batch::new(args.force);
    let mut lines = String::new();
    let mut arguments = String::new();
    for (number, path) in (1..).zip(&target.paths) {
        let (seed, machine) = next(args, content, length, number)?;
        for (name, bytes) in &machine.files {
            let file = name.map_or_else(|| path.clone(), |name| path.join(name));
            if target.makes_folders || name.is_some() {
                batch.folder(file.parent().unwrap_or(Path::new("")))?;
            }
            batch.add(&file, bytes)?;
        }
        lines.push_str(&format!("{}\n", Value::from(record(format, path, &seed, &machine))));
        if format == Format::Qemu {
            arguments.push_str(&qemu_line(path)?);
        }
    }
    if let Some(manifest) = &args.manifest {
        batch.add(manifest, lines.as_bytes())?;
    }
    batch.finish()?;
    let mut out = io::stdout().lock();
    let said = if args.json { lines } else { arguments };
    out.write_all(said.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// What may be known of it by everybody.
fn record(format: Format, path: &Path, seed: &Seed, machine: &Machine) -> Map<String, Value> {
    let format = format.to_possible_value().map(|value| value.get_name().to_owned());
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| record.insert(name.to_owned(), value);
    put("file", path.display().to_string().into());
    put("format", format.into());
    put("bytes", seed.expose().len().into());
    put("sha256", seed.fingerprint().into());
    put("at", clock::unix_seconds().into());
    for (name, value) in [("instance_id", &machine.instance_id), ("hostname", &machine.hostname)] {
        if let Some(value) = value {
            put(name, value.as_str().into());
        }
    }
    record
}

fn qemu_line(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let arguments = qemu::arguments(&whole)
        .ok_or_else(|| Failure::Failed(format!("{}: QEMU's arguments have to be UTF-8", path.display())))?;
    Ok(qemu::shell_line(&arguments) + "\n")
}

impl Args {
    /// The document to merge with, by its name.
    fn old(&self) -> Result<Option<Old<'_>>, Failure> {
        self.merge.as_deref().map(|path| read(path).map(|bytes| Old { path, bytes })).transpose()
    }

    /// What was asked for, or what the document is.
    fn format(&self, old: Option<&Old<'_>>) -> Format {
        match (self.format, old) {
            (Some(format), _) => format,
            (None, None) => Format::Raw,
            // Nothing that cloud-init knows begins with a brace.
            (None, Some(old)) if old.is_json() => Format::Ignition,
            (None, Some(_)) => Format::CloudConfig,
        }
    }

    /// Whether all options fit the format and each other.
    fn check(&self, format: Format) -> Result<(), Failure> {
        use Format::{CloudConfig, Esp, Ignition, Iso, Metadata, Nocloud, Qemu};
        let named = [Nocloud, Iso, Metadata];
        let user_data = [CloudConfig, Nocloud, Iso];
        let options: [(&str, bool, &[Format]); 9] = [
            ("--merge", self.merge.is_some(), &[CloudConfig, Ignition, Nocloud, Iso, Metadata]),
            ("--no-reseed", self.no_reseed, &user_data),
            ("--limit", self.limit.is_some(), &[CloudConfig, Ignition]),
            ("--gzip", self.gzip, &[CloudConfig]),
            ("--hostname", self.hostname.is_some(), &named),
            ("--instance-id", self.instance_id.is_some(), &named),
            ("--network-config", self.network_config.is_some(), &[Nocloud, Iso]),
            ("--seed-in", self.seed_in.is_some(), &[Nocloud, Iso]),
            ("--datasource", self.datasource.is_some(), &[Metadata]),
        ];
        let name = |format: &Format| {
            format.to_possible_value().map_or(String::new(), |value| value.get_name().into())
        };
        if let Some((option, _, formats)) =
            options.iter().find(|(_, given, fit)| *given && !fit.contains(&format))
        {
            let formats = formats.iter().map(name).collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!("{option} goes with --format {formats}")));
        }
        if format == Esp && self.count > 1 {
            return Err(Failure::Usage(
                "one partition takes one seed: -n does not go with --format esp".into(),
            ));
        }
        if self.json && format == Qemu {
            return Err(Failure::Usage(
                "the arguments go to standard output; use --manifest for the record".into(),
            ));
        }
        if let Some(length @ (..Seed::MIN_BYTES | 4097..)) = self.bytes {
            let error = if length < Seed::MIN_BYTES {
                SeedError::TooShort(length)
            } else {
                SeedError::TooLong(length)
            };
            return Err(error.into());
        }
        Ok(())
    }
}

/// A document that the seed is added to.
struct Old<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
}

impl Old<'_> {
    fn is_json(&self) -> bool {
        self.bytes.trim_ascii_start().starts_with(b"{")
    }

    /// What is wrong with it, with its place as compilers name it.
    fn refuse(&self, error: &MergeError) -> Failure {
        refuse(self.path, error)
    }
}

/// A file that somebody named, or standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(failed)?;
    }
    Ok(bytes)
}

/// What is wrong with a file, with its place as compilers name it.
fn refuse(path: &Path, error: &MergeError) -> Failure {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let place = error.place().map(|place| format!(":{place}")).unwrap_or_default();
    let advice =
        if matches!(error, MergeError::Present { .. }) { " (--replace puts a new one there)" } else { "" };
    Failure::Failed(format!("{name}{place}: {error}{advice}"))
}
