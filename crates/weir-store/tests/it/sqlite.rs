//! SQLite's own: the suite, the files, versions, keys, durability.

use std::path::Path;
use std::sync::Arc;

use weir_model::{Catalog, ENTITIES};
use weir_store::sqlite::Sqlite;
use weir_store::{Actor, Error, Sealer, SecretsAtRest, Store};

use crate::suite;

async fn open(folder: &Path) -> Result<Sqlite, Error> {
    let sealer = Arc::new(Sealer::open_or_create(&folder.join("store.key"))?);
    Sqlite::open(&folder.join("weir.db"), sealer, Arc::new(Catalog::default()), SecretsAtRest::default())
        .await
}

#[tokio::test]
async fn passes_the_suite() {
    suite::all(|| async {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(open(folder.path()).await.unwrap());
        (store, Box::new(folder) as Box<dyn std::any::Any>)
    })
    .await;
}

#[tokio::test]
async fn every_entity_has_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let page = weir_model::Page { size: 1, after: None };
    for entity in ENTITIES.iter() {
        store.list(entity, &weir_store::Filter::default(), &page).await.unwrap();
        for unique in entity.unique() {
            store.find(entity, unique.name, "x").await.unwrap();
        }
        for (field, to, _) in entity.references().filter(|(_, to, _)| weir_model::entity(to).is_some()) {
            let filter =
                weir_store::Filter { belonging_to: Some((field, suite::id(1))), ..Default::default() };
            store
                .list(entity, &filter, &page)
                .await
                .unwrap_or_else(|e| panic!("{entity:?}.{field} -> {to}: {e}"));
        }
    }
}

#[tokio::test]
async fn a_stolen_database_reveals_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    let consumer = suite::complete("consumers", serde_json::json!({"username": "a"}));
    transaction.insert(suite::kind("consumers"), &consumer, None).await.unwrap();
    let body = serde_json::json!({"key": "open-sesame-please", "consumer": {"id": consumer["id"]}});
    let key = suite::complete("keyauth_credentials", body);
    transaction.insert(suite::kind("keyauth_credentials"), &key, None).await.unwrap();
    transaction.commit().await.unwrap();
    // Before and after the log is folded in.
    for close in [false, true] {
        if close {
            store.close().await;
        }
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(18).any(|w| w == b"open-sesame-please"));
        }
    }
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.unwrap().close().await;
    set_version(&folder.path().join("weir.db"), 99).await;
    match open(folder.path()).await {
        Err(error @ Error::Newer { found: 99, .. }) => {
            assert!(error.to_string().contains("start the newer Weir"))
        }
        other => panic!("{:?}", other.err()),
    }
}

async fn set_version(path: &Path, version: i64) {
    use sqlx::{ConnectOptions, Executor};
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"))).await.unwrap();
}

#[tokio::test]
async fn a_database_sealed_with_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.unwrap().close().await;
    std::fs::remove_file(folder.path().join("store.key")).unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::WrongKey { .. })));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("weir.db"),
        "no database, and long enough to have a header of its own\n",
    )
    .unwrap();
    assert!(matches!(open(folder.path()).await, Err(Error::Unusable { .. })));
}

#[tokio::test]
async fn the_audit_log_can_only_grow() {
    use sqlx::{ConnectOptions, Executor};
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let mut transaction = store.begin(Actor::Operator("somebody".to_owned())).await.unwrap();
    let consumer = suite::fresh("consumers", serde_json::json!({"username": "a"}));
    transaction.insert(suite::kind("consumers"), &consumer, None).await.unwrap();
    let body = serde_json::json!({"key": "k", "consumer": {"id": consumer["id"]}});
    let key = suite::fresh("keyauth_credentials", body);
    transaction.insert(suite::kind("keyauth_credentials"), &key, None).await.unwrap();
    transaction.commit().await.unwrap();
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("weir.db"));
    let mut connection = file.connect().await.unwrap();
    let replace = "INSERT OR REPLACE INTO credential_audit (sequence, at_ms, actor, action, entity, id) \
        VALUES (1, 1, 'nobody', 'created', 'x', x'00')";
    let others = ["DELETE FROM credential_audit", "UPDATE credential_audit SET actor = 'nobody'"];
    for sql in others.into_iter().chain([replace]) {
        let refused = connection.execute(sql).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn changes_are_put_in_force_in_the_order_of_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (sink, all) = (Arc::clone(&seen), &store);
    store.follow(Arc::new(move |changes| sink.lock().unwrap().extend(changes.iter().map(|c| c.sequence))));
    let write = |n: usize| async move {
        let mut transaction = all.begin(Actor::Gateway("test")).await.unwrap();
        let consumer = suite::fresh("consumers", serde_json::json!({"username": format!("c{n}")}));
        transaction.insert(suite::kind("consumers"), &consumer, None).await.unwrap();
        transaction.commit().await.unwrap()[0].sequence
    };
    let told = futures_util::future::join_all((0..100).map(write)).await;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.is_sorted() && seen.len() == 100);
    assert!(told.iter().all(|sequence| seen.contains(sequence)));
}

#[tokio::test]
async fn a_conversion_that_was_cut_off_is_gone_through_again() {
    use sqlx::{ConnectOptions, Executor};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let open_as = |at_rest| {
        let sealer = Arc::new(Sealer::open_or_create(&folder.path().join("store.key")).unwrap());
        Sqlite::open(&path, sealer, Arc::new(Catalog::default()), at_rest)
    };
    let store = open_as(SecretsAtRest::Plain).await.unwrap();
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    let consumer = suite::fresh("consumers", serde_json::json!({"username": "a"}));
    transaction.insert(suite::kind("consumers"), &consumer, None).await.unwrap();
    let body = serde_json::json!({"key": "open-sesame-please", "consumer": {"id": consumer["id"]}});
    let key = suite::fresh("keyauth_credentials", body);
    transaction.insert(suite::kind("keyauth_credentials"), &key, None).await.unwrap();
    transaction.commit().await.unwrap();
    store.close().await;
    // As a conversion from sealed to plain leaves it that did not come to its end.
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut connection = file.connect().await.unwrap();
    let sql = "UPDATE meta SET value = CAST('converting' AS BLOB) WHERE name = 'secrets_at_rest'";
    connection.execute(sql).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    // Nothing of it is left, while the store is open already.
    let store = open_as(SecretsAtRest::Encrypted).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(18).any(|w| w == b"open-sesame-please"));
    }
    let found = store.find(suite::kind("keyauth_credentials"), "key", "open-sesame-please").await.unwrap();
    assert_eq!(found.unwrap().record["key"], "open-sesame-please");
}
