//! The suite that every store passes. A backend calls [`all`] with a way to make an empty store.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_mint::Uuid;
use weir_model::{Catalog, Entity, Page, Record, Tags, entity};
use weir_store::{Actor, Error, Filter, Loaded, Store};

pub(crate) async fn all<F, S, T>(make: F)
where
    F: Fn() -> S,
    S: Future<Output = (Arc<T>, Box<dyn std::any::Any>)>,
    T: Store + 'static,
{
    macro_rules! run {
        ($($test:ident),* $(,)?) => {$(
            let (store, _keep) = make().await;
            $test(store.as_ref()).await;
        )*};
    }
    run!(
        what_is_committed_is_found,
        what_is_dropped_leaves_no_trace,
        unique_values_are_unique,
        references_lead_somewhere,
        deleting_takes_along_or_is_refused,
        pages_come_in_order,
        tags_are_found,
        changes_come_in_order,
        what_ends_is_not_seen,
        secrets_come_back,
        a_crowd_of_writers_is_told_the_truth,
        who_fails_because_of_another_fails_after_it,
        writers_that_leave_harm_nobody,
        what_happens_to_credentials_is_written_down,
        a_start_is_told_of_everything,
    );
}

pub(crate) fn kind(name: &str) -> &'static Entity {
    entity(name).unwrap()
}

pub(crate) fn id(n: u8) -> Uuid {
    let mut bytes = [0; 16];
    bytes[15] = n;
    Uuid::from_bytes(bytes)
}

pub(crate) fn service(n: u8, name: &str) -> Record {
    complete("services", json!({"id": id(n).to_string(), "name": name, "host": "h"}))
}

pub(crate) fn complete(name: &str, body: Value) -> Record {
    struct Fixed;
    impl weir_model::Source for Fixed {
        fn now(&self) -> i64 {
            1
        }
        fn uuid(&self) -> Result<String, weir_model::schema::SourceError> {
            Ok(id(255).to_string())
        }
        fn token(&self) -> Result<String, weir_model::schema::SourceError> {
            Ok("token".to_owned())
        }
    }
    let Value::Object(map) = body else { panic!("an object") };
    kind(name).schema.create(map, &Catalog::default(), &Fixed).unwrap()
}

async fn put(store: &dyn Store, name: &str, record: &Record) {
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.insert(kind(name), record, None).await.unwrap();
    transaction.commit().await.unwrap();
}

fn consumer(n: u8, username: &str) -> Record {
    complete("consumers", json!({"id": id(n).to_string(), "username": username}))
}

fn key(n: u8, of: u8, key: &str) -> Record {
    let body = json!({"id": id(n).to_string(), "key": key, "consumer": {"id": id(of).to_string()}});
    complete("keyauth_credentials", body)
}

async fn what_is_committed_is_found(store: &dyn Store) {
    let record = service(1, "one");
    put(store, "services", &record).await;
    let by_id = store.get(kind("services"), id(1)).await.unwrap().unwrap();
    assert_eq!(by_id.record, record);
    let by_name = store.find(kind("services"), "name", "one").await.unwrap().unwrap();
    assert_eq!(by_name.id, id(1));
    assert!(store.find(kind("services"), "name", "ONE").await.unwrap().is_none());
    assert!(store.get(kind("services"), id(2)).await.unwrap().is_none());
}

async fn what_is_dropped_leaves_no_trace(store: &dyn Store) {
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.insert(kind("services"), &service(1, "one"), None).await.unwrap();
    assert!(transaction.get(kind("services"), id(1)).await.unwrap().is_some());
    assert!(store.get(kind("services"), id(1)).await.unwrap().is_none(), "seen before it was committed");
    drop(transaction);
    put(store, "services", &service(1, "one")).await;
}

async fn unique_values_are_unique(store: &dyn Store) {
    put(store, "services", &service(1, "one")).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    match transaction.insert(kind("services"), &service(2, "one"), None).await {
        Err(Error::Unique(fields)) => assert_eq!(Value::Object(fields), json!({"name": "one"})),
        other => panic!("{other:?}"),
    }
    match transaction.insert(kind("services"), &service(1, "two"), None).await {
        Err(Error::PrimaryKey(key)) => assert_eq!(key, id(1).to_string()),
        other => panic!("{other:?}"),
    }
    transaction.update(kind("services"), &service(1, "one"), None).await.unwrap();
    drop(transaction);

    put(store, "consumers", &consumer(1, "a")).await;
    let group = |n: u8| {
        complete(
            "acls",
            json!({"id": id(n).to_string(), "group": "g", "consumer": {"id": id(1).to_string()}}),
        )
    };
    put(store, "acls", &group(1)).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    match transaction.insert(kind("acls"), &group(2), None).await {
        Err(Error::Unique(fields)) => {
            assert_eq!(Value::Object(fields), json!({"consumer": {"id": id(1).to_string()}, "group": "g"}));
        }
        other => panic!("{other:?}"),
    }
    drop(transaction);

    put(store, "keyauth_credentials", &key(1, 1, "k")).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    let taken = transaction.insert(kind("keyauth_credentials"), &key(2, 1, "k"), None).await;
    assert!(matches!(taken, Err(Error::Unique(_))), "{taken:?}");
}

async fn references_lead_somewhere(store: &dyn Store) {
    let route = |body: Value| complete("routes", body);
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    let record = route(json!({"paths": ["/"], "service": {"id": id(9).to_string()}}));
    match transaction.insert(kind("routes"), &record, None).await {
        Err(Error::Reference { field, entity, id: there }) => {
            assert_eq!((field, entity, there), ("service", "services", id(9).to_string()));
        }
        other => panic!("{other:?}"),
    }
    // A kind of entity that nothing stores has no members.
    let body = json!({"host": "h", "protocol": "https", "client_certificate": {"id": id(9).to_string()}});
    let refused = transaction.insert(kind("services"), &complete("services", body), None).await;
    assert!(matches!(refused, Err(Error::Reference { entity: "certificates", .. })), "{refused:?}");
}

async fn deleting_takes_along_or_is_refused(store: &dyn Store) {
    put(store, "services", &service(1, "one")).await;
    let route = complete(
        "routes",
        json!({"id": id(2).to_string(), "paths": ["/"], "service": {"id": id(1).to_string()}}),
    );
    put(store, "routes", &route).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    match transaction.delete(kind("services"), id(1)).await {
        Err(Error::Referenced { by, entity }) => assert_eq!((by, entity), ("routes", "services")),
        other => panic!("{other:?}"),
    }
    assert!(transaction.delete(kind("routes"), id(2)).await.unwrap());
    assert!(!transaction.delete(kind("routes"), id(2)).await.unwrap());
    assert!(transaction.delete(kind("services"), id(1)).await.unwrap());
    transaction.commit().await.unwrap();

    put(store, "consumers", &consumer(1, "a")).await;
    put(store, "keyauth_credentials", &key(2, 1, "k")).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    assert!(transaction.delete(kind("consumers"), id(1)).await.unwrap());
    let changes = transaction.commit().await.unwrap();
    let gone: Vec<_> = changes.iter().map(|c| (c.entity.name, c.id, c.now.is_none())).collect();
    assert_eq!(gone, [("keyauth_credentials", id(2), true), ("consumers", id(1), true)]);
    assert!(store.find(kind("keyauth_credentials"), "key", "k").await.unwrap().is_none());
}

async fn pages_come_in_order(store: &dyn Store) {
    for n in [3, 1, 5, 2, 4] {
        put(store, "services", &service(n, &format!("s{n}"))).await;
    }
    let mut page = Page { size: 2, after: None };
    let mut seen = Vec::new();
    loop {
        let listing = store.list(kind("services"), &Filter::default(), &page).await.unwrap();
        seen.push(listing.members.iter().map(|s| s.id.as_bytes()[15]).collect::<Vec<_>>());
        match listing.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);

    put(store, "consumers", &consumer(1, "a")).await;
    put(store, "consumers", &consumer(2, "b")).await;
    put(store, "keyauth_credentials", &key(1, 1, "k1")).await;
    put(store, "keyauth_credentials", &key(2, 2, "k2")).await;
    let of_b = Filter { belonging_to: Some(("consumer", id(2))), ..Filter::default() };
    let whole = Page { size: 10, after: None };
    let keys = store.list(kind("keyauth_credentials"), &of_b, &whole).await.unwrap();
    assert_eq!(keys.members.iter().map(|s| s.id).collect::<Vec<_>>(), [id(2)]);
    let named = Filter { equal: Some(("username", "a".to_owned())), ..Filter::default() };
    assert_eq!(store.list(kind("consumers"), &named, &whole).await.unwrap().members.len(), 1);
}

async fn tags_are_found(store: &dyn Store) {
    for (n, tags) in [(1, json!(["x", "y"])), (2, json!(["y"])), (3, json!([]))] {
        let body = json!({"id": id(n).to_string(), "host": "h", "tags": tags});
        put(store, "services", &complete("services", body)).await;
    }
    let page = Page { size: 10, after: None };
    let tags = |tags: Tags| Filter { tags: Some(tags), ..Filter::default() };
    let count =
        async |filter: Filter| store.list(kind("services"), &filter, &page).await.unwrap().members.len();
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!(count(tags(Tags::All(texts(&["x", "y"])))).await, 1);
    assert_eq!(count(tags(Tags::Any(texts(&["x", "y"])))).await, 2);
    assert_eq!(count(tags(Tags::All(texts(&["y", "y"])))).await, 2);
    assert_eq!(count(tags(Tags::All(texts(&["none"])))).await, 0);

    let first = store.tags(None, &Page { size: 2, after: None }).await.unwrap();
    assert_eq!(first.members.iter().map(|t| t.tag.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    let rest = store.tags(None, &Page { size: 2, after: first.next }).await.unwrap();
    assert_eq!(rest.members.iter().map(|t| t.id).collect::<Vec<_>>(), [id(2)]);
    assert_eq!(rest.next, None);
    assert_eq!(store.tags(Some("y"), &page).await.unwrap().members.len(), 2);

    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.delete(kind("services"), id(1)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store.tags(None, &page).await.unwrap().members.len(), 1);
}

async fn changes_come_in_order(store: &dyn Store) {
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.insert(kind("services"), &service(1, "one"), None).await.unwrap();
    transaction.insert(kind("services"), &service(2, "two"), None).await.unwrap();
    let first = transaction.commit().await.unwrap();
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.update(kind("services"), &service(1, "uno"), None).await.unwrap();
    let second = transaction.commit().await.unwrap();
    let all: Vec<i64> = first.iter().chain(&second).map(|c| c.sequence).collect();
    assert!(all.is_sorted() && all.windows(2).all(|w| w[0] < w[1]), "{all:?}");
    assert_eq!(second[0].now.as_ref().unwrap().record["name"], json!("uno"));
}

async fn what_ends_is_not_seen(store: &dyn Store) {
    put(store, "consumers", &consumer(1, "a")).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.insert(kind("keyauth_credentials"), &key(1, 1, "k"), Some(1)).await.unwrap();
    transaction.insert(kind("keyauth_credentials"), &key(2, 1, "later"), Some(i64::MAX)).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(store.find(kind("keyauth_credentials"), "key", "k").await.unwrap().is_none());
    assert!(store.find(kind("keyauth_credentials"), "key", "later").await.unwrap().is_some());
    let page = Page { size: 10, after: None };
    let listed = store.list(kind("keyauth_credentials"), &Filter::default(), &page).await.unwrap();
    assert_eq!(listed.members.len(), 1);
    // Its place is free, and reaping finds what is left.
    put(store, "keyauth_credentials", &key(3, 1, "k")).await;
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.update(kind("keyauth_credentials"), &key(3, 1, "k"), Some(1)).await.unwrap();
    transaction.commit().await.unwrap();
    let reaped = store.reap(10).await.unwrap();
    assert_eq!(reaped.iter().map(|c| c.id).collect::<Vec<_>>(), [id(3)]);
}

async fn secrets_come_back(store: &dyn Store) {
    put(store, "consumers", &consumer(1, "a")).await;
    put(store, "keyauth_credentials", &key(1, 1, "sesame")).await;
    let found = store.find(kind("keyauth_credentials"), "key", "sesame").await.unwrap().unwrap();
    assert_eq!(found.record["key"], json!("sesame"));
    assert!(found.digest.is_some());
}

/// As [`complete`], with an id that no other has.
pub(crate) fn fresh(name: &str, mut body: Value) -> Record {
    body["id"] = json!(Uuid::v4().unwrap().to_string());
    complete(name, body)
}

/// A consumer of this name, in a transaction of its own.
async fn write(store: &dyn Store, name: &str) -> Result<(), Error> {
    let mut transaction = store.begin(Actor::Gateway("test")).await?;
    transaction.insert(kind("consumers"), &fresh("consumers", json!({"username": name})), None).await?;
    transaction.commit().await.map(drop)
}

async fn a_crowd_of_writers_is_told_the_truth(store: &dyn Store) {
    // Each name is wanted twice: one of the two gets it, and those around them do not notice.
    let names: Vec<String> = (0..200).map(|n| format!("crowd-{}", n / 2)).collect();
    let told = futures_util::future::join_all(names.iter().map(|name| write(store, name))).await;
    for (pair, name) in told.chunks(2).zip(names.chunks(2)) {
        assert_eq!(pair.iter().filter(|told| told.is_ok()).count(), 1, "{name:?}: {pair:?}");
        assert!(pair.iter().any(|told| matches!(told, Err(Error::Unique(_)))), "{pair:?}");
        assert!(store.find(kind("consumers"), "username", &name[0]).await.unwrap().is_some());
    }
}

async fn who_fails_because_of_another_fails_after_it(store: &dyn Store) {
    // A hundred want one name. Whoever is told that it is taken finds the one who has it.
    let want = |_| async {
        match write(store, "wanted").await {
            Err(error) => {
                assert!(matches!(error, Error::Unique(_)), "{error:?}");
                store.settle().await;
                assert!(store.find(kind("consumers"), "username", "wanted").await.unwrap().is_some());
                0
            }
            Ok(()) => 1,
        }
    };
    let got: usize = futures_util::future::join_all((0..100).map(want)).await.into_iter().sum();
    assert_eq!(got, 1);
}

async fn writers_that_leave_harm_nobody(store: &dyn Store) {
    use futures_util::future::{join_all, poll_fn};
    use std::task::Poll;
    // One works and leaves without a word while others wait behind it; some of these give up waiting.
    let mut leaving = store.begin(Actor::Gateway("test")).await.unwrap();
    leaving.insert(kind("consumers"), &fresh("consumers", json!({"username": "left"})), None).await.unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("behind-{n}")).collect();
    let mut waiting: Vec<_> = names.iter().map(|name| Box::pin(write(store, name))).collect();
    poll_fn(|cx| {
        waiting.iter_mut().for_each(|one| assert!(one.as_mut().poll(cx).is_pending()));
        Poll::Ready(())
    })
    .await;
    waiting.drain(10..15).for_each(drop);
    drop(leaving);
    for told in join_all(waiting).await {
        told.unwrap();
    }
    let there = |name: String| async move {
        store.find(kind("consumers"), "username", &name).await.unwrap().is_some()
    };
    assert!(!there("left".to_owned()).await);
    for (n, name) in names.into_iter().enumerate() {
        assert_eq!(there(name).await, !(10..15).contains(&n), "{n}");
    }
    write(store, "after").await.unwrap();
}

async fn what_happens_to_credentials_is_written_down(store: &dyn Store) {
    let consumer = fresh("consumers", json!({"username": "a"}));
    let key = fresh("keyauth_credentials", json!({"key": "k", "consumer": {"id": consumer["id"]}}));
    let id: Uuid = key["id"].as_str().unwrap().parse().unwrap();
    let mut transaction = store.begin(Actor::Operator("192.0.2.1".to_owned())).await.unwrap();
    transaction.insert(kind("consumers"), &consumer, None).await.unwrap();
    transaction.insert(kind("keyauth_credentials"), &key, None).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.rotating();
    transaction.update(kind("keyauth_credentials"), &key, Some(1)).await.unwrap();
    transaction.commit().await.unwrap();
    // What is dropped happened to nobody.
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    transaction.delete(kind("keyauth_credentials"), id).await.unwrap();
    drop(transaction);
    store.put_last_used(&[(id, 5000), (id, 3000)]).await.unwrap();
    assert_eq!(store.last_used(id).await.unwrap(), Some(5000));
    store.reap(10).await.unwrap();
    assert_eq!(store.last_used(id).await.unwrap(), None);
    let page = Page { size: 10, after: None };
    let log = store.audit(Some(id), &page).await.unwrap().members;
    let told: Vec<_> = log.iter().map(|entry| (&*entry.actor, &*entry.action)).collect();
    assert_eq!(
        told,
        [("192.0.2.1", "created"), ("gateway (test)", "rotated"), ("gateway (expiry)", "expired")]
    );
    assert!(
        log.iter()
            .all(|entry| entry.consumer.map(|id| json!(id.to_string())).as_ref() == Some(&consumer["id"]))
    );
    let first = store.audit(None, &Page { size: 1, after: None }).await.unwrap();
    let next = Page { size: 10, after: first.next };
    assert_eq!(store.audit(None, &next).await.unwrap().members.len(), 2);
}

async fn a_start_is_told_of_everything(store: &dyn Store) {
    let names: Vec<String> = (0..2500).map(|n| format!("c{n} \"\u{e9}\n\u{0},]\"")).collect();
    let mut transaction = store.begin(Actor::Gateway("test")).await.unwrap();
    let (mut owners, mut wanted) = (Vec::new(), Vec::new());
    for name in &names {
        let consumer = fresh("consumers", json!({"username": name, "custom_id": format!("x{name}")}));
        transaction.insert(kind("consumers"), &consumer, None).await.unwrap();
        owners.push(consumer["id"].clone());
    }
    for (n, end) in [(0, None), (1, Some(1)), (2, Some(i64::MAX)), (3, None)] {
        let key = if n == 3 { json!(null) } else { json!(format!("k{n}")) };
        let mut record = fresh("keyauth_credentials", json!({"key": "x", "consumer": {"id": owners[n]}}));
        record.insert("key".to_owned(), key);
        transaction.insert(kind("keyauth_credentials"), &record, end).await.unwrap();
        // What is over, and what nobody can show, is not told of.
        if n % 2 == 0 {
            wanted.push((record["id"].clone(), owners[n].clone(), end));
        }
    }
    transaction.insert(kind("services"), &service(1, "one"), None).await.unwrap();
    transaction.commit().await.unwrap();
    let (mut consumers, mut keys, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut each = |loaded| match loaded {
        Loaded::Consumer(one) => consumers.push((one.username.unwrap(), one.custom_id.unwrap())),
        Loaded::Key { credential, expires_at_ms, .. } => {
            let (id, consumer) = (credential.id.to_string(), credential.consumer.to_string());
            keys.push((json!(id), json!(consumer), expires_at_ms));
        }
        Loaded::Other(entity, _) => others.push(entity.name),
    };
    store.load(&mut each).await.unwrap();
    assert_eq!(consumers.len(), names.len());
    for (name, (username, custom_id)) in names.iter().zip(&consumers) {
        assert_eq!((&**username, &**custom_id), (&**name, &*format!("x{name}")));
    }
    assert_eq!(keys, wanted);
    assert_eq!(others, ["services"]);
}
