//! What becomes of request bodies.

use serde_json::{Value, json};
use weir_model::schema::{Error, SourceError};
use weir_model::{Catalog, Record, Source, entity};

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

fn object(value: Value) -> Record {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn create(name: &str, body: Value) -> Result<Record, Error> {
    entity(name).unwrap().schema.create(object(body), &Catalog::default(), &Fixed)
}

fn refused(name: &str, body: Value) -> String {
    match create(name, body) {
        Err(Error::Schema(violations)) => violations.message(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_is_completed() {
    let service = create("services", json!({"host": "a.test", "port": 81.0})).unwrap();
    assert_eq!(service["port"], json!(81));
    assert_eq!(service["retries"], json!(5));
    assert_eq!(service["created_at"], json!(1_700_000_000));
    assert_eq!(service["path"], Value::Null);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let say = refused("services", json!({"port": 70000, "nope": 1}));
    assert_eq!(
        say,
        "3 schema violations (host: required field missing; nope: unknown field; \
         port: value should be between 0 and 65535)"
    );
}

#[test]
fn a_route_needs_something_to_match() {
    let say = refused("routes", json!({"name": "r"}));
    assert!(say.contains(
        "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"
    ));
    let say = refused("routes", json!({"protocols": ["tcp"], "paths": ["/"]}));
    assert!(
        say.starts_with("2 schema violations (must set one of 'sources', 'destinations', 'snis'"),
        "{say}"
    );
    assert!(say.contains("paths: cannot set 'paths' when 'protocols' is 'tcp'"), "{say}");
}

#[test]
fn a_route_refuses_a_pattern_that_does_not_compile() {
    let say = refused("routes", json!({"paths": ["~/a(b"]}));
    assert!(say.contains("paths.1: invalid regex: '/a(b' (unclosed group)"), "{say}");
    assert!(create("routes", json!({"paths": ["~\\/a\\/\\d+"]})).is_err());
    assert!(create("routes", json!({"paths": ["~/a\\/\\d+"]})).is_ok());
}

#[test]
fn an_update_keeps_the_id_and_checks_the_whole() {
    let schema = &entity("services").unwrap().schema;
    let stored = create("services", json!({"host": "a", "path": "/x"})).unwrap();
    let update = |changes| schema.update(&stored, object(changes), &Catalog::default(), &Fixed);
    let changed = update(json!({"id": "11111111-1111-4111-8111-111111111111", "retries": null})).unwrap();
    assert_eq!(changed["id"], stored["id"]);
    assert_eq!(changed["retries"], Value::Null);
    match update(json!({"protocol": "tcp"})) {
        Err(Error::Schema(violations)) => assert!(violations.message().contains("path: value must be null")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_minted_when_left_out() {
    let consumer = json!({"id": "00000000-0000-4000-8000-000000000000"});
    let key = create("keyauth_credentials", json!({"consumer": consumer})).unwrap();
    assert_eq!(key["key"].as_str().unwrap().len(), 32);
}

#[test]
fn forms_get_types_from_the_schema() {
    let schema = &entity("routes").unwrap().schema;
    let form = json!({"paths": "/a", "strip_path": "false", "regex_priority": "3", "name": ""});
    let typed = schema.infer(object(form), &Catalog::default());
    assert_eq!(
        Value::Object(typed),
        json!({"paths": ["/a"], "strip_path": false, "regex_priority": 3, "name": null})
    );
}
