//! Documents that carry a seed.

mod cloud_init;
mod ignition;
mod merge;
mod volume;

use weir_seed::Seed;
use weir_seed::document::{MergeError, Options, Template, user_data};

/// A seed that is known: 0, 1, 2, …
fn seed() -> Seed {
    Seed::from_bytes((0..64).collect()).unwrap()
}

fn filled(template: &Template) -> String {
    String::from_utf8(template.fill(&seed()).to_vec()).unwrap()
}

const PLAIN: Options = Options { replace: false, reseed: false };
const REPLACE: Options = Options { replace: true, reseed: false };

/// A merge into user-data, without the command that reseeds, so that what is added is short.
fn merged(document: &str, options: Options) -> Result<String, MergeError> {
    user_data::merge(document.as_bytes(), options).map(|template| filled(&template))
}
