CREATE TABLE basicauth_credentials (
  id          BLOB PRIMARY KEY NOT NULL,
  body        TEXT NOT NULL,
  username    TEXT UNIQUE,
  consumer_id BLOB NOT NULL REFERENCES consumers (id)
);
CREATE INDEX basicauth_credentials_by_consumer ON basicauth_credentials (consumer_id, id);

CREATE TABLE hmacauth_credentials (
  id          BLOB PRIMARY KEY NOT NULL,
  body        TEXT NOT NULL,
  username    TEXT UNIQUE,
  consumer_id BLOB NOT NULL REFERENCES consumers (id)
);
CREATE INDEX hmacauth_credentials_by_consumer ON hmacauth_credentials (consumer_id, id);

CREATE TABLE jwt_secrets (
  id          BLOB PRIMARY KEY NOT NULL,
  body        TEXT NOT NULL,
  key         TEXT UNIQUE,
  consumer_id BLOB NOT NULL REFERENCES consumers (id)
);
CREATE INDEX jwt_secrets_by_consumer ON jwt_secrets (consumer_id, id);

CREATE TABLE oauth2_credentials (
  id          BLOB PRIMARY KEY NOT NULL,
  body        TEXT NOT NULL,
  client_id   TEXT UNIQUE,
  consumer_id BLOB NOT NULL REFERENCES consumers (id)
);
CREATE INDEX oauth2_credentials_by_consumer ON oauth2_credentials (consumer_id, id);

CREATE TABLE oauth2_authorization_codes (
  id            BLOB PRIMARY KEY NOT NULL,
  body          TEXT NOT NULL,
  code_digest   BLOB UNIQUE,
  service_id    BLOB REFERENCES services (id),
  credential_id BLOB NOT NULL REFERENCES oauth2_credentials (id),
  plugin_id     BLOB REFERENCES plugins (id),
  expires_at_ms INTEGER
);
CREATE INDEX oauth2_authorization_codes_by_service ON oauth2_authorization_codes (service_id, id);
CREATE INDEX oauth2_authorization_codes_by_credential ON oauth2_authorization_codes (credential_id, id);
CREATE INDEX oauth2_authorization_codes_by_plugin ON oauth2_authorization_codes (plugin_id, id);
CREATE INDEX oauth2_authorization_codes_by_expiry ON oauth2_authorization_codes (expires_at_ms)
  WHERE expires_at_ms IS NOT NULL;

CREATE TABLE oauth2_tokens (
  id                   BLOB PRIMARY KEY NOT NULL,
  body                 TEXT NOT NULL,
  access_token_digest  BLOB UNIQUE,
  refresh_token_digest BLOB UNIQUE,
  service_id           BLOB REFERENCES services (id),
  credential_id        BLOB NOT NULL REFERENCES oauth2_credentials (id),
  expires_at_ms        INTEGER
);
CREATE INDEX oauth2_tokens_by_service ON oauth2_tokens (service_id, id);
CREATE INDEX oauth2_tokens_by_credential ON oauth2_tokens (credential_id, id);
CREATE INDEX oauth2_tokens_by_expiry ON oauth2_tokens (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE sessions (
  id                BLOB PRIMARY KEY NOT NULL,
  body              TEXT NOT NULL,
  session_id_digest BLOB UNIQUE,
  expires_at_ms     INTEGER
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
