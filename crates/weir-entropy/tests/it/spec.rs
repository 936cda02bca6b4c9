//! The list of sources, and what can be said about them on a command line.

use weir_entropy::source::{KINDS, Use};
use weir_entropy::{Config, ConfigError, Credit, Gatherer, SourceError, Spec, open};

#[test]
fn the_list_is_in_order() {
    for (index, kind) in KINDS.iter().enumerate() {
        assert!(KINDS[..index].iter().all(|other| other.name != kind.name), "{} twice", kind.name);
        let claim = kind.claim.min_entropy_bits;
        assert!((0.0..=f64::from(kind.bits_per_sample)).contains(&claim), "{}", kind.name);
        assert!(kind.tested_bits >= claim, "{} is tested for less than it is credited with", kind.name);
        assert!(kind.default == Use::Never || kind.tested_bits > 0.0, "{} is not tested", kind.name);
        assert!(!kind.claim.reason.is_empty() && !kind.summary.is_empty());
        // Whoever names a path cannot say where its bytes come from.
        assert!(kind.argument.is_none() || claim == 0.0, "{} earns for a path", kind.name);
    }
}

#[test]
fn the_documents_table_is_the_list() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/entropy.md");
    let document = std::fs::read_to_string(document).expect("docs/entropy.md");
    for kind in KINDS {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.name)));
        let row = row.unwrap_or_else(|| panic!("no row for {}", kind.name));
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2], kind.claim.min_entropy_bits.to_string(), "the claim of {}", kind.name);
        assert_eq!(cells[3], kind.claim.reason, "the reason of {}", kind.name);
    }
}

#[test]
fn the_kernels_own_gathering_is_no_source() {
    let spec: Spec = "kernel".parse().expect("listed");
    let Err(error) = open(&spec) else { panic!("read back") };
    assert!(matches!(error, SourceError::Refused(_)) && error.to_string().contains("twice"), "{error}");
    assert!(!error.is_absence());
}

#[test]
fn sources_by_default_are_those_that_need_no_name() {
    let config = Config::default();
    assert!(config.sources.iter().any(|spec| spec.name() == "jitter"));
    assert!(config.sources.iter().all(|spec| spec.kind().argument.is_none()));
    let named = |name: &str| config.sources.iter().any(|spec| spec.name() == name);
    assert!(!named("kernel"));
    if cfg!(target_arch = "x86_64") {
        let there = open(&"rdseed".parse().expect("listed")).is_ok();
        assert!(named("rdseed"), "it is said that it is absent");
        assert!(!(there && named("rdrand")), "RDRAND beside RDSEED");
    }
}

#[test]
fn credit_lowers_and_never_raises() {
    let parse = |text: &str| text.parse::<Credit>();
    assert_eq!(parse("jitter=0"), Ok(Credit { source: "jitter".into(), bits: 0.0 }));
    assert_eq!(parse("rdseed=0.5").expect("lower").bits, 0.5);
    assert_eq!(parse("command:/bin/x a=b=0").expect("a whole name").source, "command:/bin/x a=b");
    assert!(matches!(parse("jitter=1.01"), Err(ConfigError::Raises { source: "jitter", claim: 1.0 })));
    assert!(matches!(parse("file:/dev/x=1"), Err(ConfigError::Raises { source: "file", claim: 0.0 })));
    for text in ["jitter=NaN", "jitter=-1", "jitter=", "jitter=one", "jitter=-0.1"] {
        assert_eq!(parse(text), Err(ConfigError::NoNumber), "{text}");
    }
    assert_eq!(parse("jitter"), Err(ConfigError::NoCredit));
    assert!(matches!(parse("jiter=0"), Err(ConfigError::Source(_))));
    // A kind's name stands for all sources of that kind.
    assert_eq!(parse("file=0").expect("a kind").source, "file");
}

#[test]
fn a_source_that_is_named_twice_counts_once() {
    let twice = ["jitter", "file:/dev/null", "jitter"].map(|name| name.parse().expect("a source"));
    let gatherer = Gatherer::new(Config { sources: twice.to_vec(), credit: Vec::new() });
    let names: Vec<String> = gatherer.status().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["jitter", "file:/dev/null"]);
}

#[test]
fn a_lowered_source_earns_nothing_here() {
    let config = Config {
        sources: vec!["jitter".parse().expect("a source")],
        credit: vec!["jitter=0".parse().expect("a credit")],
    };
    let batch = Gatherer::new(config).gather(256, std::time::Duration::from_secs(10));
    assert_eq!(batch.credit_bits(), 0);
    assert_eq!(batch.blocks().count(), 1, "and is mixed in all the same");
}
