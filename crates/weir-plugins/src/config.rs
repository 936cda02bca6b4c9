//! From a configuration that satisfies its schema to a plugin's own type.

use serde::de::DeserializeOwned;
use serde_json::Value;
use weir_plugin::BuildError;

/// Reads a configuration. It fails only if schema and type disagree, which the tests of each plugin rule out.
pub(crate) fn read<T: DeserializeOwned>(plugin: &'static str, config: &Value) -> Result<T, BuildError> {
    T::deserialize(config).map_err(|error| BuildError { plugin, why: error.to_string() })
}

/// What the tests of every plugin do: the default configuration is the recorded one and can be read.
#[cfg(test)]
pub(crate) mod test {
    use serde_json::{Map, Value, json};
    use weir_mint::Uuid;
    use weir_model::schema::SourceError;
    use weir_model::{Catalog, Record, Source};
    use weir_plugin::{Env, Kind, NoRecords};

    struct Fixed;

    impl Source for Fixed {
        fn now(&self) -> i64 {
            0
        }
        fn uuid(&self) -> Result<String, SourceError> {
            Ok(Uuid::from_bytes([1; 16]).to_string())
        }
        fn token(&self) -> Result<String, SourceError> {
            Ok("token".to_owned())
        }
    }

    /// The configuration that the schema makes of this one, or what the schema says against it.
    pub(crate) fn complete(kind: &dyn Kind, config: Value) -> Result<Value, String> {
        let catalog = Catalog::new(vec![kind.schema()]);
        let body: Record =
            Map::from_iter([("name".to_owned(), json!(kind.name())), ("config".to_owned(), config)]);
        let schema = &weir_model::entity("plugins").expect("the list has it").schema;
        let record = schema.create(body, &catalog, &Fixed).map_err(|error| error.to_string())?;
        Ok(record["config"].clone())
    }

    /// Builds an instance of this configuration.
    pub(crate) fn build(kind: &dyn Kind, config: Value) -> std::sync::Arc<dyn weir_plugin::Plugin> {
        let config = complete(kind, config).expect("a good configuration");
        kind.build(&config, &env()).expect("schema and type agree")
    }

    pub(crate) fn env() -> Env {
        Env { id: Uuid::from_bytes([1; 16]), records: std::sync::Arc::new(NoRecords) }
    }

    /// The schema shows what is recorded of Kong's, where the recordings are at hand.
    pub(crate) fn matches_recording(kind: &dyn Kind) {
        matches_recording_but(kind, |_| {});
    }

    /// The same, where a recording cannot be met to the letter: `but` says in what.
    pub(crate) fn matches_recording_but(kind: &dyn Kind, but: impl FnOnce(&mut Value)) {
        let name = kind.name();
        let folder = std::env::var_os("WEIR_CONFORMANCE").map_or_else(
            || std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
            Into::into,
        );
        let Ok(text) = std::fs::read_to_string(folder.join(format!("schemas/plugins/{name}.json"))) else {
            eprintln!("SKIPPED: {name}: no recordings of schemas");
            return;
        };
        let mut want: Value = serde_json::from_str(&text).expect("recordings are JSON");
        but(&mut want);
        assert_eq!(sorted(kind.schema().describe()), sorted(want), "{name}");
    }

    fn sorted(value: Value) -> String {
        fn walk(value: &mut Value) {
            match value {
                Value::Array(items) => items.iter_mut().for_each(walk),
                Value::Object(map) => {
                    map.values_mut().for_each(walk);
                    map.sort_keys();
                }
                _ => {}
            }
        }
        let mut value = value;
        walk(&mut value);
        serde_json::to_string_pretty(&value).expect("JSON")
    }
}
