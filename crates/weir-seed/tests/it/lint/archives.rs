//! Archives: every form that tar has, and what a fix leaves as it is.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use weir_seed::lint::{Access, Consent, Image, Terms};

use super::{ID, bare, fix, ids, look, pem, put};

/// A folder as an archive, without that archive itself.
pub(crate) fn packed(root: &Path, archive: &Path) {
    let mut builder = tar::Builder::new(File::create(archive).unwrap());
    builder.follow_symlinks(false);
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path != archive {
            let name = Path::new(".").join(path.file_name().unwrap());
            match path.is_dir() {
                true => builder.append_dir_all(name, &path).unwrap(),
                false => builder.append_path_with_name(&path, name).unwrap(),
            }
        }
    }
    builder.finish().unwrap();
}

fn tar(args: &[&str], root: &Path) -> Option<()> {
    let output = Command::new("tar").args(args).current_dir(root).output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(())
}

fn listing(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(archive).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A system with keys, a long name, a hard link, a link, a hole and an attribute.
fn system() -> tempfile::TempDir {
    let root = bare();
    put(root.path(), "/etc/machine-id", ID);
    put(root.path(), "/etc/ssh/ssh_host_rsa_key", pem());
    put(root.path(), &format!("/usr/share/{}/{}", "d".repeat(120), "f".repeat(200)), "long");
    put(root.path(), "/usr/bin/one", "data");
    fs::hard_link(root.path().join("usr/bin/one"), root.path().join("usr/bin/two")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
    put(root.path(), "/etc/hostid", "abcd");
    let log = File::create(root.path().join("var/log/syslog")).unwrap();
    log.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&log, pem().as_bytes(), 500_000).unwrap();
    root
}

#[test]
fn every_form_and_compression_is_looked_at_and_fixed() {
    let root = system();
    let folder = tempfile::tempdir().unwrap();
    let expected = ["identity.machine-id", "identity.hostid", "key.ssh-host", "log.seed"];
    for (name, args) in [
        ("gnu.tar", ["--format=gnu", "--sparse"].as_slice()),
        ("pax.tar", &["--format=posix", "--xattrs"]),
        ("pax-sparse.tar", &["--format=posix", "--sparse"]),
        ("gnu.tar.gz", &["--format=gnu", "-z"]),
        ("gnu.tar.xz", &["--format=gnu", "-J"]),
        ("gnu.tar.zst", &["--format=gnu", "--zstd"]),
    ] {
        let archive = folder.path().join(name);
        let to = archive.to_str().unwrap();
        if tar(&[args, &["-cf", to, "."]].concat(), root.path()).is_none() {
            testkit::skip!("no tar");
        }
        assert_eq!(ids(&look(&archive)), expected, "{name}");
        let before = listing(&archive);
        let done = fix(&archive, Consent::default());
        assert_eq!(done.len(), 4, "{name}: {done:?}");
        assert_eq!(ids(&look(&archive)), [""; 0], "{name}");
        let after = listing(&archive);
        let gone = |line: &&String| ["ssh_host_rsa_key", "hostid"].iter().any(|name| line.contains(name));
        let emptied = |line: &str| ["machine-id", "syslog"].iter().any(|name| line.contains(name));
        let kept: Vec<_> = before.iter().filter(|line| !gone(line)).collect();
        assert_eq!(after.len(), kept.len(), "{name}");
        for (before, after) in kept.into_iter().zip(&after) {
            assert!(before == after || emptied(before) && emptied(after), "{name}: {before} {after}");
        }
        let to = folder.path().join(format!("{name}.d"));
        fs::create_dir(&to).unwrap();
        tar(&["-xf", archive.to_str().unwrap(), "-C", to.to_str().unwrap()], root.path());
        assert_eq!(fs::metadata(to.join("etc/machine-id")).unwrap().len(), 0);
        assert_eq!(fs::read_to_string(to.join("usr/bin/two")).unwrap(), "data");
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| name.to_string_lossy().starts_with('.'));
        assert_eq!(names, [""; 0], "nothing is left beside");
    }
}

#[test]
fn what_does_not_change_stays_byte_for_byte() {
    let root = system();
    let folder = tempfile::tempdir().unwrap();
    for format in ["gnu", "posix", "ustar", "v7"] {
        let (whole, without) = (folder.path().join("whole.tar"), folder.path().join("without.tar"));
        let args = ["--sort=name", "--exclude=dddd*"];
        let format = format!("--format={format}");
        let pack = |to: &Path, more: &[&str]| {
            tar(
                &[&args[..], more, &[&format, "-cf", to.to_str().unwrap(), "etc", "usr"]].concat(),
                root.path(),
            )
        };
        if pack(&whole, &[]).is_none() {
            testkit::skip!("no tar");
        }
        pack(&without, &["--exclude=hostid"]).unwrap();
        let mut image = Image::open(&whole, Access { change: true, ..Access::default() }).unwrap();
        let allowed =
            ["identity.machine-id", "key.ssh-host"].map(|id| weir_seed::lint::rule(id).unwrap()).to_vec();
        let report = image.look(&Terms { allowed, strict: false }).unwrap();
        image.fix(&report, Consent::default(), &mut |_| {}).unwrap();
        let (fixed, expected) = (fs::read(&whole).unwrap(), fs::read(&without).unwrap());
        // tar fills the last 10,240 bytes with zeros.
        let trimmed = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(fixed[..=trimmed(&fixed)], expected[..=trimmed(&expected)], "{format}");
    }
}

#[test]
fn other_names_of_a_key_go_with_it() {
    let root = bare();
    put(root.path(), "/etc/ssh/ssh_host_rsa_key", pem());
    let folder = tempfile::tempdir().unwrap();
    fs::hard_link(root.path().join("etc/ssh/ssh_host_rsa_key"), root.path().join("usr/bin/other")).unwrap();
    for order in [["etc", "usr"], ["usr", "etc"]] {
        let archive = folder.path().join("image.tar");
        if tar(&["-cf", archive.to_str().unwrap(), order[0], order[1]], root.path()).is_none() {
            testkit::skip!("no tar");
        }
        fix(&archive, Consent::default());
        assert_eq!(ids(&look(&archive)), [""; 0]);
        // It can be unpacked: no name is left without its file.
        let to = folder.path().join(order[0]);
        fs::create_dir(&to).unwrap();
        tar(&["-xf", archive.to_str().unwrap(), "-C", to.to_str().unwrap()], root.path());
    }
}

#[test]
fn an_archive_that_is_no_root_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let says = |names: &[&str], part: &str| {
        let archive = folder.path().join("x.tar");
        let mut builder = tar::Builder::new(File::create(&archive).unwrap());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            header.set_cksum();
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        }
        builder.finish().unwrap();
        let error = Image::open(&archive, Access::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    says(&["oci-layout", "blobs/sha256/00"], "podman export");
    says(&["manifest.json", "0/layer.tar"], "docker export");
    says(&["rootfs/etc/passwd"], "only rootfs");
    says(&["disk.raw"], "only disk.raw");
    says(&["a", "b"], "neither etc nor usr");
}
