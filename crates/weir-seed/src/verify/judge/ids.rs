//! Ids, draws and seeds: what the machines say of themselves.

use std::collections::BTreeSet;

use super::{Case, and, push, shared};
use crate::verify::answer::{Facts, Generation, Hash, Id};
use weir_report::Verdict;

const NEW_MACHINE_ID: &str = "rm -f /etc/machine-id /var/lib/dbus/machine-id && systemd-machine-id-setup && reboot  # as root, on each of them";
const NEW_SEED_FILE: &str =
    "rm -f /var/lib/systemd/random-seed && systemctl restart systemd-random-seed  # as root, on each of them";

impl Case<'_> {
    pub(super) fn ids(&mut self) {
        self.draws();
        self.boot_ids();
        self.machine_ids();
        self.product_uuids();
        self.seed_files();
        self.generations();
    }

    /// Compares an id over all machines that have it: who shares one.
    fn compare(&mut self, what: &'static str, id: impl Fn(&Facts) -> Id) -> Vec<BTreeSet<usize>> {
        let mut ids: Vec<(Hash, usize)> = Vec::new();
        for (at, facts) in self.told() {
            match id(facts) {
                Id::Hash(hash) => ids.push((hash, at)),
                other => self.no_id(at, what, other),
            }
        }
        let groups: Vec<BTreeSet<usize>> = shared(ids.iter().copied()).into_keys().collect();
        let values: BTreeSet<Hash> = ids.iter().map(|(hash, _)| *hash).collect();
        self.compared(what, (ids.len(), "machines"), values.len(), groups.is_empty());
        groups
    }

    fn no_id(&mut self, at: usize, what: &'static str, id: Id) {
        let name = self.names([at]).pop().unwrap_or_default();
        self.not_seen(&name, what, id.why_not().unwrap_or_default());
    }

    fn draws(&mut self) {
        let mut draws = Vec::new();
        let (mut machines, mut repeating) = (0, Vec::new());
        for (at, facts) in self.told() {
            let different: BTreeSet<&Hash> = facts.draws.iter().collect();
            if different.len() < facts.draws.len() {
                repeating.push(at);
            }
            if different.is_empty() {
                let name = self.names([at]).pop().unwrap_or_default();
                self.not_seen(
                    &name,
                    "draws",
                    "/dev/urandom could not be read, or there is no program for SHA-256",
                );
            } else {
                machines += 1;
            }
            draws.extend(different.into_iter().map(|draw| (*draw, at)));
        }
        let values: BTreeSet<Hash> = draws.iter().map(|(draw, _)| *draw).collect();
        let groups = shared(draws.iter().copied());
        self.compared("draws", (machines, "machines"), values.len(), groups.is_empty());
        for (machines, equal) in groups {
            let names = self.names(machines);
            let what = format!(
                "{} drew the same from their generators: {} of the draws made just now are equal",
                and(&names),
                equal.len()
            );
            let why = "Their kernels' generators are in the same state. What one of them draws, keys and tokens, the others draw as well.";
            let finding = self.find("draws.equal", Verdict::Critical, what, why);
            finding.commands = vec![format!(
                "{}  # then make all keys again that were made since they were cloned",
                push(&names)
            )];
            finding.machines = names;
        }
        if !repeating.is_empty() {
            let names = self.names(repeating);
            let what = format!("/dev/urandom gave the same more than once on {}", and(&names));
            let why = "That is no generator: something else stands in its place.";
            let finding = self.find("draws.repeated", Verdict::Critical, what, why);
            finding.commands = vec![
                "ls -l /dev/urandom  # on each of them: it should be a character device, 1, 9".to_owned(),
            ];
            finding.machines = names;
        }
    }

    fn boot_ids(&mut self) {
        for group in self.compare("boot id", |facts| facts.boot_id) {
            let is_undecided =
                |&(one, other): &(usize, usize)| group.contains(&one) && group.contains(&other);
            let (names, all) = (self.names(group.clone()), group.len() * (group.len() - 1) / 2);
            if self.evidence.undecided.iter().filter(|pair| is_undecided(pair)).count() == all {
                continue;
            }
            let of = |test: fn(&Facts) -> bool| {
                self.told().filter(|(at, _)| group.contains(at)).filter(|(_, facts)| test(facts)).count()
            };
            if of(|facts| facts.container == Some(true)) > 0 {
                let what = format!("{} run on one kernel", and(&names));
                let why = "Containers share their host's boot id and its generator, which gives each of them something else.";
                self.find("boot-id.shared", Verdict::Note, what, why).machines = names;
                continue;
            }
            let heard = of(|facts| facts.generation == Generation::Heard) == group.len();
            let what = format!(
                "{} are in the same boot: they were restored from one snapshot of memory",
                and(&names)
            );
            let (verdict, why) = if heard {
                (
                    Verdict::Warning,
                    "Their kernels listen to VMGenID and took new keys. Programs that were running keep what they held: generators of their own, keys, sessions.",
                )
            } else {
                (
                    Verdict::Critical,
                    "Without VMGenID their generators went on from one state, and programs that were running hold the same keys and draw the same.",
                )
            };
            let finding = self.find("boot-id.shared", verdict, what, why);
            finding.commands = vec![format!("{}  # then restart what was running, or reboot", push(&names))];
            finding.machines = names;
        }
    }

    fn machine_ids(&mut self) {
        let groups = self.compare("machine id", |facts| facts.machine_id);
        // D-Bus' id is the same file nearly everywhere; only one that is not says something of its own.
        let dbus = self.told().filter_map(|(at, facts)| Some((*facts.dbus_id.hash()?, at)));
        let dbus: BTreeSet<BTreeSet<usize>> =
            shared(dbus).into_keys().filter(|group| !groups.contains(group)).collect();
        for (id, name, group) in groups
            .into_iter()
            .map(|group| ("machine-id.shared", "machine id", group))
            .chain(dbus.into_iter().map(|group| ("dbus-id.shared", "D-Bus machine id", group)))
        {
            let names = self.names(group);
            let what = format!("{} have the same {name}", and(&names));
            let why = "It names the installation: leases of DHCP, journals, and ids that programs derive from it collide. The image should carry an empty one.";
            let finding = self.find(id, Verdict::Warning, what, why);
            finding.commands = vec![NEW_MACHINE_ID.to_owned()];
            finding.machines = names;
        }
    }

    fn product_uuids(&mut self) {
        for group in self.compare("product UUID", |facts| facts.product_uuid) {
            let names = self.names(group);
            let what = format!("{} have the same UUID of their firmware", and(&names));
            let why = "The hypervisor was told to make one machine several times. systemd takes the machine id from it on a first boot.";
            let finding = self.find("product-uuid.shared", Verdict::Warning, what, why);
            finding.commands = vec![
                "virt-clone --original NAME --auto-clone  # on the hypervisor, or its own way to clone"
                    .to_owned(),
            ];
            finding.machines = names;
        }
    }

    fn seed_files(&mut self) {
        let mut seeds = Vec::new();
        for (at, facts) in self.told() {
            let before = seeds.len();
            seeds.extend(facts.seed_files.iter().filter_map(|(_, id)| Some((*id.hash()?, at))));
            if seeds.len() == before {
                let why = match facts.seed_files.is_empty() {
                    true => "there is none that this user can see",
                    false => "this user may not read it",
                };
                let name = self.names([at]).pop().unwrap_or_default();
                self.not_seen(&name, "seed file", why);
            }
        }
        let machines: BTreeSet<usize> = seeds.iter().map(|(_, at)| *at).collect();
        let values: BTreeSet<Hash> = seeds.iter().map(|(hash, _)| *hash).collect();
        let groups = shared(seeds.iter().copied());
        self.compared("seed file", (machines.len(), "machines"), values.len(), groups.is_empty());
        for group in groups.into_keys() {
            let names = self.names(group);
            let what = format!("{} have the same seed file", and(&names));
            let why = "They begin their next boot with the same seed: it was in the image, and nothing has written it anew.";
            let finding = self.find("seed-file.shared", Verdict::Warning, what, why);
            finding.commands = vec![push(&names), NEW_SEED_FILE.to_owned()];
            finding.machines = names;
        }
    }

    /// Virtual machines whose kernels would not learn of a clone.
    fn generations(&mut self) {
        let deaf = |facts: &Facts| {
            facts.is_virtual == Some(true)
                && facts.container != Some(true)
                && matches!(facts.generation, Generation::NoDevice | Generation::NoDriver)
        };
        let names =
            self.names(self.told().filter(|(_, facts)| deaf(facts)).map(|(at, _)| at).collect::<Vec<_>>());
        if !names.is_empty() {
            let what = format!("No VMGenID on {}", and(&names));
            let why = "Two restored from one snapshot would draw the same until their kernels reseed by themselves.";
            let finding = self.find("vmgenid.absent", Verdict::Note, what, why);
            finding.commands = vec![
                "qemu-system-x86_64 ... -device vmgenid,guid=auto  # on the hypervisor; libvirt: <genid/>"
                    .to_owned(),
            ];
            finding.machines = names;
        }
    }
}
