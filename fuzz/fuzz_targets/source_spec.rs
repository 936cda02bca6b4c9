//! The name of a noise source and a credit that lowers one, as command lines give them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use weir_entropy::{Credit, Spec};

fuzz_target!(|text: &str| {
    if let Ok(spec) = text.parse::<Spec>() {
        assert_eq!(spec.to_string(), text);
        assert_eq!(spec.kind().argument.is_some(), !spec.argument().is_empty());
        assert!(spec.argument().is_empty() || spec.argument().starts_with('/'));
        assert_eq!(spec.to_string().parse::<Spec>().as_ref(), Ok(&spec));
    }
    if let Ok(credit) = text.parse::<Credit>() {
        let spec: Option<Spec> = credit.source.parse().ok();
        assert!(credit.bits >= 0.0);
        assert!(spec.is_none_or(|spec| credit.bits <= spec.kind().claim.min_entropy_bits));
    }
});
