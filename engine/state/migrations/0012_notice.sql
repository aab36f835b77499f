-- What keeps messages of rules back, and who knows of a row already. Instants are microseconds since 1970, UTC.

CREATE TABLE silence (
    id         TEXT   NOT NULL PRIMARY KEY,
    -- A rule's name; a `*` at its end stands for any rest.
    rule       TEXT   NOT NULL,
    -- Cells that a row must have, a JSON object of texts.
    cells      TEXT   NOT NULL,
    starts_at  BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    who        TEXT   NOT NULL,
    why        TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX silence_ends ON silence (ends_at);

CREATE TABLE acknowledgement (
    rule  TEXT   NOT NULL,
    key   TEXT   NOT NULL,
    epoch BIGINT NOT NULL,
    who   TEXT   NOT NULL,
    why   TEXT,
    at    BIGINT NOT NULL,
    PRIMARY KEY (rule, key, epoch)
);

CREATE TABLE escalation (
    rule  TEXT   NOT NULL,
    key   TEXT   NOT NULL,
    epoch BIGINT NOT NULL,
    route TEXT   NOT NULL,
    step  BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    PRIMARY KEY (rule, key, epoch, route, step)
);
