CREATE TABLE ca_certificates (
  id          BLOB PRIMARY KEY NOT NULL,
  body        TEXT NOT NULL,
  cert_digest TEXT UNIQUE
);

CREATE TABLE mtls_auth_credentials (
  id                BLOB PRIMARY KEY NOT NULL,
  body              TEXT NOT NULL,
  consumer_id       BLOB NOT NULL REFERENCES consumers (id),
  ca_certificate_id BLOB REFERENCES ca_certificates (id),
  unique_together   TEXT NOT NULL UNIQUE
);
CREATE INDEX mtls_auth_credentials_by_consumer ON mtls_auth_credentials (consumer_id, id);
CREATE INDEX mtls_auth_credentials_by_ca_certificate ON mtls_auth_credentials (ca_certificate_id, id);
