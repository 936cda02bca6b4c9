//! Many writers, one wait for the disk.
//!
//! A writer works inside a savepoint of a transaction that it shares with those who wait behind it. Whoever finds nobody
//! behind itself commits for all; until then nobody is told that anything was done. So one writer alone waits as long
//! as ever, and a crowd waits about as long as one.
//!
//! A change of one writer is seen by those behind it before it is durable. They are told of success only together, in
//! the order in which they worked: if the commit fails, all of them failed. Whoever fails because of what it saw waits for the
//! same moment ([`Gathering::settle`]) before it says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::{Executor, Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::{AuditEntry, Change, Error, Result};

/// So many writers share a transaction at most.
const MOST: usize = 256;

/// Who puts committed changes in force.
pub(super) type Follower = Arc<dyn Fn(Vec<Change>) + Send + Sync>;

/// The one place where writers meet.
pub(super) struct Gathering {
    pool: SqlitePool,
    group: Arc<Mutex<Group>>,
    waiting: AtomicUsize,
    follower: OnceLock<Follower>,
}

/// The writers that share a transaction.
#[derive(Default)]
pub(super) struct Group {
    transaction: Option<sqlx::Transaction<'static, Sqlite>>,
    /// Somebody left without a word: what it did is to be undone.
    abandoned: bool,
    done: Vec<Done>,
}

/// What a writer did, and where it waits to be told.
struct Done {
    changes: Vec<Change>,
    audited: Vec<AuditEntry>,
    told: oneshot::Sender<Result<Vec<Change>>>,
}

/// A writer's turn.
pub(super) struct Turn {
    gathering: Arc<Gathering>,
    /// `None` once the turn is over.
    group: Option<OwnedMutexGuard<Group>>,
}

impl Gathering {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool, group: Arc::default(), waiting: AtomicUsize::new(0), follower: OnceLock::new() }
    }

    /// Says who puts committed changes in force. Only the first is listened to.
    pub(super) fn follow(&self, follower: Follower) {
        let _ = self.follower.set(follower);
    }

    /// Waits for a turn.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn> {
        let waiting = Waiting::new(self);
        let mut group = Arc::clone(&self.group).lock_owned().await;
        waiting.end();
        if let Err(error) = group.undo().await {
            self.leave(&mut group).await;
            return Err(error);
        }
        if group.transaction.is_none() {
            group.transaction = Some(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        // From here on a writer that leaves without a word is noticed.
        let mut turn = Turn { gathering: Arc::clone(self), group: Some(group) };
        turn.connection()?.execute("SAVEPOINT writer").await?;
        Ok(turn)
    }

    /// Waits until whatever a turn may have seen is durable and in force, or undone.
    pub(super) async fn settle(self: &Arc<Self>) {
        let waiting = Waiting::new(self);
        let mut group = Arc::clone(&self.group).lock_owned().await;
        waiting.end();
        // What cannot be undone takes the transaction with it, of which all are told.
        let _ = group.undo().await;
        if group.done.is_empty() {
            return;
        }
        let (told, telling) = oneshot::channel();
        group.done.push(Done { changes: Vec::new(), audited: Vec::new(), told });
        self.leave(&mut group).await;
        drop(group);
        // Whether it came about is for those to say who did it.
        let _ = telling.await;
    }

    /// Commits, unless somebody waits behind who will.
    async fn leave(&self, group: &mut Group) {
        let nobody = self.waiting.load(Ordering::Acquire) == 0;
        if nobody || group.transaction.is_none() || group.done.len() >= MOST {
            self.commit(group).await;
        }
    }

    /// Commits what the group did, puts it in force, and tells everybody.
    async fn commit(&self, group: &mut Group) {
        let done = std::mem::take(&mut group.done);
        let committed = match group.transaction.take() {
            Some(transaction) => transaction.commit().await.map_err(Error::from),
            None if done.is_empty() => Ok(()),
            None => Err(Error::Corrupt("a transaction was lost".to_owned())),
        };
        if done.is_empty() {
            return;
        }
        if let (Ok(()), Some(follower)) = (&committed, self.follower.get()) {
            let changes: Vec<Change> = done.iter().flat_map(|one| one.changes.iter().cloned()).collect();
            if !changes.is_empty() {
                follower(changes);
            }
        }
        for one in done {
            let answer = match &committed {
                Ok(()) => {
                    one.audited.iter().for_each(super::audit::tell);
                    Ok(one.changes)
                }
                Err(error) => Err(error.same()),
            };
            // Nobody there to be told: the change stands all the same.
            let _ = one.told.send(answer);
        }
    }
}

impl Group {
    /// Undoes what somebody left behind. What cannot be undone takes the whole transaction with it.
    async fn undo(&mut self) -> Result<()> {
        if std::mem::take(&mut self.abandoned)
            && let Some(transaction) = &mut self.transaction
            && let Err(error) = transaction.execute("ROLLBACK TO writer; RELEASE writer").await
        {
            tracing::error!(%error, "a transaction cannot be undone");
            self.transaction = None;
            return Err(error.into());
        }
        Ok(())
    }
}

impl Turn {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        let transaction = self.group.as_mut().and_then(|group| group.transaction.as_mut());
        transaction
            .map(|transaction| &mut **transaction)
            .ok_or_else(|| Error::Corrupt("no transaction".to_owned()))
    }

    /// Ends the turn, and waits until what was done is durable and in force.
    pub(super) async fn commit(
        mut self,
        changes: Vec<Change>,
        audited: Vec<AuditEntry>,
    ) -> Result<Vec<Change>> {
        self.connection()?.execute("RELEASE writer").await?;
        let Some(mut group) = self.group.take() else { return Ok(changes) };
        let (told, telling) = oneshot::channel();
        group.done.push(Done { changes, audited, told });
        self.gathering.leave(&mut group).await;
        drop(group);
        telling.await.unwrap_or_else(|_| Err(Error::Corrupt("a commit was cut off".to_owned())))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(mut group) = self.group.take() else { return };
        group.abandoned = true;
        if group.done.is_empty() && self.gathering.waiting.load(Ordering::Acquire) == 0 {
            // Nobody's work but this one's: the whole transaction goes.
            group.abandoned = false;
            group.transaction = None;
            return;
        }
        // Whoever waits behind goes on; if nobody does, those before still have to be told.
        let gathering = Arc::clone(&self.gathering);
        let finish = async move {
            let _ = group.undo().await;
            gathering.leave(&mut group).await;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(finish)),
            // Without a runtime nobody is left to be told.
            Err(_) => drop(finish),
        }
    }
}

/// Counts one who waits.
struct Waiting<'a> {
    gathering: &'a Arc<Gathering>,
    over: bool,
}

impl<'a> Waiting<'a> {
    fn new(gathering: &'a Arc<Gathering>) -> Self {
        gathering.waiting.fetch_add(1, Ordering::AcqRel);
        Self { gathering, over: false }
    }

    fn end(mut self) {
        self.over = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gathering.waiting.fetch_sub(1, Ordering::AcqRel);
        if self.over {
            return;
        }
        // It gave up. Those before may have left the commit to it.
        let gathering = Arc::clone(self.gathering);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let mut group = gathering.group.lock().await;
                let _ = group.undo().await;
                gathering.leave(&mut group).await;
            });
        }
    }
}
