//! Images whose maker means harm: nothing leaves them, nothing blocks, nothing is without bounds.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use weir_seed::lint::{Access, Consent, FixedBy, Image, Style, check_archive, text};

use super::{ID, bare, fix, ids, look, pem, put};

#[test]
fn links_do_not_lead_out() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "ssh/ssh_host_rsa_key", pem());
    put(outside.path(), "machine-id", ID);
    let root = bare();
    let etc = root.path().join("etc");
    symlink(outside.path().join("ssh"), etc.join("ssh")).unwrap();
    fs::remove_file(etc.join("machine-id")).unwrap();
    symlink(outside.path().join("machine-id"), etc.join("machine-id")).unwrap();
    let up = "../".repeat(30) + outside.path().to_str().unwrap().trim_start_matches('/');
    symlink(&up, root.path().join("home")).unwrap();
    let found = look(root.path());
    assert_eq!(ids(&found), [""; 0]);
    let unseen = found.unseen.first().map(|unseen| (unseen.what.as_str(), unseen.why.as_str()));
    assert_eq!(unseen, Some(("/etc/machine-id", "a link that leads nowhere in this image")));
    assert_eq!(fix(root.path(), Consent { keys: true }), []);
    assert!(outside.path().join("ssh/ssh_host_rsa_key").exists());
    assert_eq!(fs::read_to_string(outside.path().join("machine-id")).unwrap(), ID);
}

#[test]
fn links_inside_are_followed_there() {
    let root = bare();
    put(root.path(), "/usr/etc/keys/ssh_host_rsa_key", pem());
    symlink("/usr/etc/keys", root.path().join("etc/ssh")).unwrap();
    put(root.path(), "/data/eve/.rnd", "seed");
    symlink("../data", root.path().join("home")).unwrap();
    let found = look(root.path());
    let paths: Vec<_> = found.findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["/data/eve/.rnd", "/usr/etc/keys/ssh_host_rsa_key"]);
    fix(root.path(), Consent::default());
    assert!(!root.path().join("usr/etc/keys/ssh_host_rsa_key").exists());
}

#[test]
fn loops_end() {
    let root = bare();
    symlink("ssh", root.path().join("etc/ssh")).unwrap();
    symlink("b", root.path().join("root/.ssh")).unwrap();
    symlink(".", root.path().join("home")).unwrap();
    symlink("letsencrypt/letsencrypt", root.path().join("etc/letsencrypt")).unwrap();
    assert_eq!(ids(&look(root.path())), [""; 0]);
}

#[test]
fn nothing_blocks() {
    let root = bare();
    fs::remove_file(root.path().join("etc/machine-id")).unwrap();
    for name in ["etc/machine-id", "etc/hostid", "root/.rnd", "var/log/x.log", "etc/passwd2"] {
        mknodat(CWD, root.path().join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    fs::remove_file(root.path().join("etc/passwd")).unwrap();
    mknodat(CWD, root.path().join("etc/passwd"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let begun = Instant::now();
    let found = look(root.path());
    assert_eq!((ids(&found), found.exit), (Vec::new(), 3));
    let unseen: Vec<_> = found.unseen.iter().map(|unseen| unseen.what.as_str()).collect();
    assert_eq!(unseen, ["/etc/hostid", "/etc/machine-id", "/root/.rnd", "/var/log/x.log"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // A FIFO in a place where anything is a finding goes away, unopened.
    fs::create_dir_all(root.path().join("var/crash")).unwrap();
    mknodat(CWD, root.path().join("var/crash/core"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(fix(root.path(), Consent::default()).len(), 1);
}

#[test]
fn huge_files_and_deep_folders_are_bounded() {
    let root = bare();
    for name in ["etc/hostid", "root/.bash_history"] {
        put(root.path(), name, "");
        File::options().write(true).open(root.path().join(name)).unwrap().set_len(1 << 40).unwrap();
    }
    let deep = "a/".repeat(100);
    fs::create_dir_all(root.path().join("etc/letsencrypt").join(deep)).unwrap();
    let begun = Instant::now();
    let found = look(root.path());
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    assert_eq!(found.exit, 1, "a finding counts for more than what was not seen");
    let unseen: Vec<_> = found.unseen.iter().map(|unseen| unseen.what.as_str()).collect();
    assert_eq!(unseen, ["/etc/letsencrypt", "/root/.bash_history"]);
}

#[test]
fn names_write_nothing_to_the_terminal_and_nothing_to_the_shell() {
    let root = bare();
    let touched = root.path().join("touched");
    let names: [&[u8]; 6] = [
        b"$(touch touched)",
        b"`touch touched`",
        b"\x1b[2Jx",
        b"it's; touch touched",
        b"new\nline",
        b"\xff\xfe",
    ];
    for name in names {
        let folder = root.path().join("var/crash");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    let found = look(root.path());
    assert_eq!(found.findings.len(), names.len());
    let shown = text(&found, Style::Plain);
    assert!(!shown.contains('\x1b'));
    for finding in &found.findings {
        assert_eq!(finding.fix, FixedBy::Fix);
        let command = finding.command.as_ref().unwrap();
        assert!(!command.chars().any(char::is_control), "{command:?}");
        let status =
            std::process::Command::new("bash").args(["-c", command]).current_dir(root.path()).status();
        assert!(status.unwrap().success());
    }
    assert!(!touched.exists());
    assert_eq!(ids(&look(root.path())), [""; 0]);
}

#[test]
fn a_second_name_outside_keeps_its_content() {
    let outside = tempfile::tempdir().unwrap();
    let root = bare();
    put(outside.path(), "id", ID);
    fs::remove_file(root.path().join("etc/machine-id")).unwrap();
    if fs::hard_link(outside.path().join("id"), root.path().join("etc/machine-id")).is_err() {
        testkit::skip!("temporary folders are on different file systems");
    }
    fix(root.path(), Consent::default());
    assert_eq!(fs::read_to_string(outside.path().join("id")).unwrap(), ID);
    assert_eq!(fs::read_to_string(root.path().join("etc/machine-id")).unwrap(), "");
}

#[test]
fn what_a_killed_run_left_is_taken_over() {
    let root = bare();
    put(root.path(), "/var/lib/dbus/machine-id", ID);
    put(root.path(), "/var/lib/dbus/.weir-seed-lint.new", "half");
    fix(root.path(), Consent::default());
    assert!(!root.path().join("var/lib/dbus/.weir-seed-lint.new").exists());
    assert_eq!(ids(&look(root.path())), [""; 0]);
}

fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header
}

#[test]
fn broken_archives_are_errors() {
    let file = |size| header("etc/x", tar::EntryType::Regular, size).as_bytes().to_vec();
    let mut pax = header("x", tar::EntryType::XHeader, 10).as_bytes().to_vec();
    pax.extend_from_slice(b"99 path=x\n");
    pax.resize(1024, 0);
    pax.extend_from_slice(&file(0));
    for (bytes, part) in [
        (file(1 << 40), "middle of a file"),
        (file(u64::MAX / 2), ""),
        (header("x", tar::EntryType::GNULongName, 1 << 40).as_bytes().to_vec(), "more than 1 MiB"),
        (header("x", tar::EntryType::XHeader, 0).as_bytes().to_vec(), "behind an extension header"),
        (pax, "malformed pax header"),
        ([file(0), vec![7; 512]].concat(), "no tar header"),
        ([file(0), vec![0; 100]].concat(), "middle of a header"),
    ] {
        let error = check_archive(&bytes).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(check_archive(&[]).unwrap(), 0);
    assert_eq!(check_archive(&[file(0), vec![0; 1024]].concat()).unwrap(), 1);
}

#[test]
fn names_that_lead_out_of_an_archive_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    let mut bytes = Vec::new();
    for name in ["etc/passwd", "etc/x/y"] {
        bytes.extend_from_slice(header(name, tar::EntryType::Regular, 0).as_bytes());
    }
    let mut out = header("etc/zz/up", tar::EntryType::Regular, 0);
    out.as_mut_bytes()[..9].copy_from_slice(b"../zz/up\0");
    out.set_cksum();
    bytes.extend_from_slice(out.as_bytes());
    fs::write(&archive, bytes).unwrap();
    let found = look(&archive);
    assert_eq!((found.exit, found.unseen.len()), (3, 1));
}

#[test]
fn disks_of_others_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("overlay.qcow2");
    let made = |args: &[&str]| {
        let output = std::process::Command::new("qemu-img").args(args).current_dir(folder.path()).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !made(&["create", "-q", "-f", "raw", "base.raw", "1M"])
        || !made(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw", "overlay.qcow2"])
    {
        testkit::skip!("no qemu-img");
    }
    let error = |path: &Path| Image::open(path, Access::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error(&path).contains("names another file"));
    assert!(made(&["create", "-q", "-f", "qcow2", "-o", "data_file=d.raw", "with-data.qcow2", "1M"]));
    assert!(error(&folder.path().join("with-data.qcow2")).contains("names another file"));
}

/// Root may look everywhere, so that another user has to.
#[test]
fn what_this_user_may_not_see_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let root = bare();
    put(root.path(), "/etc/ssl/private/x.key", pem());
    put(root.path(), "/etc/ssh/ssh_host_rsa_key", pem());
    let closed = root.path().join("etc/ssl/private");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        testkit::skip!("is run as root");
    }
    let found = look(root.path());
    assert_eq!(ids(&found), ["key.ssh-host"]);
    assert_eq!(found.unseen[0].what, "/etc/ssl/private");
}

proptest::proptest! {
    /// An archive with some of its bytes changed is read or is an error, and never more.
    #[test]
    fn archives_of_any_bytes_are_read_within_bounds(
        changes in proptest::collection::vec((0usize..6144, proptest::prelude::any::<u8>()), 0..24),
        fix_sums in proptest::prelude::any::<bool>(),
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["etc/passwd".to_owned(), "usr/".to_owned() + &"n".repeat(150)] {
            let mut header = header("x", tar::EntryType::Regular, 5);
            builder.append_data(&mut header, name, &b"hello"[..]).unwrap();
        }
        let mut bytes = builder.into_inner().unwrap();
        for (at, byte) in changes {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
        }
        for block in bytes.chunks_exact_mut(512).filter(|block| fix_sums && block[257..262] == *b"ustar") {
            let mut header = tar::Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        if let Err(error) = check_archive(&bytes) {
            proptest::prop_assert_ne!(error.to_string(), "a copy is not the same");
        }
        weir_seed::lint::check_content(&bytes);
    }
}
