//! Each rule: found before, gone after, and nothing else touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use weir_seed::lint::{Access, Consent, FixedBy, Image, LintError, RULES, Style, Terms, Verdict, rule, text};

use super::archives::packed;
use super::{ID, SECRET, bare, fix, ids, look, open, pem, put, state};

/// For each rule, something that it finds.
fn cases() -> Vec<(&'static str, &'static str, String)> {
    let secret = || SECRET.to_owned();
    let seed = || format!("#cloud-config\nrandom_seed:\n  data: {SECRET}\n");
    vec![
        ("seed.systemd", "/var/lib/systemd/random-seed", secret()),
        ("seed.seedrng-credit", "/var/lib/seedrng/seed.credit", secret()),
        ("seed.seedrng", "/var/lib/seedrng/seed.no-credit", secret()),
        ("seed.esp", "/boot/efi/loader/random-seed", secret()),
        ("seed.init", "/var/lib/urandom/random-seed", secret()),
        ("seed.weir-feed", "/var/lib/weir-feed/seed", secret()),
        ("seed.weir-seed", "/var/lib/weir-seed/anything", secret()),
        ("seed.pollinate", "/var/cache/pollinate/seeded", String::new()),
        ("seed.rnd", "/srv/app/.rnd", secret()),
        ("seed.egd", "/root/.gnupg/random_seed", secret()),
        ("identity.machine-id", "/etc/machine-id", ID.to_owned()),
        ("identity.dbus", "/var/lib/dbus/machine-id", ID.to_owned()),
        ("identity.hostid", "/etc/hostid", "abcd".to_owned()),
        ("identity.nvme", "/etc/nvme/hostnqn", "nqn.2014-08.org.nvmexpress:uuid:1\n".to_owned()),
        (
            "identity.iscsi",
            "/etc/iscsi/initiatorname.iscsi",
            "InitiatorName=iqn.1993-08.org.debian:01:1\n".to_owned(),
        ),
        ("identity.dhcp", "/var/lib/dhcp/dhclient.eth0.leases", "lease {}\n".to_owned()),
        ("identity.network-manager", "/var/lib/NetworkManager/secret_key", secret()),
        ("identity.udev-net", "/etc/udev/rules.d/70-persistent-net.rules", "SUBSYSTEM==\"net\"\n".to_owned()),
        ("identity.agent", "/var/lib/zerotier-one/identity.secret", secret()),
        ("key.ssh-host", "/etc/ssh/ssh_host_ed25519_key", pem()),
        ("key.ssh-host-public", "/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA\n".to_owned()),
        ("key.dropbear", "/etc/dropbear/dropbear_rsa_host_key", secret()),
        ("key.credential-secret", "/var/lib/systemd/credential.secret", secret()),
        ("key.snakeoil", "/etc/ssl/private/ssl-cert-snakeoil.key", pem()),
        ("key.tls", "/etc/letsencrypt/archive/example.org/privkey1.pem", pem()),
        ("key.ssh-user", "/home/eve/.ssh/id_ed25519", pem()),
        ("key.authorized", "/root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n".to_owned()),
        ("key.wireguard", "/etc/wireguard/wg0.conf", format!("[Interface]\nPrivateKey = {SECRET}\n")),
        ("key.networkd", "/etc/systemd/network/wg0.netdev", format!("[WireGuard]\nPrivateKey={SECRET}\n")),
        ("key.kerberos", "/etc/krb5.keytab", secret()),
        ("key.samba", "/var/lib/samba/private/secrets.tdb", secret()),
        ("key.ipsec", "/etc/swanctl/private/host.pem", pem()),
        ("key.ipsec-secrets", "/etc/ipsec.secrets", format!(": PSK \"{SECRET}\"\n")),
        (
            "key.openvpn",
            "/etc/openvpn/server/ta.key",
            "-----BEGIN OpenVPN Static key V1-----\n00112233445566778899aabbccddeeff\n".to_owned(),
        ),
        ("key.tinc", "/etc/tinc/net/rsa_key.priv", pem()),
        ("key.nebula", "/etc/nebula/host.key", secret()),
        ("key.tor", "/var/lib/tor/hidden/hs_ed25519_secret_key", secret()),
        ("key.postgresql", "/var/lib/pgsql/data/server.key", pem()),
        ("key.kubernetes", "/etc/kubernetes/pki/etcd/ca.key", pem()),
        ("key.kubeconfig", "/etc/kubernetes/admin.conf", format!("client-key-data: {SECRET}\n")),
        ("key.docker", "/etc/docker/key.json", "{}".to_owned()),
        ("key.chrony", "/etc/chrony/chrony.keys", format!("1 SHA1 HEX:{SECRET}\n")),
        ("key.dns", "/etc/bind/rndc.key", secret()),
        ("key.salt", "/etc/salt/pki/minion/minion.pem", pem()),
        ("key.puppet", "/etc/puppetlabs/puppet/ssl/private_keys/host.pem", pem()),
        ("key.chef", "/etc/chef/client.pem", pem()),
        ("key.munge", "/etc/munge/munge.key", secret()),
        ("key.cryptsetup", "/etc/cryptsetup-keys.d/data.key", secret()),
        ("key.gnupg", "/root/.gnupg/private-keys-v1.d/0A.key", secret()),
        ("key.weir", "/var/lib/weir/secrets/store.key", secret()),
        ("cloud-init.state", "/var/lib/cloud/instances/i-1/obj.pkl", secret()),
        ("cloud-init.seed", "/etc/cloud/cloud.cfg.d/99-seed.cfg", seed()),
        ("cloud-init.user-data", "/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n".to_owned()),
        ("cloud-init.logs", "/var/log/cloud-init-output.log", "Cloud-init v. 22\n".to_owned()),
        ("log.seed", "/var/log/syslog", format!("user-data: random_seed: {{data: {SECRET}}}\n")),
        ("log.history", "/home/eve/.bash_history", format!("echo '{}' > k\n", pem())),
        ("log.installer", "/var/log/installer/autoinstall-user-data", "#cloud-config\n".to_owned()),
        ("log.journal", "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "x".to_owned()),
        ("log.dumps", "/var/lib/systemd/coredump/core.1.zst", secret()),
    ]
}

/// Rules that find what is missing have tests of their own.
const OF_ABSENCE: [&str; 2] = ["identity.machine-id-missing", "key.ssh-no-maker"];

#[test]
fn every_rule_has_a_case() {
    let cases = cases();
    for rule in RULES {
        let has = cases.iter().any(|(id, ..)| *id == rule.id) || OF_ABSENCE.contains(&rule.id);
        assert!(has, "{}", rule.id);
    }
}

/// A system with only this in it, as a folder or as an archive.
fn image(path: &str, content: &str, as_archive: bool) -> (tempfile::TempDir, std::path::PathBuf) {
    let root = bare();
    put(root.path(), path, content);
    if as_archive {
        let archive = root.path().join("image.tar");
        packed(root.path(), &archive);
        return (root, archive);
    }
    let folder = root.path().to_owned();
    (root, folder)
}

#[test]
fn each_is_found_and_gone_after_the_fix() {
    for as_archive in [false, true] {
        for (id, path, content) in cases() {
            let (_root, image) = image(path, &content, as_archive);
            let found = look(&image);
            assert_eq!(ids(&found), [id], "{path}");
            let finding = &found.findings[0];
            assert!(path.starts_with(&finding.path), "{}", finding.path);
            assert!(!text(&found, Style::Plain).contains(SECRET));
            assert!(finding.verdict == rule(id).unwrap().verdict || id == "seed.systemd");

            let keys = finding.fix == FixedBy::FixKeys;
            let plain = fix(&image, Consent::default());
            assert_eq!(plain.is_empty(), finding.fix != FixedBy::Fix, "{id}");
            assert_eq!(fix(&image, Consent { keys: true }).is_empty(), !keys, "{id}");
            let fixed = keys || finding.fix == FixedBy::Fix;
            assert_eq!(ids(&look(&image)).is_empty(), fixed, "{id}: {:?}", look(&image).findings);
            // Again, and nothing changes.
            let before = (fs::metadata(&image).unwrap().modified().unwrap(), state(_root.path()));
            assert_eq!(fix(&image, Consent { keys: true }), []);
            assert_eq!(
                (fs::metadata(&image).unwrap().modified().unwrap(), state(_root.path())),
                before,
                "{id}"
            );
        }
    }
}

#[test]
fn all_of_them_at_once_are_fixed_by_their_own_commands() {
    let root = bare();
    for (_, path, content) in cases() {
        put(root.path(), path, content);
    }
    let found = look(root.path());
    assert_eq!(found.verdict, Verdict::Critical);
    assert_eq!(found.findings.len(), cases().len());
    for finding in found.findings.iter().filter(|finding| finding.fix != FixedBy::Person) {
        let command = finding.command.as_ref().unwrap();
        let status = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(status.success(), "{command}");
    }
    let left = look(root.path());
    assert!(left.findings.iter().all(|finding| finding.fix == FixedBy::Person), "{:?}", ids(&left));
}

#[test]
fn a_creditable_seed_is_worse_than_another() {
    let root = bare();
    put(root.path(), "/var/lib/systemd/random-seed", SECRET);
    assert_eq!(look(root.path()).verdict, Verdict::Warning);
    let file = fs::File::open(root.path().join("var/lib/systemd/random-seed")).unwrap();
    let set = |value: &[u8]| {
        rustix::fs::fsetxattr(&file, "user.random-seed-creditable", value, rustix::fs::XattrFlags::empty())
    };
    if set(b"1").is_err() {
        testkit::skip!("no extended attributes on this file system");
    }
    assert_eq!(look(root.path()).verdict, Verdict::Critical);
    set(b"0").unwrap();
    assert_eq!(look(root.path()).verdict, Verdict::Warning);
}

#[test]
fn machine_ids_are_reset_and_keep_their_mode() {
    let root = bare();
    let path = root.path().join("etc/machine-id");
    for right in ["", "uninitialized\n", "\n"] {
        fs::write(&path, right).unwrap();
        assert_eq!(ids(&look(root.path())), [""; 0], "{right}");
    }
    fs::write(&path, ID).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    put(root.path(), "/var/lib/dbus/machine-id", ID);
    let done = fix(root.path(), Consent::default());
    assert_eq!(done.iter().map(|one| one.change).collect::<Vec<_>>(), ["emptied", "linked"]);
    let about = fs::metadata(&path).unwrap();
    assert_eq!((about.len(), about.permissions().mode() & 0o777), (0, 0o444));
    let link = fs::read_link(root.path().join("var/lib/dbus/machine-id")).unwrap();
    assert_eq!(link, Path::new("/etc/machine-id"));
    assert_eq!(fix(root.path(), Consent::default()), []);
    // Without systemd there is none to link to.
    fs::remove_file(&path).unwrap();
    fs::remove_file(root.path().join("var/lib/dbus/machine-id")).unwrap();
    put(root.path(), "/var/lib/dbus/machine-id", ID);
    fix(root.path(), Consent::default());
    assert!(fs::symlink_metadata(root.path().join("var/lib/dbus/machine-id")).is_err());
}

#[test]
fn a_machine_id_that_is_missing_is_noted_where_systemd_is() {
    let root = bare();
    fs::remove_file(root.path().join("etc/machine-id")).unwrap();
    assert_eq!(ids(&look(root.path())), [""; 0]);
    put(root.path(), "/usr/lib/systemd/systemd", "");
    let found = look(root.path());
    assert_eq!((ids(&found), found.exit), (vec!["identity.machine-id-missing"], 0));
}

#[test]
fn an_image_with_sshd_needs_something_that_makes_its_keys() {
    let root = bare();
    put(root.path(), "/usr/sbin/sshd", "");
    assert_eq!(ids(&look(root.path())), ["key.ssh-no-maker"]);
    put(root.path(), "/etc/ssh/ssh_host_rsa_key", pem());
    let found = look(root.path());
    assert_eq!(ids(&found), ["key.ssh-host"]);
    assert!(found.findings[0].why.contains("ssh-keygen -A"));
    put(root.path(), "/usr/lib/systemd/system/keys.service", "[Service]\nExecStart=/usr/bin/ssh-keygen -A\n");
    assert!(!look(root.path()).findings[0].why.contains("ssh-keygen -A"));
    fix(root.path(), Consent::default());
    assert_eq!(ids(&look(root.path())), [""; 0]);
}

#[test]
fn debian_has_its_own_way_with_initiators() {
    let root = bare();
    put(root.path(), "/etc/debian_version", "12.9\n");
    put(root.path(), "/etc/iscsi/initiatorname.iscsi", "## x\nInitiatorName=iqn.1993-08.org.debian:01:1\n");
    fs::set_permissions(root.path().join("etc/iscsi/initiatorname.iscsi"), fs::Permissions::from_mode(0o600))
        .unwrap();
    assert_eq!(fix(root.path(), Consent::default())[0].change, "reset");
    let path = root.path().join("etc/iscsi/initiatorname.iscsi");
    assert_eq!(fs::read_to_string(&path).unwrap(), "GenerateName=yes\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fix(root.path(), Consent::default()), []);
}

#[test]
fn what_is_accepted_is_neither_counted_nor_changed() {
    let root = bare();
    put(root.path(), "/etc/ssh/ssh_host_rsa_key", pem());
    put(root.path(), "/etc/hostid", "abcd");
    let terms =
        |ids: &[&str], strict| Terms { allowed: ids.iter().map(|id| rule(id).unwrap()).collect(), strict };
    let mut image = open(root.path());
    assert_eq!(image.look(&terms(&[], false)).unwrap().exit, 2);
    let report = image.look(&terms(&["key.ssh-host"], false)).unwrap();
    assert_eq!((report.exit, report.findings.len()), (1, 2));
    image.fix(&report, Consent { keys: true }, &mut |_| {}).unwrap();
    assert!(root.path().join("etc/ssh/ssh_host_rsa_key").exists());
    assert!(!root.path().join("etc/hostid").exists());
    assert_eq!(image.look(&terms(&["key.ssh-host"], true)).unwrap().exit, 0);
    put(root.path(), "/root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n");
    assert_eq!(image.look(&terms(&["key.ssh-host"], false)).unwrap().exit, 0);
    assert_eq!(image.look(&terms(&["key.ssh-host"], true)).unwrap().exit, 1);
}

#[test]
fn the_running_system_is_not_changed_without_consent() {
    let open = |access| Image::open(Path::new("/"), access).map(|_| ());
    let change = Access { change: true, ..Access::default() };
    assert!(matches!(open(change), Err(LintError::RunningSystem)));
    assert!(matches!(Image::open(Path::new("/usr/.."), change), Err(LintError::RunningSystem)));
    assert!(open(Access::default()).is_ok());
}

#[test]
fn what_is_no_image_is_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let says = |content: &[u8], part: &str| {
        let path = root.path().join("image");
        fs::write(&path, content).unwrap();
        let error = Image::open(&path, Access::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    says(b"", "an empty file");
    says(b"hello", "not an image");
    says(b"KDMV....", "qemu-img convert");
    says(b"\x1f\x8b\x08\0garbage that is no gzip", "");
    let error = |path: &Path| Image::open(path, Access::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error(root.path()).contains("neither etc nor usr"));
    assert!(error(Path::new("/dev/null")).contains("neither a folder nor a file"));
    assert!(error(Path::new("/nonexistent")).contains("No such file"));
}

#[test]
fn a_file_that_two_sections_mean_is_told_once_and_at_its_gravest() {
    let root = bare();
    put(root.path(), "/var/log/cloud-init.log", format!("user-data: random_seed: {{data: {SECRET}}}\n"));
    assert_eq!(ids(&look(root.path())), ["log.seed"]);
    put(root.path(), "/var/log/cloud-init.log", "Cloud-init v. 22\n");
    assert_eq!(ids(&look(root.path())), ["cloud-init.logs"]);
}

#[test]
fn a_history_that_mentions_a_key_is_kept() {
    let root = bare();
    put(root.path(), "/root/.bash_history", "echo -----BEGIN PRIVATE KEY-----\nls\n");
    assert_eq!(ids(&look(root.path())), [""; 0]);
    put(root.path(), "/root/.bash_history", pem());
    assert_eq!(ids(&look(root.path())), ["log.history"]);
}
