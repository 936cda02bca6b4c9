//! Guests with real kernels: what a daemon does to a kernel's random number generator, seen from the inside.
//!
//! A guest is a kernel and an initramfs that is made here: its first process, the programs that are to be tried, and a plan
//! ([`Initramfs`]). It runs under User-mode Linux, which is a program like any other, or under QEMU's emulation
//! ([`Machine`]), since machines that test seldom have KVM. It prints what it saw as lines `GUEST key=value` ([`Said`]).
//!
//! [`Cloud`] is a whole Debian with cloud-init and sshd instead.
//!
//! Kernels and other people's daemons are not brought from anywhere: [`Lab::find`] looks for a folder that has them, by the
//! environment variable `LAB_WORK`, else `lab` in the folder for temporary files. In it are `kernels/NAME` (kernel images),
//! `uml/NAME/usr/bin/linux.uml`, `daemons/PACKAGE` (unpacked packages, which `debs` keeps) and `bin/uml_xstate.so`, a library that old User-mode
//! Linux needs on new processors.
//!
//! Contract: one guest at a time is enough for any caller, and all of them are at the lowest priority; none outlives its guard
//! or its deadline.

mod clone;
mod cloud;
mod initramfs;
mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

pub use clone::{Clones, Draw, Tell, clone};
pub use cloud::{Cloud, CloudGuest, Image};
pub use initramfs::Initramfs;
pub use machine::{Kernel, Machine, Said};

/// The programs that guests run.
#[derive(Debug, Clone)]
pub struct Programs {
    /// What a guest begins with.
    pub guest: PathBuf,
    /// The daemon.
    pub feed: PathBuf,
}

impl Programs {
    /// Builds both, linked statically, so that a guest needs no libraries. `cargo` in the workspace at `root`.
    ///
    /// # Errors
    /// What the build said.
    pub fn build(root: &Path) -> Result<Self, String> {
        let one = |kind: &str, name: &str| {
            let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["rustc", "--quiet", "--release", "-p", "weir-feed", kind, name]);
            cargo.args(["--message-format", "json-render-diagnostics"]);
            cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
            let built =
                cargo.current_dir(root).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
            if !built.status.success() {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&built.stderr)));
            }
            let said = String::from_utf8_lossy(&built.stdout);
            let mut programs = said.lines().filter_map(|line| {
                let message: serde_json::Value = serde_json::from_str(line).ok()?;
                (message["target"]["name"] == name).then(|| Some(message["executable"].as_str()?.into()))?
            });
            programs.next_back().ok_or_else(|| format!("the build made no program named {name}"))
        };
        Ok(Self { guest: one("--example", "feed-guest")?, feed: one("--bin", "weir-feed")? })
    }
}

/// The folder with kernels and daemons.
#[derive(Debug, Clone)]
pub struct Lab(PathBuf);

impl Lab {
    /// Finds it.
    ///
    /// # Errors
    /// Where it was looked for.
    pub fn find() -> Result<Self, String> {
        let folder = Self::place();
        let is_one = ["kernels", "uml"].iter().any(|part| folder.join(part).is_dir());
        is_one
            .then(|| Self(folder.clone()))
            .ok_or_else(|| format!("no kernels to boot in {}", folder.display()))
    }

    /// Where it is looked for.
    #[must_use]
    pub fn place() -> PathBuf {
        env::var_os("LAB_WORK").map_or_else(|| env::temp_dir().join("lab"), PathBuf::from)
    }

    /// A kernel for QEMU, by its series: `6.1`.
    ///
    /// # Errors
    /// That it, or QEMU, is not here.
    pub fn qemu(&self, series: &str) -> Result<Kernel, String> {
        let image = self.0.join("kernels").join(series);
        if !image.is_file() {
            return Err(format!("no kernel {}", image.display()));
        }
        match Command::new(machine::QEMU)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
        {
            Ok(status) if status.success() => Ok(Kernel::Qemu(image)),
            _ => Err(format!("no {}", machine::QEMU)),
        }
    }

    /// A User-mode Linux, by the Debian release that it comes from: `bullseye` (5.10.46), `bookworm` (6.1).
    ///
    /// # Errors
    /// That it is not here.
    pub fn uml(&self, release: &str) -> Result<Kernel, String> {
        let program = self.0.join("uml").join(release).join("usr/bin/linux.uml");
        let library = Some(self.0.join("bin/uml_xstate.so")).filter(|library| library.is_file());
        if program.is_file() {
            Ok(Kernel::Uml { program, library })
        } else {
            Err(format!("no {}", program.display()))
        }
    }

    /// The version of a package, by the file that it was unpacked from.
    #[must_use]
    pub fn version(&self, package: &str) -> Option<String> {
        let files = fs::read_dir(self.0.join("debs")).ok()?.flatten();
        let mut names = files.filter_map(|file| file.file_name().into_string().ok());
        names.find_map(|name| {
            Some(name.strip_prefix(package)?.strip_prefix('_')?.split('_').next()?.to_owned())
        })
    }

    /// A daemon's program in an unpacked package, with the folder of libraries that come in another.
    #[must_use]
    pub fn daemon(
        &self,
        package: &str,
        program: &str,
        libraries: Option<&str>,
    ) -> Option<(PathBuf, Option<PathBuf>)> {
        let daemons = self.0.join("daemons");
        let program = daemons.join(package).join(program);
        let libraries = libraries.map(|folder| daemons.join(folder));
        let here = program.is_file() && libraries.as_ref().is_none_or(|folder| fs::metadata(folder).is_ok());
        here.then_some((program, libraries))
    }
}
