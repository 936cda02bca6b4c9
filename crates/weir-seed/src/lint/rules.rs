//! The one list of what an image must not give its clones. Everything else is derived from it: what is looked at, what is
//! reported, what `--fix` does, `weir seed lint --rules`, and the table in docs/seeding/lint.md.
//!
//! What is critical: who has one clone, or the image, knows or may guess a secret of the others. A warning: clones are
//! mistaken for each other, or begin alike. A note: worth knowing.
//!
//! Absent on purpose: what has nothing to do with secrets or identities that are drawn at random (host names, package
//! caches, accounts and their passwords, UUIDs of file systems).

use weir_report::Verdict;

use super::sniff::Content;
use super::tree::Change;

/// Where findings belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Seeds of generators.
    Seeds,
    /// What tells machines apart.
    Identity,
    /// Private keys and other secrets.
    Keys,
    /// What cloud-init left behind.
    CloudInit,
    /// Logs, histories and dumps.
    Logs,
}

impl Group {
    /// The heading for people.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Seeds => "Seed files",
            Self::Identity => "Identity",
            Self::Keys => "Keys",
            Self::CloudInit => "cloud-init",
            Self::Logs => "Logs and dumps",
        }
    }
}

/// When something at a place is a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// It is there, whatever it is.
    There,
    /// A file that is not empty.
    NotEmpty,
    /// A file that is not empty; without this extended attribute being set it is only a warning.
    Credited(&'static str),
    /// A file that holds something.
    Holds(Content),
    /// As `Holds`, also through a link at the end.
    Leads(Content),
    /// None of the rule's places is there, although the image has a program that wants it.
    Missing(&'static str),
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fix {
    /// The first boot, or the program at its next start, makes it again or does without.
    Freely(Change),
    /// Nothing makes it again by itself: only with consent.
    Keys(Change),
    /// A link to this place if something is there, else to remove it.
    LinkTo(&'static str),
    /// On Debian this content, on others to remove it, because what makes it again differs.
    DebianContent(&'static str),
    /// It takes a person; this is the command, before the path.
    Person(&'static str),
    /// Nothing is to be done.
    Nothing,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Which it is; stable.
    pub id: &'static str,
    /// Where its findings belong.
    pub group: Group,
    /// How grave its findings are, at most.
    pub verdict: Verdict,
    /// Where it looks: see the patterns in docs/seeding/lint.md.
    pub places: &'static [&'static str],
    /// What is found, in a few words.
    pub what: &'static str,
    /// Why it matters to clones, in a sentence.
    pub why: &'static str,
    pub(super) test: Test,
    pub(super) fix: Fix,
}

impl Rule {
    /// What `--fix` does about it, in a few words.
    #[must_use]
    pub fn fix(&self) -> &'static str {
        match self.fix {
            Fix::Freely(Change::Remove) => "remove",
            Fix::Freely(Change::Empty) => "empty",
            Fix::Keys(_) => "remove, with --fix-keys",
            Fix::Freely(Change::Link(_)) | Fix::LinkTo(_) => "link",
            Fix::Freely(Change::Content(_)) | Fix::DebianContent(_) => "reset",
            Fix::Person(_) => "by hand",
            Fix::Nothing => "nothing to do",
        }
    }

    const fn new(id: &'static str, group: Group, verdict: Verdict, places: &'static [&'static str]) -> Self {
        Self { id, group, verdict, places, what: "", why: "", test: Test::There, fix: Fix::Nothing }
    }

    const fn says(self, what: &'static str, why: &'static str) -> Self {
        Self { what, why, ..self }
    }

    const fn when(self, test: Test) -> Self {
        Self { test, ..self }
    }

    const fn fixed(self, fix: Fix) -> Self {
        Self { fix, ..self }
    }

    const fn seed(id: &'static str, verdict: Verdict, places: &'static [&'static str]) -> Self {
        Self::new(id, Group::Seeds, verdict, places).when(Test::NotEmpty).fixed(REMOVE)
    }

    const fn identity(id: &'static str, places: &'static [&'static str]) -> Self {
        Self::new(id, Group::Identity, Verdict::Warning, places).when(Test::NotEmpty).fixed(REMOVE)
    }

    const fn key(id: &'static str, places: &'static [&'static str]) -> Self {
        let rule = Self::new(id, Group::Keys, Verdict::Critical, places);
        rule.when(Test::Holds(Content::PrivateKey)).fixed(Fix::Keys(Change::Remove))
    }
}

const REMOVE: Fix = Fix::Freely(Change::Remove);
const EMPTY: Fix = Fix::Freely(Change::Empty);

/// A place on the EFI system partition, which in the image of a disk is a partition of its own.
pub(super) const ESP_SEED: &str = "/loader/random-seed";

const ALL_BEGIN_ALIKE: &str = "Every clone begins its first boot with the same seed, which others know.";
const ANYBODY_IS_IT: &str =
    "Every clone has the same key: who has one of them, or the image, can pass for all others.";
const MISTAKEN: &str = "Clones are mistaken for one another.";
const SAME_LEASE: &str = "Clones ask for the same address, or give themselves out as the same client.";

/// All rules, in the order of the report. What one finds is not found again by a later one of its group.
pub static RULES: &[Rule] = &[
    Rule::seed("seed.systemd", Verdict::Critical, &["/var/lib/systemd/random-seed"])
        .says("systemd's seed file", "Every clone begins its first boot with the same seed; where it is marked as creditable, the kernel takes it for entropy.")
        .when(Test::Credited("user.random-seed-creditable")),
    Rule::seed("seed.seedrng-credit", Verdict::Critical, &["/var/lib/seedrng/seed.credit", "/etc/seedrng/seed.credit"])
        .says("SeedRNG's creditable seed", "Every clone begins with the same seed and the kernel takes it for entropy."),
    Rule::seed("seed.seedrng", Verdict::Warning, &["/var/lib/seedrng/seed.no-credit", "/etc/seedrng/seed.no-credit"])
        .says("SeedRNG's seed", ALL_BEGIN_ALIKE),
    Rule::seed("seed.esp", Verdict::Critical, &["/boot/loader/random-seed", "/efi/loader/random-seed", "/boot/efi/loader/random-seed"])
        .says("the boot loader's seed on the EFI system partition", "The boot loader hands it to the kernel of every clone, which by default takes it for entropy."),
    Rule::seed("seed.init", Verdict::Warning, &[
        "/var/lib/misc/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed", "/var/lib/urandom/urandom-seed", "/etc/random-seed",
        "/var/lib/random-seed.bin", "/etc/urandom.seed", "/var/db/entropy-file",
    ])
        .says("an init script's seed file", ALL_BEGIN_ALIKE),
    Rule::seed("seed.weir-feed", Verdict::Warning, &["/var/lib/weir-feed/seed*"])
        .says("weir-feed's seed file", "Every clone begins with the same seed. weir-feed notices that and does not credit it."),
    Rule::seed("seed.weir-seed", Verdict::Warning, &["/var/lib/weir-seed/*"])
        .when(Test::There)
        .says("what Weir kept of another machine", "A clone would take the seeds that another machine received for its own."),
    Rule::seed("seed.pollinate", Verdict::Warning, &["/var/cache/pollinate/seeded", "/var/lib/pollinate/*", "/var/cache/pollinate/log"])
        .when(Test::There)
        .says("pollinate's mark that it has run", "pollinate believes that the machine is seeded, so that no clone is."),
    Rule::seed("seed.rnd", Verdict::Warning, &["~/.rnd", "/etc/ssl/.rnd", "/etc/ssl/*/.rnd", "/.rnd", "/etc/pki/CA/private/.rand", "/var/lib/*/.rnd"])
        .says("OpenSSL's seed file", "Programs of OpenSSL on every clone mix in the same seed."),
    Rule::seed("seed.egd", Verdict::Warning, &["/var/lib/egd/*", "/var/lib/prngd/*", "/var/spool/prngd/*", "/etc/prngd-seed", "/var/lib/haveged/*", "~/.gnupg/random_seed"])
        .says("the seed file of a generator outside of the kernel", "On every clone that generator begins alike."),

    Rule::identity("identity.machine-id", &["/etc/machine-id"])
        .says("the machine's ID", "Clones are mistaken for one another; addresses, DHCP clients and more are derived from it. An empty file is right in an image.")
        .when(Test::Leads(Content::MachineId))
        .fixed(EMPTY),
    Rule::new("identity.machine-id-missing", Group::Identity, Verdict::Note, &["/etc/machine-id"])
        .says("there is no machine ID", "The first boot makes one; where /etc cannot be written to, it needs an empty file to put it on.")
        .when(Test::Missing("/usr/lib/systemd/systemd")),
    Rule::identity("identity.dbus", &["/var/lib/dbus/machine-id"])
        .says("D-Bus's machine ID, a file of its own", "Where /etc/machine-id is empty, systemd takes this one for the machine's: clones are mistaken for one another.")
        .when(Test::Holds(Content::MachineId))
        .fixed(Fix::LinkTo("/etc/machine-id")),
    Rule::identity("identity.hostid", &["/etc/hostid"])
        .says("the host ID", "ZFS takes a pool of another clone for its own, and every program that asks gethostid takes clones for one machine."),
    Rule::identity("identity.nvme", &["/etc/nvme/hostid", "/etc/nvme/hostnqn"])
        .says("the NVMe host's name", "Storage takes clones for one host; two that write to one namespace destroy it."),
    Rule::identity("identity.iscsi", &["/etc/iscsi/initiatorname.iscsi"])
        .says("the iSCSI initiator's name", "Storage takes clones for one host; two that write to one volume destroy it.")
        .when(Test::Holds(Content::Setting(&["InitiatorName"])))
        .fixed(Fix::DebianContent("GenerateName=yes\n")),
    Rule::identity("identity.dhcp", &[
        "/var/lib/dhcp/*.lease*", "/var/lib/dhclient/*", "/var/lib/dhcpcd/*", "/var/lib/dhcpcd5/*", "/var/db/dhcpcd/*", "/etc/dhcpcd.duid", "/etc/dhcpcd.secret",
        "/var/lib/NetworkManager/*.lease", "/var/lib/NetworkManager/dhclient-*", "/var/lib/wicked/*", "/var/lib/dhcpv6/*", "/var/lib/udhcpc/*", "/var/lib/connman/*.duid",
    ])
        .says("a DHCP lease or client ID", SAME_LEASE),
    Rule::identity("identity.network-manager", &["/var/lib/NetworkManager/secret_key", "/var/lib/NetworkManager/timestamps", "/var/lib/NetworkManager/seen-bssids"])
        .says("NetworkManager's secret and what it remembers", "Stable addresses and DHCP IDs are derived from the secret: those of clones can be told."),
    Rule::identity("identity.udev-net", &["/etc/udev/rules.d/*-persistent-net.rules", "/etc/udev/rules.d/*-persistent-cd.rules"])
        .says("names that are bound to another machine's devices", "A clone's network card gets another name and its network does not come up.")
        .when(Test::Holds(Content::Lines)),
    Rule::identity("identity.agent", &[
        "/var/lib/tailscale/tailscaled.state", "/var/lib/zerotier-one/identity.secret", "/var/lib/amazon/ssm/registration", "/var/lib/amazon/ssm/Vault/Store/*",
        "/var/lib/ubuntu-advantage/private/*", "/etc/sysconfig/rhn/systemid", "/var/lib/rabbitmq/.erlang.cookie", "/var/lib/nomad/client/secret-id", "/var/lib/consul/node-id",
        "/opt/consul/node-id", "/opt/puppetlabs/server/data/puppetdb/uuid", "/etc/newrelic-infra/agent-id", "/var/lib/osquery/osquery.db", "/var/lib/weir/node.id",
    ])
        .says("the registration of an agent", "Clones register as one machine, with the same secret.")
        .fixed(Fix::Keys(Change::Remove)),

    Rule::key("key.ssh-host", &["/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_key", "/etc/ssh/keys/*", "/usr/local/etc/ssh/ssh_host_*_key", "/usr/etc/ssh/ssh_host_*_key", "/var/lib/ssh/ssh_host_*_key", "/etc/opt/ssh/ssh_host_*_key", "/persist/etc/ssh/ssh_host_*_key"])
        .says("an SSH host key", ANYBODY_IS_IT)
        .when(Test::NotEmpty)
        .fixed(REMOVE),
    Rule::new("key.ssh-host-public", Group::Keys, Verdict::Note, &["/etc/ssh/ssh_host_*_key.pub", "/etc/ssh/ssh_host_*-cert.pub", "/etc/ssh/keys/*.pub"])
        .says("the public half of an SSH host key", "It belongs to no clone's key; where the private half is missing, sshd's tools make no new pair.")
        .fixed(REMOVE),
    Rule::key("key.dropbear", &["/etc/dropbear/dropbear_*_host_key", "/etc/dropbear/*.key", "/etc/dropbear-initramfs/dropbear_*_host_key", "/etc/dropbear/initramfs/dropbear_*_host_key", "/var/lib/dropbear/dropbear_*_host_key"])
        .says("Dropbear's host key", ANYBODY_IS_IT)
        .when(Test::NotEmpty)
        .fixed(REMOVE),
    Rule::new("key.ssh-no-maker", Group::Keys, Verdict::Note, &["/etc/ssh/ssh_host_*_key"])
        .says("there are no SSH host keys, and nothing here makes them at the first boot", "sshd does not start without. cloud-init makes them, or a unit that runs ssh-keygen -A; Debian's openssh-server does so only when it is installed.")
        .when(Test::Missing("/usr/sbin/sshd"))
        .fixed(Fix::Nothing),
    Rule::key("key.credential-secret", &["/var/lib/systemd/credential.secret"])
        .says("the key of systemd's credentials", "What one clone encrypts with it every other can read. What was encrypted with this one is lost with it.")
        .when(Test::NotEmpty)
        .fixed(REMOVE),
    Rule::key("key.snakeoil", &["/etc/ssl/private/ssl-cert-snakeoil.key"])
        .says("the private key of Debian's stand-in certificate", "Every clone has the same key. `make-ssl-cert generate-default-snakeoil --force-overwrite` at the first boot makes another."),
    Rule::key("key.tls", &[
        "/etc/ssl/private/**", "/etc/ssl/*.pem", "/etc/ssl/*.key", "/etc/pki/tls/private/**", "/etc/pki/CA/private/**", "/etc/pki/consumer/*", "/etc/pki/nginx/private/**", "/etc/letsencrypt/**",
        "/etc/nginx/**", "/etc/apache2/ssl/**", "/etc/httpd/**", "/etc/haproxy/**", "/etc/caddy/**", "/var/lib/caddy/**", "/etc/dovecot/private/**", "/etc/postfix/*.pem", "/etc/postfix/*.key",
        "/etc/exim4/*.key", "/etc/cockpit/ws-certs.d/*", "/etc/unbound/*.key", "/etc/ldap/**", "/etc/openldap/certs/**", "/etc/envoy/**", "/etc/kong/**", "/etc/acme/**", "/root/.acme.sh/**", "/etc/libvirt/pki/**",
        "/etc/pki/libvirt/private/**", "/etc/qemu/*.pem", "/etc/vault.d/**", "/opt/vault/tls/**", "/etc/consul.d/**", "/etc/nomad.d/**", "/etc/etcd/**", "/etc/mysql/*.pem", "/var/lib/mysql/*.pem",
        "/etc/rabbitmq/**", "/etc/elasticsearch/certs/**", "/etc/grafana/*.key", "/etc/prometheus/**",
    ])
        .says("a private key", ANYBODY_IS_IT),
    Rule::key("key.ssh-user", &["~/.ssh/*"])
        .says("a person's SSH key", "Everybody who gets the image can log in wherever this key is let in."),
    Rule::new("key.authorized", Group::Keys, Verdict::Note, &["~/.ssh/authorized_keys", "~/.ssh/authorized_keys2", "/etc/ssh/authorized_keys/*", "/etc/ssh/authorized_keys.d/*"])
        .says("keys that are let in", "Who has one of them can log in to every clone.")
        .when(Test::Holds(Content::Lines))
        .fixed(Fix::Person("${EDITOR:-vi}")),
    Rule::key("key.wireguard", &["/etc/wireguard/*.conf", "/etc/wireguard/*.key", "/etc/wireguard/*private*", "/etc/amnezia/amneziawg/*.conf"])
        .says("a WireGuard key", ANYBODY_IS_IT)
        .when(Test::NotEmpty),
    Rule::key("key.networkd", &["/etc/systemd/network/*.netdev", "/etc/systemd/network/*key*"])
        .says("a WireGuard or MACsec key of systemd-networkd", ANYBODY_IS_IT)
        .when(Test::Holds(Content::Setting(&["PrivateKey", "PresharedKey", "Key"]))),
    Rule::key("key.kerberos", &["/etc/krb5.keytab", "/etc/krb5kdc/*.keytab", "/var/lib/krb5kdc/.k5.*", "/etc/krb5kdc/stash", "/etc/*.keytab", "/etc/http.keytab"])
        .says("a Kerberos key", ANYBODY_IS_IT)
        .when(Test::NotEmpty),
    Rule::key("key.samba", &["/var/lib/samba/private/secrets.tdb", "/var/lib/samba/secrets.tdb", "/etc/samba/secrets.tdb"])
        .says("Samba's secrets", "Clones share the domain's trust in one machine.")
        .when(Test::NotEmpty),
    Rule::key("key.ipsec", &["/etc/ipsec.d/private/**", "/etc/swanctl/private/**", "/etc/swanctl/rsa/**", "/etc/swanctl/ecdsa/**", "/etc/swanctl/pkcs8/**", "/etc/strongswan/**"])
        .says("an IPsec key", ANYBODY_IS_IT),
    Rule::key("key.ipsec-secrets", &["/etc/ipsec.secrets", "/etc/ipsec.d/*.secrets"])
        .says("secrets of IPsec", ANYBODY_IS_IT)
        .when(Test::Holds(Content::Words(&["PSK", "XAUTH", "EAP", ": RSA {"]))),
    Rule::key("key.openvpn", &["/etc/openvpn/**"]).says("an OpenVPN key", ANYBODY_IS_IT),
    Rule::key("key.tinc", &["/etc/tinc/**"]).says("a tinc key", ANYBODY_IS_IT),
    Rule::key("key.nebula", &["/etc/nebula/*.key"]).says("a Nebula key", ANYBODY_IS_IT).when(Test::NotEmpty),
    Rule::key("key.tor", &["/var/lib/tor/keys/*", "/var/lib/tor/*/hs_ed25519_secret_key", "/var/lib/tor/*/private_key"])
        .says("a Tor key", "Clones share one relay's or one hidden service's identity.")
        .when(Test::NotEmpty),
    Rule::key("key.postgresql", &["/var/lib/postgresql/*/*/server.key", "/var/lib/pgsql/data/server.key", "/var/lib/pgsql/*/data/server.key", "/var/lib/postgres/data/server.key"])
        .says("PostgreSQL's private key", ANYBODY_IS_IT),
    Rule::key("key.kubernetes", &["/etc/kubernetes/pki/**", "/var/lib/kubelet/pki/*", "/var/lib/rancher/k3s/server/tls/**", "/var/lib/rancher/k3s/agent/*.key", "/var/lib/rancher/rke2/server/tls/**", "/var/snap/microk8s/current/certs/*"])
        .says("a Kubernetes key", "Who has it can pass for the cluster's control plane or for a node."),
    Rule::key("key.kubeconfig", &["/etc/kubernetes/*.conf", "/etc/rancher/*/*.yaml", "~/.kube/config"])
        .says("a key to a Kubernetes cluster", "Everybody who gets the image has this access to the cluster.")
        .when(Test::Holds(Content::Words(&["client-key-data:", "token:"]))),
    Rule::key("key.docker", &["/etc/docker/key.json"])
        .says("Docker's key", MISTAKEN)
        .when(Test::NotEmpty)
        .fixed(REMOVE),
    Rule::key("key.chrony", &["/etc/chrony/chrony.keys", "/etc/chrony.keys", "/etc/ntp.keys", "/etc/ntp/keys", "/etc/ntpsec/ntp.keys"])
        .says("keys of time servers", "Who has them can tell every clone a wrong time.")
        .when(Test::Holds(Content::Lines)),
    Rule::key("key.dns", &["/etc/bind/rndc.key", "/etc/rndc.key", "/etc/named/rndc.key", "/etc/bind/*.private", "/var/named/*.private", "/var/lib/knot/keys/keys/*", "/etc/knot/keys/*"])
        .says("a name server's key", ANYBODY_IS_IT)
        .when(Test::NotEmpty),
    Rule::key("key.salt", &["/etc/salt/pki/**"]).says("Salt's key", "The master takes clones for one minion."),
    Rule::key("key.puppet", &["/etc/puppetlabs/puppet/ssl/**", "/etc/puppet/ssl/**", "/var/lib/puppet/ssl/**"])
        .says("Puppet's key", "The server takes clones for one node."),
    Rule::key("key.chef", &["/etc/chef/*.pem", "/etc/cinc/*.pem"]).says("Chef's key", "The server takes clones for one node."),
    Rule::key("key.munge", &["/etc/munge/munge.key"])
        .says("MUNGE's key", "Who has it can pass for any user in the cluster. To share it within one is its purpose: accept it with --allow.")
        .when(Test::NotEmpty),
    Rule::key("key.cryptsetup", &["/etc/cryptsetup-keys.d/*", "/etc/luks/*", "/etc/keys/*"])
        .says("a key of encrypted disks", "It opens the disks of every clone.")
        .when(Test::NotEmpty),
    Rule::key("key.gnupg", &["~/.gnupg/private-keys-v1.d/*", "~/.gnupg/secring.gpg", "/etc/pacman.d/gnupg/private-keys-v1.d/*"])
        .says("a GnuPG key", "Everybody who gets the image can sign and decrypt with it.")
        .when(Test::NotEmpty),
    Rule::key("key.weir", &["/var/lib/weir/secrets/*", "/var/lib/weir/ssl/*.key"])
        .says("a key of the gateway", "Who has one clone can open what every other has sealed, and log in to its Admin API.")
        .when(Test::NotEmpty),

    Rule::new("cloud-init.state", Group::CloudInit, Verdict::Warning, &["/var/lib/cloud/instance", "/var/lib/cloud/instances/*", "/var/lib/cloud/data/*", "/var/lib/cloud/sem/*", "/var/lib/cloud/handlers/*"])
        .says("what cloud-init kept of another instance", "It holds that instance's user-data with its secrets, and a clone may take itself for the same instance and make no new keys.")
        .fixed(REMOVE),
    Rule::new("cloud-init.seed", Group::CloudInit, Verdict::Critical, &["/var/lib/cloud/seed/*/*", "/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*", "/var/lib/cloud/instances/*/user-data.txt*", "/var/lib/cloud/instances/*/cloud-config.txt", "/var/lib/cloud/instances/*/vendor-data*", "/boot/user-data", "/boot/firmware/user-data"])
        .says("a seed or a private key in what cloud-init is given", "Every clone is given the same.")
        .when(Test::Holds(Content::Seed))
        .fixed(Fix::Person("${EDITOR:-vi}")),
    Rule::new("cloud-init.user-data", Group::CloudInit, Verdict::Note, &["/var/lib/cloud/seed/*/user-data"])
        .says("user-data in the image", "Every clone is given the same; that may be what it is there for.")
        .when(Test::NotEmpty)
        .fixed(Fix::Person("${PAGER:-less}")),
    Rule::new("cloud-init.logs", Group::CloudInit, Verdict::Note, &["/var/log/cloud-init.log*", "/var/log/cloud-init-output.log*"])
        .says("cloud-init's log of another instance", "It tells of that instance and not of the clone.")
        .when(Test::NotEmpty)
        .fixed(EMPTY),

    Rule::new("log.seed", Group::Logs, Verdict::Critical, &[
        "/var/log/*", "/var/log/installer/*", "/var/log/apt/*", "/var/log/anaconda/*", "/var/log/amazon/ssm/*", "/var/log/azure/*", "/var/log/audit/*",
    ])
        .says("a log that holds a seed or a private key", "Everybody who gets the image can read it there.")
        .when(Test::Holds(Content::Seed))
        .fixed(EMPTY),
    Rule::new("log.history", Group::Logs, Verdict::Critical, &["~/.*_history", "~/.history", "~/.histfile", "~/.local/share/fish/fish_history", "~/.viminfo"])
        .says("a history that holds a seed or a private key", "Everybody who gets the image can read it there.")
        .when(Test::Holds(Content::Seed))
        .fixed(EMPTY),
    Rule::new("log.installer", Group::Logs, Verdict::Warning, &["/var/log/installer/autoinstall-user-data", "/var/log/installer/cloud-init*", "/root/anaconda-ks.cfg", "/root/original-ks.cfg", "/root/initial-setup-ks.cfg"])
        .says("what the installer was given", "It holds passwords' digests and other secrets of the installation.")
        .when(Test::NotEmpty)
        .fixed(REMOVE),
    Rule::new("log.journal", Group::Logs, Verdict::Note, &["/var/log/journal/*"])
        .says("the journal of another machine", "It lies under that machine's ID, where no clone looks, and tells everybody of that machine.")
        .fixed(REMOVE),
    Rule::new("log.dumps", Group::Logs, Verdict::Warning, &["/var/lib/systemd/coredump/*", "/var/crash/*", "/var/spool/abrt/*", "/var/lib/kdump/*", "/var/lib/systemd/pstore/*"])
        .says("a dump of memory", "Programs' keys and states of generators are in it.")
        .fixed(REMOVE),
];

/// The rule of a name.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Where in the report a rule's findings stand.
pub(super) fn place_of(id: &str) -> Option<usize> {
    RULES.iter().position(|rule| rule.id == id)
}

/// What makes SSH host keys at a boot: files in one of these places with one of these words in them.
pub(super) const KEY_MAKERS: &[&str] = &[
    "/etc/systemd/system/*.service",
    "/etc/systemd/system/*/*.conf",
    "/usr/lib/systemd/system/*.service",
    "/usr/lib/systemd/system/*/*.conf",
    "/usr/local/lib/systemd/system/*.service",
    "/lib/systemd/system/*.service",
    "/etc/rc.local",
    "/etc/init.d/sshd",
    "/etc/init.d/ssh",
    "/etc/init.d/S50sshd",
    "/etc/local.d/*.start",
];
/// As said there. cloud-init counts by its own unit.
pub(super) const KEY_MAKER_WORDS: Content = Content::Words(&[
    "ssh-keygen",
    "sshd-keygen",
    "sshd-gen-keys",
    "dpkg-reconfigure openssh-server",
    "cloud-init init",
    "cloud-init-main",
    "cloud-init modules",
    "cloud-init --all-stages",
]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_says_what_and_why() {
        let ids: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), RULES.len());
        for rule in RULES {
            assert!(!rule.what.is_empty() && rule.why.ends_with('.'), "{}", rule.id);
            assert!(rule.places.iter().all(|place| place.starts_with(['/', '~'])), "{}", rule.id);
            let stars = rule.places.iter().filter(|place| place.contains("**"));
            assert!(stars.clone().all(|place| place.ends_with("/**")), "{}", rule.id);
        }
        let groups: Vec<_> = RULES.iter().map(|rule| rule.group).collect();
        assert!(groups.is_sorted(), "rules of a group stand together");
    }
}
