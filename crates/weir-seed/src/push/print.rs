//! A line for an operator who has no Weir: it draws a seed on the operator's machine, sends it through ssh, mixes it into the
//! host's pool and has the host reseed. To be read before it is run, so it is short; it answers in words, not with a record.
//!
//! On Linux and macOS the seed goes from the operator's generator into ssh. PowerShell's pipes are for text and end lines in
//! their own way, so there the seed goes as base64 within a line of shell, by standard input like the other; a
//! shell's own `echo` shows no argument to anybody.

use crate::ssh::Host;

/// What the operator's machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// A POSIX shell.
    Linux,
    /// The same.
    MacOs,
    /// Windows PowerShell 5.1, or PowerShell 7.
    Windows,
}

/// The line.
#[derive(Debug, Clone)]
pub struct Line {
    /// For which machine.
    pub os: Os,
    /// How many bytes.
    pub bytes: usize,
    /// Whether to become root by `sudo -n`.
    pub sudo: bool,
    /// Whether to credit it, which takes Weir on the host.
    pub credit: bool,
    /// Arguments for ssh that come before the host, each a word.
    pub ssh: Vec<String>,
}

impl Line {
    /// The line for `host`, or for one called HOST.
    #[must_use]
    pub fn text(&self, host: Option<&Host>) -> String {
        let ssh = self.ssh(host);
        match self.os {
            Os::Linux | Os::MacOs => {
                let remote = format!("sh -c '{}'", self.script(""));
                format!("head -c {} /dev/urandom | {ssh} {}", self.bytes, posix_word(&remote))
            }
            Os::Windows => format!(
                "$b=New-Object byte[] {}; \
                 [System.Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($b); \
                 (':;S='+[Convert]::ToBase64String($b)+{}) | {ssh} 'tr -d \\\\015|sh'; Clear-Variable b",
                self.bytes,
                // Begins with a command that does nothing, because a byte order mark may come before it.
                powershell_word(&format!(";{}", self.script("echo $S|base64 -d|"))),
            ),
        }
    }

    /// For the host's `sh`. `from`: what delivers the bytes, if not standard input. A Weir that is too old for it, or that sudo
    /// lets nobody run, is passed by. `dd` reads and writes byte by byte, so that its count of blocks is the count of bytes.
    fn script(&self, from: &str) -> String {
        let bytes = self.bytes;
        let sudo = if self.sudo { "sudo -n " } else { "" };
        let ways = if self.sudo { "\"sudo -n\" \"\"" } else { "\"\"" };
        let refused = if self.sudo { "test -n \"$a\" || echo sudo -n was refused >&2; " } else { "" };
        let credit = if self.credit { " --credit" } else { "" };
        let not_credited =
            if self.credit { "; echo not credited, which takes weir on the host >&2; exit 1" } else { "" };
        format!(
            "for a in {ways}; do if $a weir seed receive --help </dev/null >/dev/null 2>&1; then {refused}\
             {from}$a weir seed receive --from=${{SSH_CONNECTION%% *}}{credit}; exit; fi; done; \
             test -c /dev/urandom || {{ echo there is no /dev/urandom >&2; exit 3; }}; \
             d=$({from}dd bs=1 of=/dev/urandom 2>&1); echo \"$d\" >&2; \
             case $d in \"{bytes}+0 \"*) ;; *) echo the {bytes} bytes of the seed did not arrive >&2; exit 3;; esac; \
             if {sudo}perl -e \"{PERL}\" /dev/urandom || {sudo}python3 -c \"{PYTHON}\" /dev/urandom; \
             then echo mixed in and reseeded; \
             else echo mixed in, and felt when the kernel reseeds itself; fi{not_credited}"
        )
    }

    /// `ssh` with its arguments, the command excepted.
    fn ssh(&self, host: Option<&Host>) -> String {
        let options: String = self.ssh.iter().map(|option| format!("{} ", self.word(option))).collect();
        let Some(host) = host else { return format!("ssh {options}root@HOST") };
        let port = host.port().map(|port| format!("-p {port} ")).unwrap_or_default();
        let name =
            host.user().map_or_else(|| host.name().to_owned(), |user| format!("{user}@{}", host.name()));
        format!("ssh {options}{port}-- {}", self.word(&name))
    }

    /// A word of the operator's shell.
    fn word(&self, text: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "@._-:%=/".contains(c);
        match self.os {
            _ if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
            Os::Windows => powershell_word(text),
            Os::Linux | Os::MacOs => posix_word(text),
        }
    }
}

/// RNDRESEEDCRNG, by the number that most architectures have for it, then by the other.
const PERL: &str = "open(F,shift)||exit(1);exit((ioctl(F,0x5207,0)||ioctl(F,0x20005207,0))?0:1)";
const PYTHON: &str = "import fcntl,os,sys;fcntl.ioctl(os.open(sys.argv[1],0),0x5207)";

fn posix_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn powershell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line = Line { os: Os::Linux, bytes: 64, sudo: false, credit: false, ssh: Vec::new() };

    #[test]
    fn options_of_ssh_are_words_of_the_operators_shell() {
        let ssh: Vec<String> = ["-F", "my conf", "-o", "ProxyJump=a"].map(str::to_owned).to_vec();
        let said = " ssh -F 'my conf' -o ProxyJump=a ";
        assert!(Line { ssh: ssh.clone(), ..LINE }.text(None).contains(&format!("{said}root@HOST ")));
        let host: Host = "web1:22".parse().unwrap();
        let line = Line { ssh, os: Os::Windows, ..LINE }.text(Some(&host));
        assert!(line.contains(&format!("{said}-p 22 -- web1 ")), "{line}");
    }

    #[test]
    fn hosts_are_words_of_the_operators_shell() {
        let host: Host = "o'brien@web1:2222".parse().unwrap();
        assert!(LINE.text(Some(&host)).contains(r"| ssh -p 2222 -- 'o'\''brien@web1' "));
        assert!(
            Line { os: Os::Windows, ..LINE }.text(Some(&host)).contains("| ssh -p 2222 -- 'o''brien@web1' ")
        );
        assert!(LINE.text(None).starts_with("head -c 64 /dev/urandom | ssh root@HOST 'sh -c "));
    }

    #[test]
    fn powershell_gives_ssh_no_word_that_it_would_spoil() {
        // Windows PowerShell 5.1 loses double quotes within arguments of programs, so there are none, and no single ones.
        for sudo in [false, true] {
            let line = Line { os: Os::Windows, sudo, credit: true, ..LINE }.text(None);
            assert!(!line.contains('\n') && line.is_ascii());
            let (made, sent) = line.rsplit_once(" | ssh root@HOST ").unwrap();
            assert_eq!(sent, r"'tr -d \\015|sh'; Clear-Variable b");
            // What is piped is one expression of two literals with the seed between them.
            let (_, expression) = made.split_once("GetBytes($b); ").unwrap();
            assert!(
                expression.starts_with("(':;S='+[Convert]::ToBase64String($b)+';for a in "),
                "{expression}"
            );
            assert!(expression.ends_with("exit 1')"), "{expression}");
            assert_eq!(expression.matches('\'').count(), 4);
        }
    }
}
