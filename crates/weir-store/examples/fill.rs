//! Fills a gateway's database with consumers that have a key each, to see what many of them cost:
//! `cargo run --release -p weir-store --example fill -- PREFIX COUNT`. The gateway must have been started there once, and
//! must not be running. The keys are `key-0` to `key-N`, as no real keys are.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use weir_mint::Uuid;
use weir_model::{Catalog, Record};
use weir_store::sqlite::Sqlite;
use weir_store::{Actor, Sealer, SecretsAtRest, Store};

/// So many in a transaction.
const BATCH: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(prefix), Some(count)) = (args.next(), args.next()) else {
        return Err("PREFIX and COUNT are wanted".into());
    };
    let (prefix, count) = (Path::new(&prefix), count.parse::<usize>()?);
    let sealer = Arc::new(Sealer::open(&prefix.join("secrets/store.key"))?);
    let catalog = Arc::new(Catalog::default());
    let store = Sqlite::open(&prefix.join("weir.db"), sealer, catalog, SecretsAtRest::Encrypted).await?;
    let consumers = weir_model::entity("consumers").ok_or("consumers")?;
    let keys = weir_model::entity("keyauth_credentials").ok_or("keys")?;
    for from in (0..count).step_by(BATCH) {
        let mut transaction = store.begin(Actor::Gateway("fill")).await?;
        for n in from..count.min(from + BATCH) {
            let (consumer, key) = (Uuid::v7()?.to_string(), Uuid::v7()?.to_string());
            let record = json!({
                "id": consumer, "created_at": 1, "updated_at": 1, "username": format!("consumer-{n}"),
                "custom_id": null, "tags": null,
            });
            transaction.insert(consumers, &fields(record), None).await?;
            let record = json!({
                "id": key, "created_at": 1, "consumer": {"id": consumer}, "key": format!("key-{n}"), "tags": null,
            });
            transaction.insert(keys, &fields(record), None).await?;
        }
        transaction.commit().await?;
    }
    store.close().await;
    Ok(())
}

fn fields(value: serde_json::Value) -> Record {
    value.as_object().cloned().unwrap_or_default()
}
