//! The store for plugins: the same rules, the same order of writes, and the same moment of coming into force as for
//! requests to the Admin API.

use std::time::Duration;

use weir_mint::Uuid;
use weir_model::{Entity, Record, schema};
use weir_plugin::{RecordsError, Step};
use weir_store::{Actor, Error, Transaction};

use crate::Admin;
use crate::entities::{Minted, now_ms};

impl Admin {
    /// An entity by its primary key, as it is stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record(&self, entity: &'static str, id: Uuid) -> Result<Option<Record>, RecordsError> {
        let found = self.store.get(known(entity)?, id).await.map_err(from_store)?;
        Ok(found.map(|stored| stored.record))
    }

    /// An entity by a unique field, as it is stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_by(
        &self,
        entity: &'static str,
        field: &'static str,
        value: &str,
    ) -> Result<Option<Record>, RecordsError> {
        let found = self.store.find(known(entity)?, field, value).await.map_err(from_store)?;
        Ok(found.map(|stored| stored.record))
    }

    /// Does all of these, or nothing. Gives the entities that were added and changed, in order, with their secrets.
    ///
    /// # Errors
    /// When one of them cannot be done.
    pub async fn apply_steps(&self, steps: Vec<Step>) -> Result<Vec<Record>, RecordsError> {
        let applied = self.try_steps(steps).await;
        if applied.is_err() {
            self.store.settle().await;
        }
        applied
    }

    async fn try_steps(&self, steps: Vec<Step>) -> Result<Vec<Record>, RecordsError> {
        let mut transaction = self.store.begin(Actor::Gateway("proxy")).await.map_err(from_store)?;
        let mut records = Vec::with_capacity(steps.len());
        for step in steps {
            records.extend(self.step(&mut *transaction, step).await?);
        }
        transaction.commit().await.map_err(from_store)?;
        Ok(records)
    }

    async fn step(
        &self,
        transaction: &mut dyn Transaction,
        step: Step,
    ) -> Result<Option<Record>, RecordsError> {
        match step {
            Step::Insert { entity, mut fields, life } => {
                let entity = known(entity)?;
                let hidden = take_hidden(entity, &mut fields);
                let mut record =
                    entity.schema.create(fields, &self.catalog, &Minted::default()).map_err(from_schema)?;
                record.extend(hidden);
                transaction.insert(entity, &record, end(life)).await.map_err(from_store)?;
                Ok(Some(record))
            }
            Step::Update { entity, id, mut fields, only_if, life } => {
                let entity = known(entity)?;
                let stored =
                    transaction.get(entity, id).await.map_err(from_store)?.ok_or(RecordsError::Gone)?;
                let is = |(field, text): (&str, String)| {
                    stored.record.get(field).and_then(serde_json::Value::as_str) == Some(&*text)
                };
                if only_if.is_some_and(|condition| !is(condition)) {
                    return Err(RecordsError::Gone);
                }
                let hidden = take_hidden(entity, &mut fields);
                let updated = entity.schema.update(&stored.record, fields, &self.catalog, &Minted::default());
                let mut record = updated.map_err(from_schema)?;
                record.extend(hidden);
                let end = end(life).or(stored.expires_at_ms);
                transaction.update(entity, &record, end).await.map_err(from_store)?;
                Ok(Some(record))
            }
            Step::Delete { entity, id } => match transaction.delete(known(entity)?, id).await {
                Ok(true) => Ok(None),
                Ok(false) => Err(RecordsError::Gone),
                Err(error) => Err(from_store(error)),
            },
        }
    }
}

fn known(entity: &'static str) -> Result<&'static Entity, RecordsError> {
    weir_model::entity(entity).ok_or_else(|| RecordsError::Refused(format!("there are no {entity}")))
}

/// Takes the fields out that only the gateway itself sets.
fn take_hidden(entity: &Entity, fields: &mut Record) -> Record {
    let hidden = entity.schema.fields.list.iter().filter(|(_, field)| field.hidden);
    hidden.filter_map(|(name, _)| fields.shift_remove_entry(*name)).collect()
}

/// When something ends that lives so long from now, epoch milliseconds.
fn end(life: Option<Duration>) -> Option<i64> {
    life.map(|life| now_ms().saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX)))
}

fn from_schema(error: schema::Error) -> RecordsError {
    match error {
        schema::Error::Schema(violations) => RecordsError::Refused(violations.message()),
        schema::Error::Source(_) => RecordsError::NotReady,
    }
}

fn from_store(error: Error) -> RecordsError {
    match error {
        Error::Unique(_) | Error::PrimaryKey(_) | Error::Reference { .. } | Error::Referenced { .. } => {
            RecordsError::Refused(error.to_string())
        }
        Error::Random(_) => RecordsError::NotReady,
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
            RecordsError::Unavailable(error.to_string())
        }
    }
}
