-- Who did what to which credential. Nothing in it is ever changed or deleted.
CREATE TABLE credential_audit (
  sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms       INTEGER NOT NULL,
  actor       TEXT NOT NULL,
  action      TEXT NOT NULL,
  entity      TEXT NOT NULL,
  id          BLOB NOT NULL,
  consumer_id BLOB
);
CREATE INDEX credential_audit_by_id ON credential_audit (id, sequence);
CREATE INDEX credential_audit_by_consumer ON credential_audit (consumer_id, sequence);
CREATE TRIGGER credential_audit_is_not_changed BEFORE UPDATE ON credential_audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER credential_audit_is_not_deleted BEFORE DELETE ON credential_audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER credential_audit_is_not_replaced BEFORE INSERT ON credential_audit
WHEN EXISTS (SELECT 1 FROM credential_audit WHERE sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- When a credential was last good for something. Written every now and then, not with each request.
CREATE TABLE credential_usage (
  id           BLOB PRIMARY KEY NOT NULL,
  last_used_ms INTEGER NOT NULL
) WITHOUT ROWID;
