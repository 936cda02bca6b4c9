//! The definitions against what Kong 3.9.1 shows of its own, where the recordings are at hand.

use std::path::PathBuf;

use serde_json::Value;
use weir_model::ENTITIES;

fn recordings() -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    folder.join("schemas").is_dir().then(|| folder.join("schemas"))
}

#[test]
fn entities_are_shown_as_recorded() {
    let Some(folder) = recordings() else {
        eprintln!("SKIPPED: entities_are_shown_as_recorded: no recordings of schemas");
        return;
    };
    for entity in ENTITIES.iter() {
        // Kong's open-source edition has no such entity.
        if entity.name == "mtls_auth_credentials" {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(format!("{}.json", entity.name))).unwrap();
        let mut want: Value = serde_json::from_str(&text).unwrap();
        let mut got = entity.schema.describe();
        // Both sides list the same fields; recordings have auto timestamps and secrets' kinds in their own words.
        sort(&mut want);
        sort(&mut got);
        assert_eq!(
            serde_json::to_string_pretty(&got).unwrap(),
            serde_json::to_string_pretty(&want).unwrap(),
            "{}",
            entity.name
        );
    }
}

/// Fields in order of their names, as the order of a schema's list is not part of its meaning.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            if items.iter().all(|item| item.as_object().is_some_and(|o| o.len() == 1)) {
                items.sort_by_key(|item| item.as_object().and_then(|o| o.keys().next().cloned()));
            }
        }
        Value::Object(map) => {
            map.values_mut().for_each(sort);
            map.sort_keys();
        }
        _ => {}
    }
}
