//! Verifying passwords: on threads of their own, few at a time, and a password that was right once at once.
//!
//! argon2id takes some 20 ms and 19 MiB. So [`Verifier`] lets few run at a time, and few more wait: beyond that nobody is
//! helped by waiting, and whoever guesses passwords must not fill the memory.
//!
//! What was right is remembered beside the credential, as a digest under a key that this process drew for itself: one for
//! the password and one for that before it. There is nothing to bound or to expire: a credential whose password changes is
//! another one in memory, and this one's digests go with it. Workers read them without a lock. The key lives in memory
//! alone, and as long as the process; copies of a virtual machine share it and what it was used for, but nothing that is
//! digested with it ever leaves a process.
//!
//! Absent on purpose: remembering wrong passwords.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::{constant_time, hmac};
use serde_json::json;
use weir_kernel::Purpose;
use weir_mint::slow;
use weir_model::Record;
use weir_model::typed::BasicCredential;
use weir_plugin::{Kept, Records, RecordsError, Step};

use super::NAME;
use crate::authorization::UserPass;
use crate::queue::Queue;

const ENTITY: &str = "basicauth_credentials";
/// At most so many threads verify at a time, on whatever machine: 152 MiB.
const MOST_AT_ONCE: usize = 8;
/// So many wait for each that verifies: about 1.5 seconds' worth.
const WAITING_FOR_EACH: usize = 64;
/// The hash of no password that anybody knows, at the cost of `slow::hash_password`: its 32 bytes are all zeros.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// What hashes of `slow::hash_password` cost: KiB times passes.
const COST: u64 = 19_456 * 2;

/// What became of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// Nobody looked at it.
    Busy,
}

/// Verifies passwords for all instances.
pub(super) struct Verifier {
    /// Of this process; none before the kernel's generator is ready.
    key: OnceLock<hmac::Key>,
    queue: Arc<Queue>,
}

impl Default for Verifier {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors / 2).clamp(1, MOST_AT_ONCE), WAITING_FOR_EACH)
    }
}

type Tag = [u8; 32];

/// What is remembered of a credential.
#[derive(Default)]
struct Seen {
    current: OnceLock<Tag>,
    previous: OnceLock<Tag>,
    /// Somebody is replacing the hash, or has tried.
    replaced: AtomicBool,
}

/// Which of a credential's two hashes a password is the right one of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Current,
    Previous,
}

impl Verifier {
    fn new(at_once: usize, waiting_for_each: usize) -> Self {
        Self { key: OnceLock::new(), queue: Arc::new(Queue::new(at_once, waiting_for_each)) }
    }

    /// Whether this password was right before, at once. `previous_counts`: the one before the last change is still good.
    pub(super) fn remembers(
        &self,
        credential: &Kept<BasicCredential>,
        password: &[u8],
        previous_counts: bool,
    ) -> bool {
        let Some(seen) = seen(credential) else { return false };
        let (current, previous) = (seen.current.get(), seen.previous.get().filter(|_| previous_counts));
        if current.is_none() && previous.is_none() {
            return false;
        }
        let Some(tag) = self.tag(credential, password) else { return false };
        let is = |known: &Tag| constant_time::verify_slices_are_equal(known, &tag).is_ok();
        current.is_some_and(is) || previous.is_some_and(is)
    }

    /// Verifies a password, or for `None` takes as long as if there were something to verify.
    pub(super) async fn verify(
        &self,
        credential: Option<Arc<Kept<BasicCredential>>>,
        shown: UserPass,
        previous_counts: bool,
        records: &Arc<dyn Records>,
    ) -> Outcome {
        let Some(turn) = self.queue.turn().await else { return Outcome::Busy };
        let Some(credential) = credential else {
            let _ = turn.work(move || slow::verify_password(NOBODYS, shown.password(), "")).await;
            return Outcome::Wrong;
        };
        // Of many who show the same, the first was verified while the others waited.
        if self.remembers(&credential, shown.password(), previous_counts) {
            return Outcome::Right;
        }
        let verified = Arc::clone(&credential);
        let work = move || {
            let which = which(&verified, shown.password(), previous_counts);
            (which, shown)
        };
        let Some((which, shown)) = turn.work(work).await else { return Outcome::Busy };
        let Some(which) = which else { return Outcome::Wrong };
        self.remember(&credential, shown.password(), which);
        if which == Which::Current
            && is_weak(credential.password.expose())
            && seen(&credential).is_some_and(|seen| !seen.replaced.swap(true, Relaxed))
        {
            let (queue, records) = (Arc::clone(&self.queue), Arc::clone(records));
            tokio::spawn(async move {
                let id = credential.id;
                match replace(credential, shown, &queue, records).await {
                    Ok(()) => {
                        tracing::info!(plugin = NAME, credential = %id, "made a better hash of a password")
                    }
                    Err(error) => {
                        tracing::warn!(plugin = NAME, credential = %id, %error, "a password keeps its weak hash");
                    }
                }
            });
        }
        Outcome::Right
    }

    fn remember(&self, credential: &Kept<BasicCredential>, password: &[u8], which: Which) {
        let (Some(seen), Some(tag)) = (seen(credential), self.tag(credential, password)) else { return };
        let place = match which {
            Which::Current => &seen.current,
            Which::Previous => &seen.previous,
        };
        // A hash has one password: if another worker was faster, it is the same.
        let _ = place.set(tag);
    }

    /// What a right password of this credential is remembered by. `None` while the kernel's generator is not ready.
    fn tag(&self, credential: &BasicCredential, password: &[u8]) -> Option<Tag> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let mut bytes = zeroize::Zeroizing::new([0; 32]);
                weir_kernel::try_fill_for(Purpose::Key, bytes.as_mut()).ok()?;
                self.key.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref()))
            }
        };
        let mut context = hmac::Context::with_key(key);
        context.update(credential.id.as_bytes());
        context.update(password);
        context.sign().as_ref().try_into().ok()
    }
}

fn seen(credential: &Kept<BasicCredential>) -> Option<&Seen> {
    credential.prepared(|_| Seen::default())
}

/// Whose password this is. For seconds of work in the worst case: not on a worker.
fn which(credential: &BasicCredential, password: &[u8], previous_counts: bool) -> Option<Which> {
    let consumer = credential.consumer.to_string();
    let verify = |hash: &str| slow::verify_password(hash, password, &consumer);
    let current = credential.password.expose();
    if verify(current) {
        return Some(Which::Current);
    }
    if slow::is_kong_hash(current) {
        // That was quick; a username that nobody has would not have been.
        slow::verify_password(NOBODYS, password, "");
    }
    let previous = credential.previous.as_ref().filter(|_| previous_counts);
    previous.is_some_and(|previous| verify(previous.secret.expose())).then_some(Which::Previous)
}

/// Whether a hash that was verified costs less than those of today.
fn is_weak(hash: &str) -> bool {
    let cost = || {
        let (m, rest) = hash.strip_prefix("$argon2id$v=19$m=")?.split_once(",t=")?;
        let (t, _) = rest.split_once(',')?;
        Some(m.parse::<u64>().ok()?.saturating_mul(t.parse().ok()?))
    };
    cost().is_none_or(|cost| cost < COST)
}

/// Stores a new hash of a password that was right, unless the password was changed meanwhile.
async fn replace(
    credential: Arc<Kept<BasicCredential>>,
    shown: UserPass,
    queue: &Queue,
    records: Arc<dyn Records>,
) -> Result<(), RecordsError> {
    let stopping = || RecordsError::Unavailable("the gateway is stopping".to_owned());
    let turn = queue.patient_turn().await.ok_or_else(stopping)?;
    let hash = turn.work(move || slow::hash_password(shown.password())).await.ok_or_else(stopping)?;
    let hash = hash.map_err(|_| RecordsError::NotReady)?;
    let consumer = json!({"id": credential.consumer.to_string()});
    let fields = Record::from_iter([("password".to_owned(), hash.into()), ("consumer".to_owned(), consumer)]);
    let only_if = Some(("password", credential.password.expose().to_owned()));
    records
        .apply(vec![Step::Update { entity: ENTITY, id: credential.id, fields, only_if, life: None }])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use weir_mint::{Secret, Uuid};
    use weir_model::typed::Previous;
    use weir_plugin::{NoRecords, Stored};

    use super::*;

    const CONSUMER: [u8; 16] = [7; 16];

    fn credential(hash: String, previous: Option<String>) -> Arc<Kept<BasicCredential>> {
        let previous = previous.map(|hash| Previous { secret: Secret::new(hash), until_ms: i64::MAX });
        let (id, consumer) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes(CONSUMER));
        let password = Secret::new(hash);
        Arc::new(Kept::new(BasicCredential { id, consumer, username: "u".into(), password, previous }))
    }

    fn shown(password: &str) -> UserPass {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("u:{password}"));
        crate::authorization::basic(format!("Basic {text}").as_bytes()).unwrap()
    }

    fn no_records() -> Arc<dyn Records> {
        Arc::new(NoRecords)
    }

    /// A hash that takes little time, of the password `p`.
    fn cheap() -> String {
        kongs("p")
    }

    fn kongs(password: &str) -> String {
        let mut sha1 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
        sha1.update(password.as_bytes());
        sha1.update(Uuid::from_bytes(CONSUMER).to_string().as_bytes());
        sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn what_was_right_is_remembered_and_what_was_wrong_is_not() {
        let verifier = Verifier::new(1, 1);
        let known = credential(slow::hash_password(b"p").unwrap(), None);
        let records = no_records();
        let verify = |password| verifier.verify(Some(Arc::clone(&known)), shown(password), false, &records);
        assert!(!verifier.remembers(&known, b"p", false));
        assert_eq!(verify("q").await, Outcome::Wrong);
        assert!(!verifier.remembers(&known, b"p", false) && !verifier.remembers(&known, b"q", false));
        assert_eq!(verify("p").await, Outcome::Right);
        assert!(verifier.remembers(&known, b"p", false));
        assert!(!verifier.remembers(&known, b"q", false));
        // Another credential with the same password is another one.
        assert!(!verifier.remembers(&credential(known.password.expose().to_owned(), None), b"p", false));
    }

    #[tokio::test]
    async fn the_password_before_is_good_until_it_ends() {
        let verifier = Verifier::new(1, 1);
        let known = credential(kongs("new"), Some(kongs("old")));
        let records = no_records();
        let verify = |counts| verifier.verify(Some(Arc::clone(&known)), shown("old"), counts, &records);
        assert_eq!(verify(false).await, Outcome::Wrong);
        assert_eq!(verify(true).await, Outcome::Right);
        assert!(verifier.remembers(&known, b"old", true));
        assert!(!verifier.remembers(&known, b"old", false));
        assert_eq!(verify(false).await, Outcome::Wrong);
    }

    #[tokio::test]
    async fn nobodys_password_is_verified_and_wrong() {
        assert!(slow::is_password_hash(NOBODYS) && !is_weak(NOBODYS));
        let verifier = Verifier::new(1, 1);
        assert_eq!(verifier.verify(None, shown("p"), false, &no_records()).await, Outcome::Wrong);
    }

    #[tokio::test]
    async fn nobody_waits_where_too_many_wait() {
        let verifier = Arc::new(Verifier::new(1, 1));
        let held = verifier.queue.turn().await.unwrap();
        let known = credential(cheap(), None);
        let waiting = tokio::spawn({
            let (verifier, known) = (Arc::clone(&verifier), Arc::clone(&known));
            async move { verifier.verify(Some(known), shown("p"), false, &no_records()).await }
        });
        while verifier.queue.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let late = verifier.verify(Some(Arc::clone(&known)), shown("p"), false, &no_records()).await;
        assert_eq!(late, Outcome::Busy);
        // Who is turned away, or gives up, leaves the place to another.
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(verifier.queue.waiting(), 0);
        drop(held);
        let again = verifier.verify(Some(known), shown("p"), false, &no_records()).await;
        assert_eq!(again, Outcome::Right);
    }

    /// One credential, in a store.
    #[derive(Default)]
    struct Store(Mutex<Vec<Record>>, String);

    impl Records for Store {
        fn get(&self, _: &'static str, _: Uuid) -> Stored<Option<Record>> {
            unreachable!()
        }

        fn find(&self, _: &'static str, _: &'static str, _: String) -> Stored<Option<Record>> {
            unreachable!()
        }

        fn apply(&self, steps: Vec<Step>) -> Stored<Vec<Record>> {
            for step in steps {
                let Step::Update { entity: ENTITY, fields, only_if, .. } = step else { unreachable!() };
                if only_if != Some(("password", self.1.clone())) {
                    return Box::pin(std::future::ready(Err(RecordsError::Gone)));
                }
                self.0.lock().unwrap().push(fields);
            }
            Box::pin(std::future::ready(Ok(Vec::new())))
        }
    }

    async fn replaced(stored: String) -> Vec<Record> {
        let verifier = Verifier::new(1, 1);
        let known = credential(kongs("p"), None);
        let store = Arc::new(Store(Mutex::default(), stored));
        let records: Arc<dyn Records> = store.clone();
        for _ in 0..2 {
            let outcome = verifier.verify(Some(Arc::clone(&known)), shown("p"), false, &records).await;
            assert_eq!(outcome, Outcome::Right);
        }
        drop(records);
        // What runs in the background holds on to the store.
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        std::mem::take(&mut store.0.lock().unwrap())
    }

    #[tokio::test]
    async fn a_weak_hash_is_replaced_once() {
        let changes = replaced(kongs("p")).await;
        let [change] = &changes[..] else { panic!("{changes:?}") };
        let hash = change["password"].as_str().unwrap();
        assert!(slow::verify_password(hash, b"p", "") && !is_weak(hash));
        assert_eq!(change["consumer"]["id"], Uuid::from_bytes(CONSUMER).to_string());
        assert!(is_weak("$argon2id$v=19$m=64,t=2,p=1$x$y") && is_weak(&cheap()));
    }

    #[tokio::test]
    async fn a_password_that_was_changed_meanwhile_stays() {
        assert_eq!(replaced(kongs("new")).await, Vec::<Record>::new());
    }
}
