//! What a machine gets: made once as far as it has no seed, then filled for each.

use std::path::Path;

use weir_seed::Seed;
use weir_seed::document::{
    MergeError, Options, Template, gzip, ignition, iso9660, meta_data, qemu, user_data,
};
use zeroize::Zeroizing;

use super::{Args, Failure, Format, Old, SeedIn, Source, read, refuse};

/// What is the same for all machines.
pub(super) enum Content {
    /// One file.
    Plain(Template),
    /// A line that says more than the seed.
    Line,
    /// New metadata, with a name and an id for each machine.
    Metadata(Source, Options),
    NoCloud(NoCloud),
}

/// cloud-init's NoCloud: files in a folder, or on a volume.
pub(super) struct NoCloud {
    user_data: UserData,
    network_config: Option<Vec<u8>>,
    is_volume: bool,
    options: Options,
}

enum UserData {
    WithSeed(Template),
    /// The seed is in the metadata.
    AsItIs(Vec<u8>),
}

/// What one machine gets.
pub(super) struct Machine {
    /// Each with its name in a folder, if there is one.
    pub(super) files: Vec<(Option<&'static str>, Zeroizing<Vec<u8>>)>,
    pub(super) instance_id: Option<String>,
    pub(super) hostname: Option<String>,
}

impl Content {
    pub(super) fn new(args: &Args, format: Format, old: Option<Old<'_>>) -> Result<Self, Failure> {
        let options = Options { replace: args.replace, reseed: !args.no_reseed };
        let merged = |new: Template, merge: fn(&[u8], Options) -> Result<Template, MergeError>| match &old {
            None => Ok(new),
            Some(old) => merge(&old.bytes, options).map_err(|error| old.refuse(&error)),
        };
        Ok(match format {
            Format::Raw | Format::Qemu | Format::Esp => Self::Plain(Template::raw()),
            Format::Base64 => Self::Plain(Template::base64()),
            Format::Hex => Self::Plain(Template::hex()),
            Format::Json => Self::Line,
            Format::CloudConfig => Self::Plain(merged(user_data::new(options), user_data::merge)?),
            Format::Ignition => Self::Plain(merged(ignition::new(), ignition::merge)?),
            Format::Metadata => metadata(args, old, options)?,
            Format::Nocloud | Format::Iso => {
                let user_data = match (args.seed_in, &old) {
                    (Some(SeedIn::MetaData), None) => UserData::AsItIs(b"#cloud-config\n{}\n".to_vec()),
                    (Some(SeedIn::MetaData), Some(old)) => UserData::AsItIs(old.bytes.clone()),
                    _ => UserData::WithSeed(merged(user_data::new(options), user_data::merge)?),
                };
                let network_config = args.network_config.as_deref().map(network_config).transpose()?;
                args.check_names()?;
                Self::NoCloud(NoCloud {
                    user_data,
                    network_config,
                    is_volume: format == Format::Iso,
                    options,
                })
            }
        })
    }

    pub(super) fn machine(&self, args: &Args, seed: &Seed, number: u32) -> Result<Machine, Failure> {
        let one = |bytes| Ok(Machine { files: vec![(None, bytes)], instance_id: None, hostname: None });
        match self {
            Self::Plain(template) => one(fit(args, template.fill(seed))?),
            Self::Line => one(line(seed)),
            Self::Metadata(source, options) => {
                let names = args.names(number)?;
                let new = match source {
                    Source::Nocloud => names.nocloud(),
                    Source::Openstack => meta_data::openstack(&names.instance_id, names.hostname.as_deref()),
                };
                let template = merge_metadata(*source)(new.as_bytes(), *options);
                let bytes = template.map_err(|error| Failure::Failed(error.to_string()))?.fill(seed);
                Ok(Machine {
                    files: vec![(None, bytes)],
                    instance_id: Some(names.instance_id),
                    hostname: names.hostname,
                })
            }
            Self::NoCloud(content) => content.machine(args, seed, number),
        }
    }
}

impl NoCloud {
    fn machine(&self, args: &Args, seed: &Seed, number: u32) -> Result<Machine, Failure> {
        let names = args.names(number)?;
        let mut meta_data = Zeroizing::new(names.nocloud().into_bytes());
        let user_data = match &self.user_data {
            UserData::WithSeed(template) => template.fill(seed),
            UserData::AsItIs(bytes) => {
                let template = meta_data::merge_nocloud(&meta_data, self.options);
                meta_data = template.map_err(|error| Failure::Failed(error.to_string()))?.fill(seed);
                Zeroizing::new(bytes.clone())
            }
        };
        let mut files = vec![(Some("meta-data"), meta_data), (Some("user-data"), user_data)];
        if let Some(bytes) = &self.network_config {
            files.push((Some("network-config"), Zeroizing::new(bytes.clone())));
        }
        if self.is_volume {
            let named: Vec<(&str, &[u8])> =
                files.iter().map(|(name, bytes)| (name.unwrap_or_default(), bytes.as_slice())).collect();
            let volume =
                iso9660::volume("cidata", &named).map_err(|error| Failure::Failed(error.to_string()))?;
            files = vec![(None, volume)];
        }
        Ok(Machine { files, instance_id: Some(names.instance_id), hostname: names.hostname })
    }
}

/// What a machine is called.
struct Names {
    instance_id: String,
    hostname: Option<String>,
}

impl Names {
    fn nocloud(&self) -> String {
        meta_data::nocloud(&self.instance_id, self.hostname.as_deref())
    }
}

impl Args {
    fn names(&self, number: u32) -> Result<Names, Failure> {
        let number = self.number(number);
        let instance_id = match &self.instance_id {
            Some(pattern) => pattern.replace("{}", &number),
            None => meta_data::instance_id()?,
        };
        Ok(Names {
            instance_id,
            hostname: self.hostname.as_ref().map(|pattern| pattern.replace("{}", &number)),
        })
    }

    /// A machine's number as text, as long as that of the last, so that names sort.
    pub(super) fn number(&self, number: u32) -> String {
        format!("{number:0width$}", width = self.count.to_string().len())
    }

    /// Before anything is drawn: names that are none, or that two machines would have.
    fn check_names(&self) -> Result<(), Failure> {
        let usage = |error: meta_data::NameError| Failure::Usage(error.to_string());
        for (option, pattern) in [("--hostname", &self.hostname), ("--instance-id", &self.instance_id)] {
            if pattern.as_ref().is_some_and(|pattern| self.count > 1 && !pattern.contains("{}")) {
                let why =
                    format!("all machines would have the same {option}: put {{}} in it, which is the number");
                return Err(Failure::Usage(why));
            }
        }
        let longest = self.count.to_string();
        if let Some(pattern) = &self.hostname {
            meta_data::check_hostname(&pattern.replace("{}", &longest)).map_err(usage)?;
        }
        if let Some(pattern) = &self.instance_id {
            meta_data::check_instance_id(&pattern.replace("{}", &longest)).map_err(usage)?;
        }
        Ok(())
    }
}

fn metadata(args: &Args, old: Option<Old<'_>>, options: Options) -> Result<Content, Failure> {
    let is_json = old.as_ref().is_some_and(Old::is_json);
    let source = args.datasource.unwrap_or(if is_json { Source::Openstack } else { Source::Nocloud });
    let Some(old) = old else {
        args.check_names()?;
        return Ok(Content::Metadata(source, options));
    };
    if args.hostname.is_some() || args.instance_id.is_some() {
        let why = "--hostname and --instance-id are for new metadata: put them into the file that is merged";
        return Err(Failure::Usage(why.into()));
    }
    let merged = merge_metadata(source)(&old.bytes, options).map_err(|error| old.refuse(&error))?;
    Ok(Content::Plain(merged))
}

fn merge_metadata(source: Source) -> fn(&[u8], Options) -> Result<Template, MergeError> {
    match source {
        Source::Nocloud => meta_data::merge_nocloud,
        Source::Openstack => meta_data::merge_openstack,
    }
}

fn network_config(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    meta_data::check_network_config(&bytes).map_err(|error| refuse(path, &error))?;
    Ok(bytes)
}

fn line(seed: &Seed) -> Zeroizing<Vec<u8>> {
    let base64 = seed.base64();
    let (head, tail) = (
        b"{\"base64\": \"".as_slice(),
        format!("\", \"bytes\": {}, \"sha256\": \"{}\"}}\n", seed.expose().len(), seed.fingerprint()),
    );
    let mut line = Zeroizing::new(Vec::with_capacity(head.len() + base64.len() + tail.len()));
    [head, base64.as_bytes(), tail.as_bytes()].iter().for_each(|part| line.extend_from_slice(part));
    line
}

/// Compressed if that is wanted, and short enough.
fn fit(args: &Args, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let pack = |bytes: &[u8]| gzip(bytes).map_err(|error| Failure::Failed(error.to_string()));
    // Nothing that cloud-init knows begins with a brace.
    let is_ignition = bytes.trim_ascii_start().starts_with(b"{");
    let bytes = if args.gzip { pack(&bytes)? } else { bytes };
    let Some(provider) = args.limit else { return Ok(bytes) };
    if args.gzip && !provider.takes_bytes {
        let title = provider.title;
        let why = format!("{title} takes text only: --gzip does not go with it.");
        return Err(Failure::Usage(why + &elsewhere(args, is_ignition)));
    }
    let Err(error) = provider.check(bytes.len()) else { return Ok(bytes) };
    let what = args.merge.as_ref().map_or("it".into(), |path| path.display().to_string());
    let mut advice = String::new();
    if !args.gzip && provider.takes_bytes && !is_ignition {
        let packed = pack(&bytes)?.len();
        advice += &match provider.check(packed) {
            Ok(()) => format!(
                " Compressed it is {packed} bytes, and cloud-init unpacks it by itself:\n  {} --gzip --limit {provider} -o user-data\n\
                 Else:",
                again(args, " -f cloud-config")
            ),
            Err(_) => format!(" Compressed it is {packed} bytes, which is too long as well."),
        };
    }
    advice += &elsewhere(args, is_ignition);
    Err(Failure::Failed(format!("{what} with a seed is too long: {error}.{advice}")))
}

/// How to be done with limits.
fn elsewhere(args: &Args, is_ignition: bool) -> String {
    let (command, pointer) = if is_ignition {
        let source = r#""source": "https://HOST/web1""#;
        let config =
            format!(r#"{{"ignition": {{"version": "3.0.0", "config": {{"replace": {{{source}}}}}}}}}"#);
        (again(args, " -f ignition"), format!("'{config}\\n'"))
    } else {
        (again(args, " -f cloud-config"), r"'#include-once\nhttps://HOST/web1\n'".to_owned())
    };
    format!(
        " Put it where this machine alone can fetch it over https, and give the provider its address:\n  \
         {command} -o web1\n  printf {pointer} > user-data"
    )
}

/// The command that makes the same document, for a shell, as far as the document is concerned.
fn again(args: &Args, format: &str) -> String {
    let mut command = "weir seed new".to_owned();
    match &args.merge {
        Some(path) => command += &format!(" --merge {}", qemu::shell_line(&[path.display().to_string()])),
        None => command += format,
    }
    if let Some(length) = args.bytes {
        command += &format!(" --bytes {length}");
    }
    for (option, is_given) in [(" --replace", args.replace), (" --no-reseed", args.no_reseed)] {
        if is_given {
            command += option;
        }
    }
    command
}
