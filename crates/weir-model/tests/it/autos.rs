//! Values that come of themselves in a plugin's configuration.

use serde_json::{Value, json};
use weir_model::schema::{Auto, SourceError, record, string};
use weir_model::{Catalog, PluginSchema, Record, Source, entity};

/// Mints tokens that can be told apart.
struct Counting(std::cell::Cell<u32>);

impl Source for Counting {
    fn now(&self) -> i64 {
        1_700_000_000
    }
    fn uuid(&self) -> Result<String, SourceError> {
        Ok("00000000-0000-4000-8000-000000000000".to_owned())
    }
    fn token(&self) -> Result<String, SourceError> {
        self.0.set(self.0.get() + 1);
        Ok(format!("token-{}", self.0.get()))
    }
}

fn catalog() -> Catalog {
    let inner = record([("key", string().required().auto(Auto::Token).secret())]).required();
    let config = record([("secret", string().required().auto(Auto::Token).secret()), ("inner", inner)]);
    Catalog::new(vec![PluginSchema::http("minting", config)])
}

fn object(value: Value) -> Record {
    value.as_object().unwrap().clone()
}

#[test]
fn a_configuration_gets_what_it_leaves_out() {
    let (plugins, catalog, source) = (entity("plugins").unwrap(), catalog(), Counting(0.into()));
    let body = object(json!({"name": "minting"}));
    plugins.schema.validate(body.clone(), &catalog).unwrap();
    assert_eq!(source.0.get(), 0, "a definition that is tried out mints nothing");
    let made = plugins.schema.create(body, &catalog, &source).unwrap();
    assert_eq!(made["config"], json!({"secret": "token-1", "inner": {"key": "token-2"}}));

    let changes = object(json!({"config": {"inner": {"key": "mine"}}}));
    let changed = plugins.schema.update(&made, changes, &catalog, &source).unwrap();
    assert_eq!(
        changed["config"],
        json!({"secret": "token-1", "inner": {"key": "mine"}}),
        "what is there stays"
    );

    let renewed = object(json!({"config": {"secret": null}}));
    let renewed = plugins.schema.update(&changed, renewed, &catalog, &source).unwrap();
    assert_eq!(renewed["config"]["secret"], "token-3");
}

#[test]
fn what_came_of_itself_is_a_secret_all_the_same() {
    let (plugins, catalog, source) = (entity("plugins").unwrap(), catalog(), Counting(0.into()));
    let mut made = plugins.schema.create(object(json!({"name": "minting"})), &catalog, &source).unwrap();
    let mut found = Vec::new();
    let visit = &mut |path: &str, _: &_, text: &mut String| -> Result<(), ()> {
        found.push((path.to_owned(), text.clone()));
        Ok(())
    };
    plugins.schema.secrets(&mut made, &catalog, visit).unwrap();
    let want = [("config.secret", "token-1"), ("config.inner.key", "token-2")];
    assert_eq!(found, want.map(|(path, text)| (path.to_owned(), text.to_owned())));
}
