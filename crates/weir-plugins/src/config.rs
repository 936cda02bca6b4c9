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
    use std::sync::Arc;

    use serde_json::{Map, Value, json};
    use weir_mint::{Secret, Uuid};
    use weir_model::schema::SourceError;
    use weir_model::typed::{self, CaCertificate, Consumer, OAuth2Client};
    use weir_model::{Catalog, Record, Source};
    use weir_plugin::{
        Client, Credential, Ctx, Directory, Env, Headers, Kept, Kind, NoRecords, RequestId, Scheme,
    };

    /// Knows what a test puts into it, and nothing else.
    #[derive(Default)]
    pub(crate) struct Stub {
        pub(crate) consumer: Option<Consumer>,
        pub(crate) client: Option<Arc<Kept<OAuth2Client>>>,
    }

    impl Directory for Stub {
        fn consumer(&self, id: &Uuid) -> Option<&Consumer> {
            self.consumer.as_ref().filter(|consumer| consumer.id == *id)
        }
        fn oauth2_client(&self, client_id: &str) -> Option<&Arc<Kept<OAuth2Client>>> {
            self.client.as_ref().filter(|client| *client.client_id == *client_id)
        }
        fn is_secret(&self, kept: &Secret, shown: &[u8]) -> bool {
            kept.matches(shown)
        }
        fn ca_certificate(&self, _: &Uuid) -> Option<&Arc<Kept<CaCertificate>>> {
            None
        }
        fn mtls(&self, _: &str, _: Option<&Uuid>) -> Option<Credential> {
            None
        }
        fn key(&self, _: &[u8]) -> Option<Credential> {
            None
        }
        fn consumer_named(&self, _: &str) -> Option<&Consumer> {
            None
        }
        fn consumer_by_custom_id(&self, _: &str) -> Option<&Consumer> {
            None
        }
        fn groups(&self, _: &Uuid) -> &[Box<str>] {
            &[]
        }
        fn basic(&self, _: &str) -> Option<&Arc<Kept<typed::BasicCredential>>> {
            None
        }
        fn hmac(&self, _: &str) -> Option<&Arc<Kept<typed::HmacCredential>>> {
            None
        }
        fn jwt(&self, _: &str) -> Option<&Arc<Kept<typed::JwtCredential>>> {
            None
        }
        fn oauth2_client_by_id(&self, _: &Uuid) -> Option<&Arc<Kept<OAuth2Client>>> {
            None
        }
        fn oauth2_token(&self, _: &str) -> Option<&Arc<Kept<typed::OAuth2Token>>> {
            None
        }
        fn session(&self, _: &str) -> Option<&Arc<Kept<typed::StoredSession>>> {
            None
        }
    }

    /// A request at the time 0, with nothing in it.
    pub(crate) fn with_request(directory: &dyn Directory, test: impl FnOnce(&mut Ctx<'_>)) {
        let ip = std::net::Ipv4Addr::LOCALHOST;
        let client = Client {
            peer: (ip, 1).into(),
            peer_text: "127.0.0.1:1".into(),
            ip: ip.into(),
            ip_text: "127.0.0.1".into(),
            trusted: false,
            port: 8000,
            scheme: Scheme::Http,
            sni: None,
            certificates: None,
        };
        test(&mut Ctx {
            id: RequestId::new([0; 16]),
            client: &client,
            method: http::Method::GET,
            target: "/".to_owned(),
            host: String::new(),
            headers: Headers::new(),
            body: None,
            started: std::time::Instant::now(),
            started_ms: 0,
            route: None,
            service: None,
            upstream_target: "/".to_owned(),
            identity: None,
            response: Headers::new(),
            subject: None,
            groups: None,
            directory,
        });
    }

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
    pub(crate) fn build(kind: &dyn Kind, config: Value) -> Arc<dyn weir_plugin::Plugin> {
        let config = complete(kind, config).expect("a good configuration");
        kind.build(&config, &env()).expect("schema and type agree")
    }

    pub(crate) fn env() -> Env {
        Env { id: Uuid::from_bytes([1; 16]), records: Arc::new(NoRecords) }
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
