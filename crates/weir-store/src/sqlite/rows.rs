//! Between rows and entities: secrets are sealed on the way in and opened on the way out.

use std::sync::Arc;

use sqlx::Row;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use weir_mint::{Uuid, slow};
use weir_model::{Catalog, Entity, Record};

use crate::table::{self, Column, Table};
use crate::{Digest, Error, Result, Sealer, SecretsAtRest, Stored, seal};

/// What it takes to read and write rows.
#[derive(Clone)]
pub(super) struct Codec {
    pub(super) sealer: Arc<Sealer>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) at_rest: SecretsAtRest,
}

impl Codec {
    /// The entity in a row of `id, body, expires, digest`.
    pub(super) fn decode(&self, entity: &'static Entity, row: &SqliteRow) -> Result<Stored> {
        let id = uuid(row.try_get::<&[u8], _>("id")?)?;
        let body: &str = row.try_get("body")?;
        let mut record: Record =
            serde_json::from_str(body).map_err(|e| Error::Corrupt(format!("{} {id}: {e}", entity.name)))?;
        entity.schema.secrets(&mut record, &self.catalog, &mut |path, _, value| -> Result<()> {
            if seal::is_sealed(value) {
                *value = self.sealer.open_value(&place(entity, id, path), value)?;
            }
            Ok(())
        })?;
        let digest = row.try_get::<Option<&[u8]>, _>("digest")?.and_then(|bytes| bytes.try_into().ok());
        Ok(Stored { id, record, expires_at_ms: row.try_get("expires")?, digest })
    }

    /// The record as JSON, with its secrets as they are at rest.
    pub(super) fn encode(&self, entity: &'static Entity, id: Uuid, record: &Record) -> Result<String> {
        let mut record = record.clone();
        entity.schema.secrets(&mut record, &self.catalog, &mut |path, field, value| -> Result<()> {
            *value = match self.at_rest {
                // There is nothing more to be had of it.
                _ if weir_mint::is_digest(value) => return Ok(()),
                SecretsAtRest::Plain => return Ok(()),
                // Nothing can be verified by the digest of a slow hash.
                SecretsAtRest::Digest if field.verifiable && !slow::is_client_secret_hash(value) => {
                    self.sealer.digester().keep(value)
                }
                SecretsAtRest::Digest | SecretsAtRest::Encrypted => {
                    self.sealer.seal(&place(entity, id, path), value)?
                }
            };
            Ok(())
        })?;
        serde_json::to_string(&record).map_err(|e| Error::Corrupt(e.to_string()))
    }

    /// The digest that a secret of a record is looked up by.
    pub(super) fn digest(&self, secret: &str) -> Digest {
        self.sealer.digester().digest_of_kept(secret)
    }

    /// Binds the columns of a table after the id and the body.
    pub(super) fn bind<'q>(
        &self,
        mut query: Query<'q, Sqlite, SqliteArguments>,
        table: &Table,
        record: &Record,
        expires_at_ms: Option<i64>,
    ) -> Result<Query<'q, Sqlite, SqliteArguments>> {
        for column in &table.columns {
            query = match column {
                Column::Text(field) => query.bind(table::text(record, field).map(str::to_owned)),
                Column::Digest(field) => {
                    query.bind(table::text(record, field).map(|t| self.digest(t).to_vec()))
                }
                Column::Reference(field, _) => query.bind(
                    table::reference(record, field).map(parse).transpose()?.map(|id| id.as_bytes().to_vec()),
                ),
                Column::Together => query.bind(table::together(table.entity, record)),
                Column::ExpiresAt => query.bind(expires_at_ms),
            };
        }
        Ok(query)
    }
}

/// Where a secret stands, which its seal is bound to.
fn place(entity: &Entity, id: Uuid, path: &str) -> String {
    format!("{}/{id}/{path}", entity.name)
}

/// The primary key of a record.
pub(super) fn id_of(record: &Record) -> Result<Uuid> {
    parse(table::text(record, "id").unwrap_or_default())
}

/// A primary key that validation let through.
pub(super) fn parse(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::Corrupt(format!("'{text}' is no primary key")))
}

/// A primary key in a row.
pub(super) fn uuid(bytes: &[u8]) -> Result<Uuid> {
    let bytes =
        bytes.try_into().map_err(|_| Error::Corrupt("a primary key that is not 16 bytes long".to_owned()))?;
    Ok(Uuid::from_bytes(bytes))
}
