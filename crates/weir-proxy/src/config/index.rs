//! Entities that are found by something that clients show, and by their primary keys.

use std::sync::Arc;

use weir_mint::Uuid;
use weir_plugin::Kept;

use super::plugins::Id;
use super::shared_map::SharedMap;
use super::snapshot::ShortDigest;

/// Entities of one kind.
pub(super) struct Index<T> {
    by_shown: SharedMap<ShortDigest, Arc<Kept<T>>>,
    by_id: SharedMap<Id, ShortDigest>,
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        Self { by_shown: self.by_shown.clone(), by_id: self.by_id.clone() }
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { by_shown: SharedMap::default(), by_id: SharedMap::default() }
    }
}

impl<T> Index<T> {
    pub(super) fn get(&self, shown: &ShortDigest) -> Option<&Arc<Kept<T>>> {
        self.by_shown.get(shown)
    }

    pub(super) fn get_by_id(&self, id: &Uuid) -> Option<&Arc<Kept<T>>> {
        self.by_shown.get(self.by_id.get(id.as_bytes())?)
    }

    /// Puts an entity in the place of the one with its primary key. `None` is for one that nobody can show anything for.
    pub(super) fn put(&mut self, id: Uuid, shown: Option<ShortDigest>, value: T) {
        self.remove(id);
        if let Some(shown) = shown {
            self.by_id.insert(*id.as_bytes(), shown);
            self.by_shown.insert(shown, Arc::new(Kept::new(value)));
        }
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        if let Some(shown) = self.by_id.remove(id.as_bytes()) {
            self.by_shown.remove(&shown);
        }
    }
}
