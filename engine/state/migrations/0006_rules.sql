-- Rules, what they track, their runs, and the jobs that follow from them.
-- Instants are microseconds since 1970, UTC; a run's difference, its jobs and its record are one transaction.

CREATE TABLE rule (
    name        TEXT    NOT NULL PRIMARY KEY,
    version     TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    why         TEXT,
    text        TEXT    NOT NULL,
    enabled     BOOLEAN NOT NULL,
    next_at     BIGINT,
    last_tick   BIGINT,
    held_reason TEXT,
    released    BOOLEAN NOT NULL,
    -- When the rate of its actions allows the next one at the earliest.
    rate_at     BIGINT,
    loaded_at   BIGINT  NOT NULL
);

CREATE INDEX rule_next ON rule (next_at);

CREATE TABLE rule_run (
    rule          TEXT   NOT NULL,
    tick          BIGINT NOT NULL,
    version       TEXT   NOT NULL,
    status        TEXT   NOT NULL CHECK (status IN ('done', 'held', 'error')),
    query_id      TEXT,
    rows          BIGINT NOT NULL,
    rows_new      BIGINT NOT NULL,
    rows_changed  BIGINT NOT NULL,
    rows_resolved BIGINT NOT NULL,
    result        TEXT,
    error         TEXT,
    began_at      BIGINT NOT NULL,
    ended_at      BIGINT NOT NULL,
    PRIMARY KEY (rule, tick)
);

CREATE TABLE rule_row (
    rule     TEXT   NOT NULL,
    key      TEXT   NOT NULL,
    state    TEXT   NOT NULL CHECK (state IN ('pending', 'firing', 'clearing')),
    epoch    BIGINT NOT NULL,
    watch    TEXT   NOT NULL,
    since    BIGINT NOT NULL,
    flaps    BIGINT NOT NULL,
    data     TEXT   NOT NULL,
    PRIMARY KEY (rule, key)
);

CREATE TABLE job (
    id           TEXT   NOT NULL PRIMARY KEY,
    queue        TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    arguments    TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('ready', 'running', 'dead')),
    priority     BIGINT NOT NULL,
    run_at       BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    attempts_max BIGINT NOT NULL,
    lease_until  BIGINT,
    owner        TEXT,
    dedupe       TEXT   NOT NULL UNIQUE,
    cause        TEXT,
    error        TEXT,
    created_at   BIGINT NOT NULL
);

CREATE INDEX job_ready ON job (priority, run_at, id) WHERE state = 'ready';
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'running';

-- What has ended: the hot table holds live work only. Its dedupe key outlives it.
CREATE TABLE job_done (
    id         TEXT   NOT NULL PRIMARY KEY,
    queue      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    arguments  TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('done', 'cancelled')),
    attempt    BIGINT NOT NULL,
    dedupe     TEXT   NOT NULL UNIQUE,
    cause      TEXT,
    error      TEXT,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL
);

CREATE INDEX job_done_ended ON job_done (ended_at);

-- An effect on the world: its intent is durable before the call, what came of it after.
CREATE TABLE effect (
    dedupe     TEXT   NOT NULL PRIMARY KEY,
    job        TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    target     TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('intent', 'done', 'unknown')),
    response   TEXT,
    at         BIGINT NOT NULL
);
