//! `verify`: judgements on evidence, as a caller of the library has it.

use dashu_int::UBig;
use weir_seed::verify::answer::{Facts, Generation, Id};
use weir_seed::verify::batch_gcd::Plan;
use weir_seed::verify::key::PublicKey;
use weir_seed::verify::tls::Shown;
use weir_seed::verify::{
    Evidence, Finding, KeyFile, Learnt, Machine, Report, Server, Style, Verdict, bundle, judge, text,
};

fn machine(name: &str, facts: Facts) -> Machine {
    Machine { names: vec![name.to_owned()], learnt: Ok(Learnt::Told(Box::new(facts))) }
}

/// A machine like no other: everything of it is made of this number.
fn facts(number: u8) -> Facts {
    let id = |kind: u8| Id::Hash([number ^ kind; 32]);
    Facts {
        user: Some(0),
        machine_id: id(0x10),
        dbus_id: id(0x10),
        boot_id: id(0x20),
        product_uuid: id(0x30),
        host_keys: vec![PublicKey::Ed25519([number; 32])],
        seed_files: vec![("/var/lib/systemd/random-seed".to_owned(), id(0x40))],
        draws: (0..8).map(|draw| [number ^ draw << 4; 32]).collect(),
        ..Facts::default()
    }
}

fn judged(evidence: &Evidence) -> Report {
    judge(evidence, Plan::default(), &|_, _| ())
}

fn of(machines: Vec<Machine>) -> Report {
    judged(&Evidence { machines, ..Evidence::default() })
}

fn finding<'a>(report: &'a Report, id: &str) -> &'a Finding {
    report.findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id}: {report:#?}"))
}

fn ids(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn machines_like_no_other_are_distinct_in_everything() {
    let report = of((1..=5).map(|number| machine(&format!("m{number}"), facts(number))).collect());
    assert_eq!((report.verdict, report.exit_status()), (Verdict::Ok, 0), "{report:#?}");
    assert!(report.compared.iter().all(|thing| thing.distinct && thing.among == 5));
    assert_eq!(report.compared.len(), 6);
    let text = text(&report, Style::Plain);
    assert!(text.starts_with("ok: 5 machines, all distinct\n"), "{text}");
}

#[test]
fn everybody_who_shares_a_thing_is_in_one_finding() {
    let mut machines: Vec<Machine> =
        (1..=3).map(|number| machine(&format!("m{number}"), facts(number))).collect();
    let mut clone = facts(1);
    (clone.boot_id, clone.draws) = (facts(9).boot_id, facts(9).draws);
    machines.extend([
        machine("c1", clone.clone()),
        machine("c2", Facts { boot_id: facts(8).boot_id, draws: vec![], ..clone }),
    ]);
    for machine in &mut machines {
        if let Ok(Learnt::Told(facts)) = &mut machine.learnt
            && facts.host_keys == [PublicKey::Ed25519([1; 32])]
        {
            facts.host_keys.push(PublicKey::Ed25519([77; 32]));
        }
    }
    let report = of(machines);
    assert_eq!(report.exit_status(), 2);
    let text = text(&report, Style::Plain);
    let keys = text.lines().filter(|line| line.trim().starts_with("Ed25519 SHA256:")).count();
    assert_eq!(keys, 2, "one key a line: {text}");
    let what = &finding(&report, "host-key.shared").what;
    assert_eq!(what.matches("SHA256:").count(), 2, "{what}");
    assert_eq!(
        ids(&report),
        ["host-key.shared", "machine-id.shared", "product-uuid.shared", "seed-file.shared"]
    );
    for finding in &report.findings {
        assert_eq!(finding.machines, ["m1", "c1", "c2"]);
        assert!(!finding.commands.is_empty());
    }
}

#[test]
fn a_shared_boot_means_what_the_machines_are() {
    let pair = |change: fn(&mut Facts)| {
        let (mut one, mut other) = (facts(1), facts(2));
        other.boot_id = one.boot_id;
        change(&mut one);
        change(&mut other);
        of(vec![machine("a", one), machine("b", other)])
    };
    let verdict = |report: &Report| finding(report, "boot-id.shared").verdict;
    assert_eq!(verdict(&pair(|_| ())), Verdict::Critical);
    assert_eq!(verdict(&pair(|facts| facts.generation = Generation::Heard)), Verdict::Warning);
    assert_eq!(verdict(&pair(|facts| facts.container = Some(true))), Verdict::Note);
    let mut evidence = Evidence { undecided: vec![(0, 1)], ..Evidence::default() };
    evidence.machines =
        vec![machine("a", facts(1)), machine("b", Facts { boot_id: facts(1).boot_id, ..facts(2) })];
    assert_eq!(ids(&judged(&evidence)), ["hosts.undecided"]);
}

#[test]
fn a_generator_that_repeats_itself_is_none() {
    let mut odd = facts(1);
    odd.draws = vec![[7; 32]; 8];
    let report = of(vec![machine("a", odd), machine("b", facts(2))]);
    assert_eq!(ids(&report), ["draws.repeated"]);
    assert_eq!(report.exit_status(), 2);
}

#[test]
fn who_says_nothing_is_neither_distinct_nor_in_the_way() {
    let silent = |name: &str| Machine { names: vec![name.to_owned()], learnt: Err("refused".to_owned()) };
    let report = of(vec![machine("a", facts(1)), silent("b"), machine("c", facts(3))]);
    assert_eq!((report.exit_status(), ids(&report)), (1, vec!["hosts.unreached"]));
    assert_eq!(of(vec![silent("a"), silent("b")]).exit_status(), 3);
    assert_eq!(judged(&Evidence::default()).exit_status(), 3);
    let blind = Facts { user: Some(1000), product_uuid: Id::Unreadable, seed_files: vec![], ..facts(2) };
    let report = of(vec![machine("a", facts(1)), machine("b", blind)]);
    assert_eq!(report.exit_status(), 0);
    let unseen: Vec<_> = report.unseen.iter().map(|unseen| (unseen.of.as_str(), unseen.what)).collect();
    assert_eq!(unseen, [("b", "product UUID"), ("b", "seed file")]);
}

#[test]
fn a_key_of_tls_is_shared_among_machines_and_not_among_ports() {
    let server = |host: &str, port, machine, self_signed| Server {
        host: host.to_owned(),
        port,
        machine,
        shown: Ok(Shown {
            key: PublicKey::Ed25519([5; 32]),
            subject: "CN=x".to_owned(),
            self_signed,
            proved: true,
        }),
    };
    let judged = |servers| judged(&Evidence { servers, ..Evidence::default() });
    let ports = judged(vec![server("a", 443, None, true), server("a", 8443, None, true)]);
    let note = finding(&ports, "tls-key.shared");
    assert_eq!((ports.exit_status(), note.verdict), (0, Verdict::Note));
    assert_eq!(note.places, ["a:443", "a:8443"]);
    assert!(note.commands.is_empty());
    assert_eq!((ports.compared[0].what, ports.compared[0].distinct), ("TLS keys", false));
    let names = judged(vec![server("a", 443, Some(0), true), server("alias", 443, Some(0), true)]);
    assert_eq!((names.exit_status(), ids(&names).len()), (0, 0));
    assert_eq!(judged(vec![server("a", 443, None, true), server("b", 443, None, true)]).exit_status(), 2);
    assert_eq!(judged(vec![server("a", 443, None, false), server("b", 443, None, false)]).exit_status(), 1);
}

#[test]
fn a_file_without_a_key_is_told_of_in_one_line() {
    let of = |content: &[u8]| {
        let file = KeyFile { name: "f".to_owned(), keys: Ok(bundle::parse(content)) };
        let unseen = judged(&Evidence { files: vec![file], ..Evidence::default() }).unseen;
        unseen.into_iter().map(|unseen| unseen.why).collect::<Vec<_>>()
    };
    assert_eq!(of(&b"\xff\x00garbage\n".repeat(50)), ["this is not a file of keys"]);
    assert_eq!(of(b"ssh-rsa AAAA\nx\n"), ["line 1: ssh-rsa is damaged", "line 2: a line has no key in it"]);
}

/// Three hundred moduli of 2048 bits in the lines of a known_hosts, three pairs with a factor in common among them, on
/// machines and in files. Moduli are products of numbers that SplitMix64 (Steele, Lea, Flood 2014) gives: the same in every
/// run, without other common factors above 2^16, as comparing them pair by pair showed.
#[test]
fn planted_pairs_among_three_hundred_are_found_and_named() {
    let mut state = 11u64;
    let mut number = |bits: usize| {
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        let bytes: Vec<u8> = (0..bits / 64).flat_map(|_| next().to_le_bytes()).collect();
        let mut number = UBig::from_le_bytes(&bytes);
        number.set_bit(0);
        number.set_bit(bits - 1);
        number
    };
    // 2^1024 - c: the three largest primes below that power, as `openssl prime` says.
    let primes = [105u32, 179, 1397].map(|c| (UBig::ONE << 1024) - c);
    let mut moduli: Vec<UBig> = (0..300).map(|_| number(2048)).collect();
    let pairs = [(3, 250), (77, 78), (120, 299)];
    for (prime, (one, other)) in primes.iter().zip(pairs) {
        moduli[one] = prime * number(1024);
        moduli[other] = prime * number(1024);
    }
    let key = |at: usize| PublicKey::rsa(&moduli[at].to_be_bytes(), &[1, 0, 1]);
    let machines =
        [3, 77].map(|at| machine(&format!("m{at}"), Facts { host_keys: vec![key(at)], ..facts(at as u8) }));
    let lines =
        |keys: &[UBig]| keys.iter().map(|modulus| format!("Modulus={modulus:X}\n")).collect::<String>();
    let file = KeyFile { name: "keys".to_owned(), keys: Ok(bundle::parse(lines(&moduli).as_bytes())) };
    let evidence = Evidence { machines: machines.into(), files: vec![file], ..Evidence::default() };
    let report = judged(&evidence);
    let mut found: Vec<Vec<String>> = report
        .findings
        .iter()
        .filter(|finding| finding.id == "rsa.common-factor")
        .map(|finding| {
            assert!(finding.what.contains("of 1024 bits"), "{}", finding.what);
            let mut keys = finding.keys.clone();
            keys.sort();
            keys
        })
        .collect();
    found.sort();
    let mut expected: Vec<Vec<String>> = pairs
        .iter()
        .map(|&(one, other)| {
            let mut keys = vec![key(one).fingerprint(), key(other).fingerprint()];
            keys.sort();
            keys
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    let named: Vec<&Finding> =
        report.findings.iter().filter(|finding| !finding.machines.is_empty()).collect();
    assert!(
        named.iter().any(|finding| finding.machines == ["m3"] && finding.places == ["keys:4", "keys:251"])
    );
}

/// Damaged moduli have factors in common by chance: that is said of the key and not of the randomness it was made from.
#[test]
fn small_factors_in_common_are_a_sign_of_damage() {
    let prime = |k: usize, c: u32| (UBig::ONE << k) - c;
    // Primes from tables: 2^61 - 1 (Mersenne), and 2^k - c as `openssl prime` says.
    let small = prime(61, 1);
    let moduli =
        [&small * prime(1024, 105) * prime(1024, 179), small * prime(1024, 1397) * prime(1000, 1245)];
    let lines: String = moduli.iter().map(|modulus| format!("Modulus={modulus:X}\n")).collect();
    let file = KeyFile { name: "keys".to_owned(), keys: Ok(bundle::parse(lines.as_bytes())) };
    let report = judged(&Evidence { files: vec![file], ..Evidence::default() });
    assert!(ids(&report).iter().all(|id| *id == "rsa.small-factor"), "{report:#?}");
    assert_eq!(report.findings[0].places.len(), 2);
}
