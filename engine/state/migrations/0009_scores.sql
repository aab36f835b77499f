-- Scorecards: what was evaluated, what every check says about everybody, since when, and what need not be passed.
-- Instants are microseconds since 1970, UTC; all that an evaluation changes is one transaction.

CREATE TABLE scorecard (
    name        TEXT   NOT NULL PRIMARY KEY,
    version     TEXT   NOT NULL,
    title       TEXT   NOT NULL,
    owner       TEXT   NOT NULL,
    why         TEXT,
    entity_kind TEXT   NOT NULL,
    levels      TEXT   NOT NULL,
    text        TEXT   NOT NULL,
    last_tick   BIGINT,
    seen_seq    BIGINT NOT NULL,
    loaded_at   BIGINT NOT NULL
);

CREATE TABLE scorecard_check (
    scorecard    TEXT   NOT NULL,
    check_id     TEXT   NOT NULL,
    number       BIGINT NOT NULL,
    rule_version TEXT   NOT NULL,
    level        TEXT   NOT NULL,
    weight       BIGINT NOT NULL,
    title        TEXT   NOT NULL,
    why          TEXT,
    sql          TEXT   NOT NULL,
    since        BIGINT NOT NULL,
    until        BIGINT,
    PRIMARY KEY (scorecard, check_id, number)
);

CREATE TABLE score_entity (
    scorecard         TEXT   NOT NULL,
    tenant            TEXT   NOT NULL,
    entity            TEXT   NOT NULL,
    entity_kind       TEXT   NOT NULL,
    title             TEXT,
    owner             TEXT,
    level             TEXT   NOT NULL,
    top_level         TEXT   NOT NULL,
    level_last_change BIGINT NOT NULL,
    since             BIGINT NOT NULL,
    PRIMARY KEY (scorecard, tenant, entity)
);

CREATE TABLE score_result (
    scorecard          TEXT   NOT NULL,
    tenant             TEXT   NOT NULL,
    entity             TEXT   NOT NULL,
    check_id           TEXT   NOT NULL,
    title              TEXT   NOT NULL,
    level              TEXT   NOT NULL,
    level_order        BIGINT NOT NULL,
    level_below        TEXT   NOT NULL,
    weight             BIGINT NOT NULL,
    result             TEXT   NOT NULL CHECK (result IN ('pass', 'fail', 'unknown', 'not_applicable')),
    evidence           TEXT,
    observed_at        BIGINT,
    rule_version       TEXT   NOT NULL,
    result_last_change BIGINT NOT NULL,
    PRIMARY KEY (scorecard, tenant, entity, check_id)
);

CREATE TABLE score_history (
    scorecard     TEXT   NOT NULL,
    tenant        TEXT   NOT NULL,
    entity        TEXT   NOT NULL,
    check_id      TEXT   NOT NULL,
    happened_at   BIGINT NOT NULL,
    result_before TEXT,
    result        TEXT   NOT NULL,
    evidence      TEXT,
    rule_version  TEXT   NOT NULL,
    PRIMARY KEY (scorecard, tenant, entity, check_id, happened_at)
);

CREATE TABLE score_level_history (
    scorecard     TEXT             NOT NULL,
    tenant        TEXT             NOT NULL,
    entity        TEXT             NOT NULL,
    happened_at   BIGINT           NOT NULL,
    level_before  TEXT,
    level         TEXT             NOT NULL,
    score_percent DOUBLE PRECISION,
    PRIMARY KEY (scorecard, tenant, entity, happened_at)
);

CREATE TABLE score_exemption (
    id           TEXT   NOT NULL PRIMARY KEY,
    scorecard    TEXT   NOT NULL,
    tenant       TEXT   NOT NULL,
    entity       TEXT   NOT NULL,
    check_id     TEXT   NOT NULL,
    reason       TEXT   NOT NULL,
    requester    TEXT   NOT NULL,
    requested_at BIGINT NOT NULL,
    days         BIGINT NOT NULL CHECK (days > 0),
    decision     TEXT CHECK (decision IN ('approved', 'denied')),
    approver     TEXT CHECK (approver <> requester),
    decided_at   BIGINT,
    expires_at   BIGINT,
    revoked_by   TEXT,
    revoked_at   BIGINT
);

CREATE INDEX score_exemption_of ON score_exemption (scorecard, tenant, entity, check_id);

CREATE TABLE score_run (
    scorecard       TEXT   NOT NULL,
    tick            BIGINT NOT NULL,
    version         TEXT   NOT NULL,
    status          TEXT   NOT NULL CHECK (status IN ('done', 'error')),
    entities        BIGINT NOT NULL,
    facts_asked     BIGINT NOT NULL,
    results_changed BIGINT NOT NULL,
    error           TEXT,
    began_at        BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,
    PRIMARY KEY (scorecard, tick)
);
