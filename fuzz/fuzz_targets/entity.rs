//! JSON from anywhere becomes an entity or a list of what is wrong with it. What became one satisfies its own schema,
//! parses into a value with types, and, for a plugin, builds an instance or says why not.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use weir_model::schema::SourceError;
use weir_model::typed::{
    Acl, BasicCredential, CaCertificate, Consumer, HmacCredential, JwtCredential, KeyCredential, Mismatch,
    MtlsCredential, OAuth2Client, OAuth2Token, Plugin, Route, Service, StoredSession,
};
use weir_model::{Catalog, ENTITIES, Record, Source};
use weir_plugin::{Env, Kind, NoRecords};

struct Fixed;

impl Source for Fixed {
    fn now(&self) -> i64 {
        1_700_000_000
    }
    fn uuid(&self) -> Result<String, SourceError> {
        Ok("00000000-0000-4000-8000-000000000000".to_owned())
    }
    fn token(&self) -> Result<String, SourceError> {
        Ok("t".repeat(32))
    }
}

static KINDS: LazyLock<Vec<Arc<dyn Kind>>> =
    LazyLock::new(|| weir_plugins::kinds(&weir_plugins::Shared::default()));
static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::new(KINDS.iter().map(|kind| kind.schema()).collect()));

fuzz_target!(|data: &[u8]| {
    let [choice, json @ ..] = data else { return };
    let Ok(Value::Object(input)) = serde_json::from_slice(json) else { return };
    let all: Vec<_> = ENTITIES.iter().collect();
    let entity = all[usize::from(choice & 127) % all.len()];
    // As it is, or with every value as a form has it.
    let input = if choice & 128 == 0 { input } else { entity.schema.infer(texts(input), &CATALOG) };
    let Ok(record) = entity.schema.create(input, &CATALOG, &Fixed) else { return };
    let same = entity.schema.update(&record, Record::new(), &CATALOG, &Fixed).unwrap();
    assert_eq!(same, record, "a change of nothing changes nothing");
    entity.schema.create(record.clone(), &CATALOG, &Fixed).unwrap();
    parse(entity.name, &record).unwrap();
    if entity.name == "plugins" {
        let name = record["name"].as_str().unwrap();
        let kind = KINDS.iter().find(|kind| kind.name() == name).unwrap();
        let id = record["id"].as_str().unwrap().parse().unwrap();
        let _ = kind.build(&record["config"], &Env { id, records: Arc::new(NoRecords) });
    }
    let _ = entity.schema.show(record, &CATALOG);
});

fn texts(input: Record) -> Record {
    fn text(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(text).collect(),
            Value::Object(map) => Value::Object(texts(map)),
            Value::String(text) => text.into(),
            other => other.to_string().into(),
        }
    }
    input.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn parse(entity: &str, record: &Record) -> Result<(), Mismatch> {
    match entity {
        "services" => Service::parse(record).map(drop),
        "routes" => Route::parse(record).map(drop),
        "consumers" => Consumer::parse(record).map(drop),
        "plugins" => Plugin::parse(record).map(drop),
        "acls" => Acl::parse(record).map(drop),
        "keyauth_credentials" => KeyCredential::parse(record).map(drop),
        "basicauth_credentials" => BasicCredential::parse(record).map(drop),
        "hmacauth_credentials" => HmacCredential::parse(record).map(drop),
        // One whose key is null is named by no token, and one without client_id by nobody.
        "jwt_secrets" if record["key"].is_null() => Ok(()),
        "jwt_secrets" => JwtCredential::parse(record).map(drop),
        "oauth2_credentials" if record["client_id"].is_null() => Ok(()),
        "oauth2_credentials" => OAuth2Client::parse(record).map(drop),
        // It never leaves the store.
        "oauth2_authorization_codes" => Ok(()),
        "oauth2_tokens" => OAuth2Token::parse(record).map(drop),
        "sessions" => StoredSession::parse(record).map(drop),
        "ca_certificates" => CaCertificate::parse(record).map(drop),
        "mtls_auth_credentials" => MtlsCredential::parse(record).map(drop),
        other => panic!("{other} has no value with types here: add it"),
    }
}
