-- Facts about the database itself.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY NOT NULL,
  value BLOB NOT NULL
) WITHOUT ROWID;

-- What changed, in the order in which it was committed. Old entries are dropped.
CREATE TABLE changes (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  entity   TEXT NOT NULL,
  id       BLOB NOT NULL
);

CREATE TABLE tags (
  tag    TEXT NOT NULL,
  entity TEXT NOT NULL,
  id     BLOB NOT NULL,
  PRIMARY KEY (tag, entity, id)
) WITHOUT ROWID;
CREATE INDEX tags_by_entity ON tags (entity, id);

CREATE TABLE services (
  id   BLOB PRIMARY KEY NOT NULL,
  body TEXT NOT NULL,
  name TEXT UNIQUE
);

CREATE TABLE routes (
  id         BLOB PRIMARY KEY NOT NULL,
  body       TEXT NOT NULL,
  name       TEXT UNIQUE,
  service_id BLOB REFERENCES services (id)
);
CREATE INDEX routes_by_service ON routes (service_id, id);

CREATE TABLE consumers (
  id        BLOB PRIMARY KEY NOT NULL,
  body      TEXT NOT NULL,
  username  TEXT UNIQUE,
  custom_id TEXT UNIQUE
);

CREATE TABLE plugins (
  id              BLOB PRIMARY KEY NOT NULL,
  body            TEXT NOT NULL,
  instance_name   TEXT UNIQUE,
  route_id        BLOB REFERENCES routes (id),
  service_id      BLOB REFERENCES services (id),
  consumer_id     BLOB REFERENCES consumers (id),
  unique_together TEXT NOT NULL UNIQUE
);
CREATE INDEX plugins_by_route ON plugins (route_id, id);
CREATE INDEX plugins_by_service ON plugins (service_id, id);
CREATE INDEX plugins_by_consumer ON plugins (consumer_id, id);

CREATE TABLE keyauth_credentials (
  id            BLOB PRIMARY KEY NOT NULL,
  body          TEXT NOT NULL,
  key_digest    BLOB UNIQUE,
  consumer_id   BLOB NOT NULL REFERENCES consumers (id),
  expires_at_ms INTEGER
);
CREATE INDEX keyauth_credentials_by_consumer ON keyauth_credentials (consumer_id, id);
CREATE INDEX keyauth_credentials_by_expiry ON keyauth_credentials (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE acls (
  id              BLOB PRIMARY KEY NOT NULL,
  body            TEXT NOT NULL,
  consumer_id     BLOB NOT NULL REFERENCES consumers (id),
  unique_together TEXT NOT NULL UNIQUE
);
CREATE INDEX acls_by_consumer ON acls (consumer_id, id);
