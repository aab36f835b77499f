-- Copies of held rows outside the store. Instants are microseconds since 1970, UTC.

CREATE TABLE hold_copy (
    id           TEXT   NOT NULL PRIMARY KEY,
    hold         TEXT   NOT NULL,
    destination  TEXT   NOT NULL,
    path         TEXT   NOT NULL,
    sha256       TEXT   NOT NULL,
    stored_rows  BIGINT NOT NULL,
    files        BIGINT NOT NULL,
    size_bytes   BIGINT NOT NULL,
    made_by      TEXT   NOT NULL,
    made_at      BIGINT NOT NULL,
    lock_mode    TEXT,
    locked_until BIGINT
);
