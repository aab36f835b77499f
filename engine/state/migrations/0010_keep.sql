-- What is kept how long, what is held, and what was erased. Instants are microseconds since 1970, UTC.

CREATE TABLE legal_hold (
    id             TEXT   NOT NULL PRIMARY KEY,
    tables         TEXT   NOT NULL,
    tenant         TEXT,
    -- The values of the subject, sealed so that a search of the files does not find them; null once it is released.
    subject        TEXT,
    about_subject  BOOLEAN NOT NULL,
    reason         TEXT   NOT NULL,
    placed_by      TEXT   NOT NULL,
    placed_at      BIGINT NOT NULL,
    released_by    TEXT,
    released_at    BIGINT,
    release_reason TEXT
);

CREATE TABLE retention_status (
    table_name   TEXT   NOT NULL PRIMARY KEY,
    keep         TEXT   NOT NULL,
    origin       TEXT   NOT NULL,
    stored_rows  BIGINT NOT NULL,
    size_bytes   BIGINT NOT NULL,
    due_rows     BIGINT NOT NULL,
    due_bytes    BIGINT NOT NULL,
    held_rows    BIGINT NOT NULL,
    holds        TEXT   NOT NULL,
    deleted_rows BIGINT NOT NULL,
    deleted_at   BIGINT,
    checked_at   BIGINT NOT NULL
);

CREATE TABLE erasure (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant       TEXT,
    state        TEXT   NOT NULL CHECK (state IN ('planned', 'approved', 'running', 'done', 'cancelled')),
    reason       TEXT   NOT NULL,
    requested_by TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    approved_by  TEXT,
    approved_at  BIGINT,
    started_at   BIGINT,
    ended_at     BIGINT,
    -- SHA-256 over the salt and the values. Whoever has the salt can show whom the row is about.
    commitment   TEXT   NOT NULL,
    plan         TEXT   NOT NULL,
    proof        TEXT,
    -- The values, sealed in the same way, and the salt of the commitment; both go when it is done.
    subject      TEXT,
    salt         TEXT
);
