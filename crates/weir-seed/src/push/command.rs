//! What runs on a host: `weir seed receive` where it is there, else the same in `sh`, as far as `sh` can.
//!
//! Contract: one line for any login shell (sh, bash, zsh, ksh, fish, csh). It is `sh -c` and one word in single quotes, so the
//! word has no single quote, no line break, no `!` (history, in csh) and no two backslashes (one, in fish). The seed is read
//! from standard input by one program alone, byte by byte, and goes to the device: no file ever holds it. What else may
//! go wrong afterwards never fails the seed.

use std::fmt;
use std::str::FromStr;

/// What is asked of a host.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Become root there by `sudo -n`; what cannot is done without.
    pub sudo: bool,
    /// Credit the seed with eight bits a byte.
    pub credit: bool,
    /// Where `weir` is on the hosts. `None`: wherever their PATH has it.
    pub weir: Option<RemotePath>,
}

/// The path of a program on a host: absolute, of characters that mean nothing to any shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePath(String);

/// Why a text is no such path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an absolute path of letters, digits and any of / . _ - + is needed")]
pub struct RemotePathError;

impl FromStr for RemotePath {
    type Err = RemotePathError;

    fn from_str(text: &str) -> Result<Self, RemotePathError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        let fits = text.starts_with('/') && text.len() <= 1000 && text.chars().all(plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(RemotePathError) }
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ask {
    /// The command for the host's login shell.
    #[must_use]
    pub fn command(&self) -> String {
        let sudo = if self.sudo { "s=\"sudo -n\"" } else { "s=" };
        let weir = match &self.weir {
            Some(path) => format!("w={path}"),
            None => "w=$(command -v weir)".to_owned(),
        };
        let credit = if self.credit { " --credit" } else { "" };
        let refused = if self.credit { CREDIT_REFUSED } else { "" };
        let receive = RECEIVE.replace("CREDIT", credit);
        let record = RECORD.replace("CREDIT", refused);
        let script = [SURROUNDINGS, &weir, sudo, &receive, MIX, RESEED, NOTE, &record].join("; ");
        format!("sh -c '{script}'")
    }
}

/// Root's programs are not on everybody's PATH. `f` is from where the seed comes, as sshd knows it.
const SURROUNDINGS: &str = "LC_ALL=C; export LC_ALL; umask 022; \
    PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; f=${SSH_CONNECTION%% *}";

/// Weir itself, if it is there and knows the command; by sudo if that lets us.
const RECEIVE: &str = "if test -n \"$w\"; then for a in \"$s\" \"\"; do \
    if $a \"$w\" seed receive --help </dev/null >/dev/null 2>&1; \
    then exec $a \"$w\" seed receive --from \"${f:--}\"CREDIT; fi; done; fi";

/// `dd` reads and writes byte by byte, so that its count of blocks is the count of bytes. Without the first test it would make
/// a file of the name, with the seed in it. `b`: whether the kernel was ready, where it counts to 256.
const MIX: &str = "test -c /dev/urandom || { echo there is no /dev/urandom >&2; exit 3; }; \
    p=/proc/sys/kernel/random; \
    k() { test \"$(cat $p/poolsize)\" = 256 || return 0; \
    if test \"$(cat $p/entropy_avail)\" -ge 256; then echo yes; else echo no; fi; }; b=$(k 2>/dev/null); \
    d=$(dd bs=1 of=/dev/urandom 2>&1) || { echo \"$d\" >&2; exit 3; }; n=${d%%+*}";

/// RNDRESEEDCRNG has another number where the kernel encodes requests in another way.
const RESEED: &str = "u=no; test \"$(id -u)\" = 0 && { u=yes; s=; }; \
    test -n \"$s\" && $s true </dev/null >/dev/null 2>&1 && u=yes; \
    o=0x5207; case $(uname -m) in mips*|ppc*|sparc*|alpha*) o=0x20005207;; esac; e=no; m=; \
    if test $u = yes; then { $s perl -e \"open(F,shift)||exit(1);exit(ioctl(F,$o,0)?0:1)\" /dev/urandom || \
    $s python3 -c \"import fcntl,os,sys;fcntl.ioctl(os.open(sys.argv[1],0),$o)\" /dev/urandom; } \
    </dev/null >/dev/null 2>&1 && e=yes || m=\"without weir it takes perl or python3, and a kernel that is ready\"; \
    else m=\"only root may\"; fi; \
    if test $e = yes; then a=yes; else a=$(k 2>/dev/null); fi";

/// The note that weir would have made, where this user may write one; `q`: why there is none. A line is added to the file, which
/// several may do at a time, and a file that has half as many again as are kept is cut to those.
const NOTE: &str = "if test -n \"$b\"; then q=$( ( mkdir -p /run/weir-seed && cd /run/weir-seed && read t i </proc/uptime && \
    { test -s arrivals || echo weir-seed arrivals 1; \
    echo \"$(date +%s) ${t%.*}${t#*.}0 push ${f:--} $n 0 $b $a $e\"; } >>arrivals && \
    if test $(wc -l <arrivals) -gt 96; then { echo weir-seed arrivals 1; tail -n 64 arrivals; } >arrivals.sh && \
    mv -f arrivals.sh arrivals; fi ) 2>&1 ) && q= || { q=$(echo $q | tr -cd \" -~\" | cut -c 1-200); \
    q=${q:-/run/weir-seed cannot be written}; }; \
    else q=\"without weir it cannot be told here whether the kernel was ready\"; fi";

const CREDIT_REFUSED: &str = "echo credit-refused without weir on the host nothing is credited; ";

const RECORD: &str = "echo weir-seed record 1; echo by sh; echo \"host $(uname -n)\"; echo \"kernel $(uname -r)\"; \
    echo \"boot-id $(cat $p/boot_id 2>/dev/null)\"; echo \"bytes $n\"; echo superuser $u; \
    echo ready-before ${b:-unknown}; echo ready-after ${a:-unknown}; CREDITecho reseeded $e; \
    test -n \"$m\" && echo \"reseed-refused $m\"; test -n \"$q\" && echo \"note-failed $q\"; echo end";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_means_the_same_to_every_login_shell() {
        for (sudo, credit) in [(false, false), (true, false), (false, true), (true, true)] {
            let weir = sudo.then(|| "/opt/weir/bin/weir".parse().unwrap());
            let command = Ask { sudo, credit, weir }.command();
            let script = command.strip_prefix("sh -c '").unwrap().strip_suffix('\'').unwrap();
            assert!(
                !script.contains(['\'', '!', '\n', '\r', '\0', '\t']) && !script.contains('\\'),
                "{script}"
            );
            assert!(script.is_ascii());
            assert_eq!(script.contains("--credit"), credit);
            assert_eq!(script.contains("sudo -n"), sudo);
            assert_eq!(script.contains("/opt/weir"), sudo);
        }
    }

    #[test]
    fn a_path_on_a_host_means_nothing_to_its_shell() {
        assert!("/usr/local/bin/weir-1.0+b_2".parse::<RemotePath>().is_ok());
        for bad in ["weir", "", "/a b", "/$(x)", "/a'b", "/a;b", "/\u{e4}", "/a\nb"] {
            assert!(bad.parse::<RemotePath>().is_err(), "{bad:?}");
        }
    }
}
