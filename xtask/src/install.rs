//! `cargo xtask install-ffi`: builds libweir and puts it where programs look for it.
//!
//! ```text
//! PREFIX/include/weir.h
//! PREFIX/lib/libweir.so -> libweir.so.0 -> libweir.so.0.1.0
//! PREFIX/lib/libweir.a
//! PREFIX/lib/pkgconfig/weir.pc
//! PREFIX/share/lua/5.1/resty/weir.lua
//! ```
//!
//! The static library is one object that has no names but `weir_…`: what Cargo makes brings along names of Rust's own
//! libraries, which clash when a program is linked with two such libraries, and the constructor that
//! `crates/weir-ffi/no-constructor.ld` takes out of the shared one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{packages, process, workspace};

/// Build libweir and install it with its header, pkg-config file and Lua module
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it will be used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,

    /// Put everything under this folder instead, for a package; `prefix` is then only what weir.pc says
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,

    /// The folder of the libraries; `lib` of the prefix, if not given
    #[arg(long, value_name = "DIR")]
    libdir: Option<PathBuf>,

    /// The folder of Lua modules; `share/lua/5.1` of the prefix, if not given
    #[arg(long, value_name = "DIR")]
    luadir: Option<PathBuf>,

    /// Take libweir.so and libweir.a from this folder, as Cargo built them for another machine say, instead of building them
    #[arg(long, value_name = "DIR", conflicts_with = "profile")]
    from: Option<PathBuf>,

    /// Cargo's profile to build with
    #[arg(long, value_name = "PROFILE", default_value = "dist")]
    profile: String,
}

/// The folders, as they are when the library is in use.
struct Folders {
    prefix: PathBuf,
    include: PathBuf,
    lib: PathBuf,
    lua: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    packages::ensure(packages::INSTALL_FFI)?;
    let folders = Folders::new(args)?;
    let version = version()?;
    let built = match &args.from {
        Some(folder) => folder.clone(),
        None => build(&args.profile)?,
    };
    let into = |folder: &Path| match &args.destdir {
        Some(destdir) => destdir.join(folder.strip_prefix("/").unwrap_or(folder)),
        None => folder.to_owned(),
    };
    let (include, lib, lua) = (into(&folders.include), into(&folders.lib), into(&folders.lua));
    let (pkgconfig, resty) = (lib.join("pkgconfig"), lua.join("resty"));
    for folder in [&include, &pkgconfig, &resty] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let source = workspace::root().join("crates/weir-ffi");
    put(&source.join("include/weir.h"), &include.join("weir.h"), 0o644)?;
    put(&source.join("lua/resty/weir.lua"), &resty.join("weir.lua"), 0o644)?;
    write(&pkgconfig.join("weir.pc"), &pkg_config(&folders, &version))?;
    shared(&built.join("libweir.so"), &lib, &version)?;
    archive(&built.join("libweir.a"), &lib.join("libweir.a"))?;
    println!("installed libweir {version} in {}", into(&folders.prefix).display());
    Ok(ExitCode::SUCCESS)
}

impl Folders {
    fn new(args: &Args) -> Result<Self> {
        let whole = |folder: &Path| -> Result<PathBuf> {
            let text = folder.to_str().context("a folder has to be named in UTF-8")?;
            // pkg-config would read such a name as several words, or as one of its variables.
            if text.contains(|c: char| c.is_whitespace() || "\"'\\$#".contains(c)) {
                bail!("{text:?}: a folder's name must have no blanks, quotes, backslashes, $ or #");
            }
            Ok(std::path::absolute(folder)?)
        };
        let prefix = whole(&args.prefix)?;
        let or = |given: &Option<PathBuf>, usual: &str| match given {
            Some(folder) => whole(folder),
            None => Ok(prefix.join(usual)),
        };
        Ok(Self {
            include: prefix.join("include"),
            lib: or(&args.libdir, "lib")?,
            lua: or(&args.luadir, "share/lua/5.1")?,
            prefix,
        })
    }
}

/// The version of the crate, which is that of the library.
fn version() -> Result<String> {
    let metadata = workspace::metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let ffi = packages.iter().find(|package| package["name"] == "weir-ffi").context("no weir-ffi")?;
    Ok(ffi["version"].as_str().context("weir-ffi has no version")?.to_owned())
}

/// Builds the libraries, and tells in which folder they are.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    process::check(&mut workspace::cargo([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "weir-ffi",
        "--profile",
        profile,
    ]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(workspace::target()?.join(folder))
}

/// The shared library under its three names.
fn shared(from: &Path, lib: &Path, version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    let (whole, soname) = (format!("libweir.so.{version}"), format!("libweir.so.{major}"));
    let file = lib.join(&whole);
    put(from, &file, 0o755)?;
    process::check(Command::new("strip").arg("--strip-unneeded").arg(&file))?;
    link(&whole, &lib.join(&soname))?;
    link(&soname, &lib.join("libweir.so"))
}

/// The static library: everything that the interface needs as one object, whose other names are its own.
fn archive(from: &Path, to: &Path) -> Result<()> {
    let folder = workspace::target()?.join(format!("install-ffi-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (whole, object) = (folder.join("whole.o"), folder.join("weir.o"));
    let mut linker = Command::new("ld");
    linker.args(["--relocatable", "--gc-sections"]);
    linker.args(exports()?.iter().flat_map(|name| ["--undefined", name]));
    process::check(linker.arg("--output").arg(&whole).arg(from))?;
    // Rust's own libraries carry bitcode, which other compilers' tools of another version stumble over.
    let mut copy = Command::new("objcopy");
    copy.args(["--wildcard", "--keep-global-symbol=weir_*", "--strip-unneeded"]);
    copy.args([".init_array.00099", ".llvmbc", ".llvmcmd"].map(|name| format!("--remove-section={name}")));
    process::check(copy.arg(&whole).arg(&object))?;
    remove(to)?;
    process::check(Command::new("ar").arg("rcsD").arg(to).arg(&object))?;
    Ok(fs::remove_dir_all(&folder)?)
}

/// The names of the functions, as the header declares them.
fn exports() -> Result<Vec<String>> {
    let header = fs::read_to_string(workspace::root().join("crates/weir-ffi/include/weir.h"))?;
    let declared = header.lines().filter(|line| line.ends_with(';') && !line.starts_with([' ', '#', '/']));
    let name = |line: &str| {
        let before = line.split('(').next()?;
        Some(before.rsplit([' ', '*']).next()?.to_owned())
    };
    let names: Vec<_> = declared.filter_map(name).filter(|name| name.starts_with("weir_")).collect();
    if names.is_empty() {
        bail!("weir.h declares nothing");
    }
    Ok(names)
}

fn pkg_config(folders: &Folders, version: &str) -> String {
    // Under the prefix by its variable, so that `pkg-config --define-variable=prefix=…` moves all of it.
    let by_prefix = |folder: &Path| match folder.strip_prefix(&folders.prefix) {
        Ok(rest) => format!("${{prefix}}/{}", rest.display()),
        Err(_) => folder.display().to_string(),
    };
    format!(
        "prefix={}\nincludedir={}\nlibdir={}\nluadir={}\n\n\
         Name: weir\n\
         Description: Draws, tokens, UUIDs and uniform integers from the kernel's random number generator\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -lweir\n\
         Libs.private: -pthread -lm\n",
        folders.prefix.display(),
        by_prefix(&folders.include),
        by_prefix(&folders.lib),
        by_prefix(&folders.lua),
    )
}

/// Copies a file. What is there is replaced, not written over: programs may have it mapped.
pub(crate) fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    remove(to)?;
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

pub(crate) fn write(file: &Path, text: &str) -> Result<()> {
    remove(file)?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn link(to: &str, name: &Path) -> Result<()> {
    remove(name)?;
    symlink(to, name).with_context(|| name.display().to_string())
}

/// Removes a file that may not be there.
pub(crate) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| file.display().to_string())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(prefix: &str, libdir: Option<&str>) -> Args {
        Args {
            prefix: prefix.into(),
            destdir: None,
            libdir: libdir.map(Into::into),
            luadir: None,
            from: None,
            profile: "dist".to_owned(),
        }
    }

    #[test]
    fn the_pkg_config_file_moves_with_its_prefix() {
        let folders = Folders::new(&args("/opt/weir", Some("/usr/lib/x86_64-linux-gnu"))).unwrap();
        let text = pkg_config(&folders, "1.2.3");
        assert!(text.starts_with("prefix=/opt/weir\nincludedir=${prefix}/include\n"), "{text}");
        assert!(text.contains("\nlibdir=/usr/lib/x86_64-linux-gnu\n"), "{text}");
        assert!(text.contains("\nVersion: 1.2.3\n"), "{text}");
    }

    #[test]
    fn folders_that_pkg_config_would_misread_are_refused() {
        for prefix in ["/opt/my weir", "/opt/$x", "/opt/\"", "/opt/#"] {
            assert!(Folders::new(&args(prefix, None)).is_err(), "{prefix}");
        }
    }

    #[test]
    fn the_header_declares_functions() {
        let names = exports().unwrap();
        for name in ["weir_fill", "weir_uuid_v4_bytes", "weir_strerror", "weir_version"] {
            assert!(names.iter().any(|declared| declared == name), "{name} of {names:?}");
        }
    }
}
