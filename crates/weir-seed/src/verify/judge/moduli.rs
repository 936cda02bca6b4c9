//! RSA moduli, wherever they are from: which have a prime in common, and which are weak.

use std::collections::{BTreeMap, BTreeSet};

use dashu_int::UBig;

use super::keys::{NEW_HOST_KEYS, found};
use super::{Case, and, listed, push};
use crate::verify::batch_gcd::{Plan, on_threads};
use crate::verify::key::PublicKey;
use crate::verify::rsa::{Weakness, common_factors, weaknesses};
use weir_report::Verdict;

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// A machine's sshd.
    Machine(usize),
    /// A server of TLS, as HOST:PORT.
    Server(String),
    /// A file, as FILE:LINE, with the label that it has there.
    Place(String, Option<String>),
}

/// No RSA key has a prime as short as this; two numbers that are no products of primes have such factors in common by
/// chance, which says nothing of randomness.
const LEAST_PRIME_BITS: usize = 128;
const DAMAGED: &str = "That is no product of two large primes: the key is damaged, or was never one.";

/// A key, and everybody who has its modulus.
struct RsaKey {
    key: PublicKey,
    exponent: UBig,
    owners: BTreeSet<Owner>,
}

impl<'a> Case<'a> {
    /// Every key, wherever it is from.
    fn all_keys(&self) -> Vec<(&'a PublicKey, Owner)> {
        let machines = self.evidence.machines.iter().enumerate();
        let hosts = machines
            .flat_map(|(at, machine)| machine.host_keys().iter().map(move |key| (key, Owner::Machine(at))));
        let servers = self.evidence.servers.iter().filter_map(|server| {
            let shown = server.shown.as_ref().ok()?;
            Some((&shown.key, Owner::Server(server.place())))
        });
        let files = found(self.evidence).map(|(file, found)| {
            (&found.key, Owner::Place(format!("{}:{}", file.name, found.line), found.label.clone()))
        });
        hosts.chain(servers).chain(files).collect()
    }

    pub(super) fn moduli(&mut self, plan: Plan, progress: &(dyn Fn(usize, usize) + Sync)) {
        let mut by_modulus: BTreeMap<UBig, RsaKey> = BTreeMap::new();
        for (key, owner) in self.all_keys() {
            if let Some((modulus, exponent)) = key.rsa_numbers() {
                let new = || RsaKey { key: key.clone(), exponent, owners: BTreeSet::new() };
                by_modulus.entry(modulus).or_insert_with(new).owners.insert(owner);
            }
        }
        let (moduli, keys): (Vec<UBig>, Vec<RsaKey>) = by_modulus.into_iter().unzip();
        let commons = common_factors(&moduli, plan, progress);
        let is_distinct = commons.groups.is_empty() && commons.unresolved.is_empty();
        self.compared("primes of RSA moduli", (moduli.len(), "keys"), moduli.len(), is_distinct);
        let (small, large): (Vec<_>, Vec<_>) =
            commons.groups.iter().partition(|common| common.factor_bits < LEAST_PRIME_BITS);
        for common in large {
            let keys: Vec<_> = common.moduli.iter().filter_map(|at| keys.get(*at)).collect();
            let beginning = format!(
                "{} different RSA keys have a prime in common, of {} bits",
                keys.len(),
                common.factor_bits
            );
            self.common_factor(beginning, &keys);
        }
        if !small.is_empty() {
            let damaged: BTreeSet<usize> = small.iter().flat_map(|common| &common.moduli).copied().collect();
            let keys: Vec<_> = damaged.iter().filter_map(|at| keys.get(*at)).collect();
            let sign = format!("Modulus with a factor below 2^{LEAST_PRIME_BITS} that another has too");
            self.about(("rsa.small-factor", Verdict::Critical), sign, DAMAGED, &keys);
        }
        if !commons.unresolved.is_empty() {
            let keys: Vec<_> = commons.unresolved.iter().filter_map(|at| keys.get(*at)).collect();
            let beginning = format!(
                "{} more RSA keys have primes in common with others, too many to say with whom",
                keys.len()
            );
            self.common_factor(beginning, &keys);
        }
        self.weak(&moduli, &keys, plan);
    }

    fn common_factor(&mut self, beginning: String, keys: &[&RsaKey]) {
        let why = "Whoever has their public keys can reckon the private ones, as was done here. They were made from too little randomness.";
        self.about(("rsa.common-factor", Verdict::Critical), beginning, why, keys);
    }

    fn weak(&mut self, moduli: &[UBig], keys: &[RsaKey], plan: Plan) {
        let pairs: Vec<(&UBig, &UBig)> = moduli.iter().zip(keys.iter().map(|key| &key.exponent)).collect();
        let found = on_threads(&pairs, plan.threads, |(modulus, exponent)| weaknesses(modulus, exponent));
        let mut groups: BTreeMap<Weakness, Vec<&RsaKey>> = BTreeMap::new();
        for (key, weaknesses) in keys.iter().zip(found) {
            for weakness in weaknesses {
                // Damaged moduli are one finding, whichever primes they are divisible by.
                let weakness = match weakness {
                    Weakness::SmallFactor(_) => Weakness::SmallFactor(0),
                    other => other,
                };
                groups.entry(weakness).or_default().push(key);
            }
        }
        for (weakness, keys) in groups {
            let (id, verdict, sign, why) = told(&weakness);
            self.about((id, verdict), sign, why, &keys);
        }
    }

    fn about(
        &mut self,
        (id, verdict): (&'static str, Verdict),
        beginning: String,
        why: &str,
        keys: &[&RsaKey],
    ) {
        let (what, list) = listed(beginning, owned(self, keys));
        let (mut machines, mut places) = (BTreeSet::new(), Vec::new());
        for owner in keys.iter().flat_map(|key| &key.owners) {
            match owner {
                Owner::Machine(at) => {
                    machines.insert(*at);
                }
                Owner::Server(place) | Owner::Place(place, _) => places.push(place.clone()),
            }
        }
        let names = self.names(machines);
        let finding = self.find(id, verdict, what, why);
        finding.list = list;
        if !names.is_empty() {
            finding.commands = vec![push(&names), NEW_HOST_KEYS.to_owned()];
        }
        finding.machines = names;
        finding.keys = keys.iter().map(|key| key.key.fingerprint()).collect();
        finding.places = places;
    }
}

fn told(weakness: &Weakness) -> (&'static str, Verdict, String, &'static str) {
    match weakness {
        Weakness::Tiny(bits) => (
            "rsa.tiny",
            Verdict::Critical,
            format!("RSA of {bits} bits"),
            "It can be factored with the means of a small company or less.",
        ),
        Weakness::Short(bits) => (
            "rsa.short",
            Verdict::Warning,
            format!("RSA of {bits} bits"),
            "No standard allows less than 2048 bits any more (NIST SP 800-131A).",
        ),
        Weakness::SmallFactor(_) => (
            "rsa.small-factor",
            Verdict::Critical,
            "Modulus divisible by a prime below 65536".to_owned(),
            DAMAGED,
        ),
        Weakness::ClosePrimes => (
            "rsa.close-primes",
            Verdict::Critical,
            "Primes next to each other".to_owned(),
            "Fermat's method finds them at once (CVE-2022-26320).",
        ),
        Weakness::Roca => (
            "rsa.roca",
            Verdict::Critical,
            "Primes of the form that one library of smart cards and TPMs gave them".to_owned(),
            "They can be found with a known method (ROCA, CVE-2017-15361).",
        ),
        Weakness::Exponent => (
            "rsa.exponent",
            Verdict::Critical,
            "Public exponent that is even or 1".to_owned(),
            "No private key belongs to it, or anybody has it.",
        ),
    }
}

/// Keys with where they are.
fn owned(case: &Case<'_>, keys: &[&RsaKey]) -> Vec<String> {
    let one = |key: &&RsaKey| {
        let owners: Vec<String> = key.owners.iter().map(|owner| called(case, owner)).collect();
        format!("{} {} ({})", key.key.kind(), key.key.fingerprint(), and(&owners))
    };
    keys.iter().map(one).collect()
}

fn called(case: &Case<'_>, owner: &Owner) -> String {
    match owner {
        Owner::Machine(at) => case.names([*at]).concat(),
        Owner::Server(place) | Owner::Place(place, None) => place.clone(),
        Owner::Place(place, Some(label)) => format!("{place} {label}"),
    }
}
