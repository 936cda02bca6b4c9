//! `cargo xtask install-feed`: builds weir-feed and puts it where a server looks for it.
//!
//! ```text
//! PREFIX/sbin/weir-feed
//! PREFIX/lib/systemd/system/weir-feed.service, weir-clone.path, weir-clone.service
//! PREFIX/share/man/man8/weir-feed.8
//! /etc/weir/clone.d/*.example
//! /usr/lib/dracut/modules.d/90weir-feed/                              where dracut is
//! /etc/initramfs-tools/hooks/weir-feed, scripts/init-top/weir-feed    where initramfs-tools is
//! ```
//!
//! The program is linked statically: it needs less than half of the memory, and an initramfs no libraries for it. It is built
//! as whoever runs this; for files that only root may write, `sudo` is asked for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{install, packages, process, workspace};

/// Build weir-feed and install it with its units, hooks and manual page
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it will be used
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,

    /// Put everything under this folder instead, for a package
    #[arg(long, value_name = "DIR")]
    destdir: Option<PathBuf>,

    /// Take this program instead of building one
    #[arg(long, value_name = "PROGRAM", conflicts_with = "profile")]
    from: Option<PathBuf>,

    /// Cargo's profile to build with
    #[arg(long, value_name = "PROFILE", default_value = "dist")]
    profile: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = match &args.from {
        Some(program) => program.clone(),
        None => build(&args.profile)?,
    };
    if args.destdir.is_none() && !is_root()? {
        return as_root("install-feed", &args.prefix, &program);
    }
    let places = Places::new(args)?;
    places.install(&program)?;
    println!("installed {}", places.sbin.join("weir-feed").display());
    if args.destdir.is_none() {
        println!("next: sudo systemctl daemon-reload && sudo systemctl enable --now weir-feed");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the program, statically linked, and tells where it is.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    packages::ensure(packages::INSTALL_FEED)?;
    let mut command =
        workspace::cargo(["rustc", "--quiet", "--locked", "--package", "weir-feed", "--profile", profile]);
    process::check(command.args(["--", "-C", "target-feature=+crt-static"]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(workspace::target()?.join(folder).join("weir-feed"))
}

/// Whether this process is root's, by whom a file of its own in /proc belongs to.
pub(crate) fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self").context("/proc")?.uid() == 0)
}

/// Has root install what was built as somebody else.
pub(crate) fn as_root(command: &str, prefix: &Path, program: &Path) -> Result<ExitCode> {
    let mut sudo = Command::new("sudo");
    sudo.arg(std::env::current_exe()?).arg(command).arg("--prefix").arg(prefix);
    process::check(sudo.arg("--from").arg(program))?;
    Ok(ExitCode::SUCCESS)
}

/// Where things go; `within` is in front of each, and no part of it when it is in use.
struct Places {
    within: PathBuf,
    packaged: bool,
    sbin: PathBuf,
    units: PathBuf,
    man: PathBuf,
}

impl Places {
    fn new(args: &Args) -> Result<Self> {
        let prefix = std::path::absolute(&args.prefix)?;
        Ok(Self {
            within: args.destdir.clone().unwrap_or_else(|| PathBuf::from("/")),
            packaged: args.destdir.is_some(),
            sbin: prefix.join("sbin"),
            units: prefix.join("lib/systemd/system"),
            man: prefix.join("share/man/man8"),
        })
    }

    fn install(&self, program: &Path) -> Result<()> {
        let source = workspace::root().join("packaging/weir-feed");
        let to = self.folder(&self.sbin)?.join("weir-feed");
        install::put(program, &to, 0o755)?;
        process::check(Command::new("strip").arg(&to))?;
        self.units(&source.join("systemd"))?;
        install::put(&source.join("weir-feed.8"), &self.folder(&self.man)?.join("weir-feed.8"), 0o644)?;
        let hooks = self.folder(Path::new("/etc/weir/clone.d"))?;
        copy_all(&source.join("clone.d"), &hooks, 0o644)?;
        self.initramfs(&source)
    }

    /// The units name the program by its whole path.
    fn units(&self, from: &Path) -> Result<()> {
        let folder = self.folder(&self.units)?;
        for name in names(from)? {
            let text = fs::read_to_string(from.join(&name))?;
            install::write(
                &folder.join(&name),
                &text.replace("@SBINDIR@", &self.sbin.display().to_string()),
            )?;
        }
        Ok(())
    }

    /// What builds an initramfs takes the daemon along.
    fn initramfs(&self, source: &Path) -> Result<()> {
        if self.packaged || Path::new("/usr/lib/dracut/modules.d").exists() {
            let module = self.folder(Path::new("/usr/lib/dracut/modules.d/90weir-feed"))?;
            copy_all(&source.join("dracut/90weir-feed"), &module, 0o755)?;
        }
        let tools =
            Path::new(if self.packaged { "/usr/share/initramfs-tools" } else { "/etc/initramfs-tools" });
        if self.packaged || tools.exists() {
            for folder in ["hooks", "scripts/init-top"] {
                let to = self.folder(&tools.join(folder))?;
                copy_all(&source.join("initramfs-tools").join(folder), &to, 0o755)?;
            }
        }
        Ok(())
    }

    /// A folder as it is now, made if need be.
    fn folder(&self, folder: &Path) -> Result<PathBuf> {
        let folder = self.within.join(folder.strip_prefix("/").unwrap_or(folder));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }
}

fn copy_all(from: &Path, to: &Path, mode: u32) -> Result<()> {
    names(from)?.iter().try_for_each(|name| install::put(&from.join(name), &to.join(name), mode))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}
