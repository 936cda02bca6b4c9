//! Sessions that are kept in the store (`storage: kong`): the cookie holds an id, the store whose session it is.
//!
//! Writes go on beside the answer that brings the cookie. Until one is done, and for a while after it for requests that
//! began before, the session is found in a table of this process. A session whose write fails is found no more after that,
//! and its client has to authenticate again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use weir_mint::{Alphabet, Secret, Token, Uuid};
use weir_model::Record;
use weir_plugin::{Ctx, Records, RecordsError, Step};

use super::ticket::Who;

const SESSIONS: &str = "sessions";
/// So many sessions at most are on their way into the store; beyond that, clients get none.
const MOST_PENDING: usize = 10_000;
/// How long a session is found in the table after its write.
const LINGER: Duration = Duration::from_secs(10);

/// Mints a session's id: 43 characters of base64url, 258 bits.
pub(super) fn mint_id() -> Result<String, weir_mint::Error> {
    if !weir_kernel::is_ready() {
        return Err(weir_mint::Error::NotReady);
    }
    let token = Token::builder().bits(256).alphabet(Alphabet::Base64Url).build();
    let id = token.map_err(|_| weir_mint::Error::Broken)?.mint()?;
    Ok(id.expose().to_owned())
}

/// A session that was found.
pub(super) struct Found {
    pub(super) who: Who,
    /// Its primary key.
    pub(super) record: Uuid,
    /// Whether it has a successor already: it is only good for those who do not know that yet.
    pub(super) stale: bool,
}

/// Sessions on their way into the store.
#[derive(Default)]
pub struct Pending(Mutex<HashMap<String, Entry>>);

struct Entry {
    who: Who,
    record: Uuid,
    /// When the write was done.
    done: Option<Instant>,
    /// Whether somebody has logged out of it.
    gone: bool,
}

impl Entry {
    /// Whether it is not in the store yet, or has not been for long.
    fn counts(&self, now: Instant) -> bool {
        self.done.is_none_or(|done| now.duration_since(done) < LINGER)
    }
}

impl Pending {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, id: &str, who: &Who, record: Uuid) -> bool {
        let mut table = self.table();
        let now = Instant::now();
        table.retain(|_, entry| entry.counts(now));
        if table.len() >= MOST_PENDING {
            return false;
        }
        let entry = Entry { who: who.clone(), record, done: None, gone: false };
        table.insert(id.to_owned(), entry);
        true
    }

    fn find(&self, id: &str) -> Option<Found> {
        let table = self.table();
        let entry = table.get(id).filter(|entry| !entry.gone && entry.counts(Instant::now()))?;
        Some(Found { who: entry.who.clone(), record: entry.record, stale: false })
    }

    /// Ends a write. Says whether somebody has logged out in the meantime.
    fn end(&self, id: &str, stored: bool) -> bool {
        let mut table = self.table();
        if !stored {
            table.remove(id);
            return false;
        }
        let Some(entry) = table.get_mut(id) else { return false };
        entry.done = Some(Instant::now());
        entry.gone
    }

    /// Nobody finds it here any more.
    fn forget(&self, id: &str) {
        if let Some(entry) = self.table().get_mut(id) {
            entry.gone = true;
        }
    }
}

/// The store, as sessions are kept in it.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) records: Arc<dyn Records>,
    pub(super) pending: Arc<Pending>,
    /// How long a session is good that has a successor.
    pub(super) stale: Duration,
}

impl Store {
    /// The session of this id, unless it is over.
    pub(super) fn find(&self, ctx: &Ctx<'_>, id: &str, now_ms: i64) -> Option<Found> {
        let Some(stored) = ctx.directory.session(id) else { return self.pending.find(id) };
        if stored.expires.is_some_and(|end| end.saturating_mul(1000) <= now_ms) {
            return None;
        }
        let (who, stale) = read(&stored.data)?;
        Some(Found { who, record: stored.id, stale })
    }

    /// Stores a session, and lets the one that it succeeds go stale. Says no when there is no room for it.
    pub(super) fn put(&self, id: &str, who: &Who, life: Option<Duration>, before: Option<Found>) -> bool {
        let Ok(record) = Uuid::v4() else { return false };
        if !self.pending.begin(id, who, record) {
            tracing::warn!(
                plugin = super::NAME,
                "too many sessions are waiting to be stored: one is not kept"
            );
            return false;
        }
        let insert = Step::Insert { entity: SESSIONS, fields: fields(record, id, who, life), life };
        let retire = before.map(|before| self.retire(before));
        let (store, id) = (self.clone(), id.to_owned());
        let write = self.records.apply([insert.clone()].into_iter().chain(retire).collect());
        tokio::spawn(async move {
            let mut outcome = write.await;
            if outcome == Err(RecordsError::Gone) {
                // The one before is over by itself.
                outcome = store.records.apply(vec![insert]).await;
            }
            match &outcome {
                Ok(_) => tracing::debug!(plugin = super::NAME, %record, "a session is stored"),
                Err(error) => {
                    tracing::warn!(plugin = super::NAME, %error, "a session could not be stored: it is over");
                }
            }
            if store.pending.end(&id, outcome.is_ok()) {
                let _ = store.delete(&id, record).await;
            }
        });
        true
    }

    /// Deletes a session. When this ends well, nobody finds it any more.
    pub(super) async fn delete(&self, id: &str, record: Uuid) -> Result<(), RecordsError> {
        self.pending.forget(id);
        match self.records.apply(vec![Step::Delete { entity: SESSIONS, id: record }]).await {
            Ok(_) | Err(RecordsError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn retire(&self, before: Found) -> Step {
        if self.stale.is_zero() {
            return Step::Delete { entity: SESSIONS, id: before.record };
        }
        let mut fields = Record::new();
        fields.insert("expires".to_owned(), json!(end(self.stale)));
        fields.insert("data".to_owned(), json!(write(&before.who, true)));
        Step::Update { entity: SESSIONS, id: before.record, fields, only_if: None, life: Some(self.stale) }
    }
}

fn fields(record: Uuid, id: &str, who: &Who, life: Option<Duration>) -> Record {
    let mut fields = Record::new();
    fields.insert("id".to_owned(), json!(record.to_string()));
    fields.insert("session_id".to_owned(), json!(id));
    fields.insert("expires".to_owned(), json!(life.map(end)));
    fields.insert("data".to_owned(), json!(write(who, false)));
    fields
}

/// When something ends that lives so long from now, epoch seconds.
fn end(life: Duration) -> i64 {
    let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
    weir_kernel::clock::unix_seconds().saturating_add(seconds).saturating_add(1)
}

fn write(who: &Who, stale: bool) -> String {
    json!({"who": who, "stale": stale}).to_string()
}

fn read(data: &Secret) -> Option<(Who, bool)> {
    let mut value: serde_json::Value = serde_json::from_str(data.expose()).ok()?;
    let stale = value.get("stale")?.as_bool()?;
    Some((serde_json::from_value(value.get_mut("who")?.take()).ok()?, stale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let who: Who = serde_json::from_str(r#"{"subject":"alice","groups":["a"]}"#).unwrap();
        for stale in [false, true] {
            assert_eq!(read(&Secret::new(write(&who, stale))), Some((who.clone(), stale)));
        }
        assert_eq!(read(&Secret::new("{}".to_owned())), None);
    }

    #[test]
    fn a_session_is_found_while_it_is_written() {
        let (pending, record) = (Pending::default(), Uuid::from_bytes([1; 16]));
        assert!(pending.begin("a", &Who::default(), record));
        assert!(pending.find("a").is_some_and(|found| found.record == record && !found.stale));
        assert!(!pending.end("a", true));
        assert!(pending.find("a").is_some(), "for requests that began before it was in force");
        pending.forget("a");
        assert!(pending.find("a").is_none());
        assert!(pending.begin("b", &Who::default(), record));
        pending.forget("b");
        assert!(pending.end("b", true), "who logged out meanwhile wants it deleted");
        assert!(pending.begin("c", &Who::default(), record));
        assert!(!pending.end("c", false));
        assert!(pending.find("c").is_none());
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (pending, record) = (Pending::default(), Uuid::from_bytes([1; 16]));
        (0..MOST_PENDING).for_each(|n| assert!(pending.begin(&n.to_string(), &Who::default(), record)));
        assert!(!pending.begin("more", &Who::default(), record));
        pending.end("0", false);
        assert!(pending.begin("more", &Who::default(), record));
    }

    #[test]
    fn an_id_has_256_bits() {
        let token = Token::builder().bits(256).alphabet(Alphabet::Base64Url).build().unwrap();
        assert_eq!(mint_id().unwrap().len(), token.characters());
        assert!(token.strength_bits() >= 256.0);
    }
}
