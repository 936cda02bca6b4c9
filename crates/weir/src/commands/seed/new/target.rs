//! Where what is made goes.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use weir_seed::document::esp;

use super::{Args, Failure, Format, Source};

/// A path for each machine.
pub(super) struct Target {
    pub(super) paths: Vec<PathBuf>,
    /// Whether the folder that they are in is ours to make.
    pub(super) makes_folders: bool,
}

impl Target {
    /// `None` is standard output.
    pub(super) fn new(args: &Args, format: Format) -> Result<Option<Self>, Failure> {
        match &args.output {
            None => stdout(args, format).map(|()| None),
            Some(path) if format == Format::Esp => match esp::seed_file(path) {
                Ok(file) => Ok(Some(Self { paths: vec![file], makes_folders: true })),
                Err(why) => Err(Failure::Failed(format!("{}: {why}", path.display()))),
            },
            Some(path) => paths(args, format, path).map(Some),
        }
    }
}

fn stdout(args: &Args, format: Format) -> Result<(), Failure> {
    let refuse = |why: &str| Err(Failure::Usage(why.into()));
    match format {
        Format::Nocloud => return refuse("a folder is made: say where with -o"),
        Format::Qemu => return refuse("a file is made, which QEMU reads: say where with -o"),
        Format::Esp => return refuse("say with -o where the EFI system partition is mounted"),
        _ => {}
    }
    let is_line = matches!(format, Format::Base64 | Format::Hex | Format::Json);
    if args.count > 1 && !is_line {
        return refuse(
            "so many go into a folder, or by a pattern with {}: say where with -o; or take lines: -f base64",
        );
    }
    let is_text = !matches!(format, Format::Raw | Format::Iso) && !args.gzip;
    if !is_text && io::stdout().is_terminal() {
        return refuse(
            "bytes would garble the terminal: send them to a file with -o, or into a pipe; or take -f base64",
        );
    }
    Ok(())
}

/// By the pattern, in the folder, or the file itself.
fn paths(args: &Args, format: Format, path: &Path) -> Result<Target, Failure> {
    let numbers = (1..=args.count).map(|number| args.number(number));
    let text = path.to_str();
    if let Some(text) = text.filter(|text| text.contains("{}")) {
        let paths = numbers.map(|number| text.replace("{}", &number).into()).collect();
        return Ok(Target { paths, makes_folders: false });
    }
    let ends_with_slash = text.is_some_and(|text| text.ends_with(std::path::is_separator));
    let is_folder = path.is_dir() || ends_with_slash;
    let extension = extension(args, format);
    if args.count == 1 {
        // A folder's content goes into the folder that was named.
        let file = if is_folder && format != Format::Nocloud {
            path.join(name("seed", extension))
        } else {
            path.into()
        };
        return Ok(Target { paths: vec![file], makes_folders: ends_with_slash });
    }
    if path.exists() && !is_folder {
        let why = "so many do not go into one file: name a folder, or a pattern with {}";
        return Err(Failure::Usage(format!("{}: {why}", path.display())));
    }
    let paths = numbers.map(|number| path.join(name(&format!("seed-{number}"), extension))).collect();
    Ok(Target { paths, makes_folders: true })
}

fn name(stem: &str, extension: &str) -> PathBuf {
    let mut name = PathBuf::from(stem);
    name.set_extension(OsStr::new(extension));
    name
}

fn extension(args: &Args, format: Format) -> &'static str {
    match format {
        Format::Raw | Format::Qemu | Format::Esp => "bin",
        Format::Base64 => "b64",
        Format::Hex => "hex",
        Format::Json => "json",
        Format::CloudConfig if args.gzip => "gz",
        Format::CloudConfig => match args.merge.as_deref().and_then(Path::extension) {
            Some(old) if old != "yaml" && old != "yml" => "user-data",
            _ => "yaml",
        },
        Format::Ignition => "ign",
        Format::Nocloud => "",
        Format::Iso => "iso",
        Format::Metadata if args.datasource == Some(Source::Openstack) => "json",
        Format::Metadata => "yaml",
    }
}
