-- The audit log: rows in order, the tree over them, and what is needed to append. Rows are written once.

CREATE TABLE audit_head (
    id   BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    log  TEXT,            -- Tells this log from every other; given by the first process that opens it.
    size BIGINT NOT NULL,
    peaks TEXT  NOT NULL, -- Roots of the perfect subtrees, the largest first, hexadecimal, divided by blanks.
    root TEXT   NOT NULL,
    at   BIGINT NOT NULL
);

INSERT INTO audit_head (id, log, size, peaks, root, at)
VALUES (1, NULL, 0, '', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);

CREATE TABLE audit (
    seq                  BIGINT NOT NULL PRIMARY KEY,
    at                   BIGINT NOT NULL,
    tenant               TEXT,
    actor                TEXT,
    on_behalf_of         TEXT,
    personal             TEXT,
    action               TEXT   NOT NULL,
    subject              TEXT   NOT NULL,
    reason               TEXT,
    outcome              TEXT   NOT NULL,
    occurrences          BIGINT NOT NULL,
    trace_id             TEXT,
    detail               TEXT,
    actor_commitment     TEXT,
    on_behalf_commitment TEXT,
    personal_commitment  TEXT,
    leaf_hash            TEXT   NOT NULL
);

CREATE INDEX audit_tenant ON audit (tenant, seq);

-- Apart from the rows, so that a salt can go and leave the row as it is.
CREATE TABLE audit_salt (
    seq   BIGINT NOT NULL,
    field TEXT   NOT NULL,
    salt  TEXT   NOT NULL,
    PRIMARY KEY (seq, field)
);

-- The root after every group of rows that became durable together.
CREATE TABLE audit_commit (
    size BIGINT NOT NULL PRIMARY KEY,
    root TEXT   NOT NULL,
    at   BIGINT NOT NULL
);

-- Whole segments of 4096 rows: sealed when the last row came, retired when their rows lie in a file instead.
CREATE TABLE audit_segment (
    segment    BIGINT NOT NULL PRIMARY KEY,
    root       TEXT   NOT NULL,
    sealed_at  BIGINT NOT NULL,
    retired_at BIGINT,
    retired_to TEXT
);

-- Signed roots that were put somewhere.
CREATE TABLE audit_root (
    size        BIGINT NOT NULL,
    destination TEXT   NOT NULL,
    root        TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    signature   TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (destination, size)
);
