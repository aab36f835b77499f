-- Flows: jobs of several steps that wait, are undone and are voted on; limits on kinds of jobs.
-- A check cannot be widened in place on both databases, so `job` and `effect` are made anew with their rows.

CREATE TABLE job_new (
    id           TEXT    NOT NULL PRIMARY KEY,
    queue        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    arguments    TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('ready', 'running', 'waiting', 'dead')),
    priority     BIGINT  NOT NULL,
    run_at       BIGINT  NOT NULL,
    attempt      BIGINT  NOT NULL,
    attempts_max BIGINT  NOT NULL,
    lease_until  BIGINT,
    owner        TEXT,
    dedupe       TEXT    NOT NULL UNIQUE,
    cause        TEXT,
    error        TEXT,
    created_at   BIGINT  NOT NULL,
    tenant       TEXT,
    -- The flow that waits for it.
    parent       TEXT,
    requester    TEXT,
    -- Which time a flow runs; a replay after its steps were undone is another one.
    round        BIGINT  NOT NULL DEFAULT 1,
    paused       BOOLEAN NOT NULL DEFAULT false,
    -- Why it is to end.
    cancel       TEXT,
    -- Grows with everything that a waiting job may have waited for; who parks a job says how much of it was seen.
    wakes        BIGINT  NOT NULL DEFAULT 0
);

INSERT INTO job_new (id, queue, kind, arguments, state, priority, run_at, attempt, attempts_max, lease_until, owner, dedupe, cause, error, created_at)
SELECT id, queue, kind, arguments, state, priority, run_at, attempt, attempts_max, lease_until, owner, dedupe, cause, error, created_at FROM job;

DROP TABLE job;

ALTER TABLE job_new RENAME TO job;

CREATE INDEX job_ready ON job (priority, run_at, id) WHERE state = 'ready';
CREATE INDEX job_leased ON job (lease_until) WHERE state = 'running';
CREATE INDEX job_waiting ON job (run_at) WHERE state = 'waiting';
CREATE INDEX job_parent ON job (parent) WHERE parent IS NOT NULL;

ALTER TABLE job_done ADD COLUMN tenant TEXT;
ALTER TABLE job_done ADD COLUMN parent TEXT;
ALTER TABLE job_done ADD COLUMN requester TEXT;
ALTER TABLE job_done ADD COLUMN round BIGINT NOT NULL DEFAULT 1;
ALTER TABLE job_done ADD COLUMN output TEXT;

CREATE TABLE effect_new (
    dedupe       TEXT   NOT NULL PRIMARY KEY,
    job          TEXT   NOT NULL,
    step         TEXT,
    attempt      BIGINT NOT NULL,
    class        TEXT   NOT NULL DEFAULT 'keyed' CHECK (class IN ('natural', 'keyed', 'once')),
    target       TEXT   NOT NULL,
    request_hash TEXT,
    state        TEXT   NOT NULL CHECK (state IN ('intent', 'done', 'unknown', 'failed')),
    response     TEXT,
    at           BIGINT NOT NULL
);

INSERT INTO effect_new (dedupe, job, attempt, target, state, response, at)
SELECT dedupe, job, attempt, target, state, response, at FROM effect;

DROP TABLE effect;

ALTER TABLE effect_new RENAME TO effect;

CREATE INDEX effect_job ON effect (job);

-- One step of a flow: its checkpoint, and how it is undone. The compensation is there before the act is.
CREATE TABLE step (
    job          TEXT   NOT NULL,
    round        BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    place        BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('running', 'retrying', 'waiting', 'unknown', 'done', 'failed', 'cancelled')),
    attempt      BIGINT NOT NULL,
    run_at       BIGINT,
    input        TEXT   NOT NULL,
    output       TEXT,
    error        TEXT,
    undo         TEXT,
    undo_state   TEXT   CHECK (undo_state IN ('recorded', 'running', 'retrying', 'done', 'failed')),
    undo_attempt BIGINT NOT NULL,
    undo_run_at  BIGINT,
    undo_error   TEXT,
    began_at     BIGINT NOT NULL,
    ended_at     BIGINT,
    PRIMARY KEY (job, round, name)
);

CREATE TABLE signal (
    id      TEXT   NOT NULL PRIMARY KEY,
    job     TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    payload TEXT   NOT NULL,
    sender  TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    -- The step that took it.
    step    TEXT
);

CREATE INDEX signal_job ON signal (job);

CREATE TABLE approval (
    id          TEXT   NOT NULL PRIMARY KEY,
    job         TEXT   NOT NULL,
    round       BIGINT NOT NULL,
    step        TEXT   NOT NULL,
    tenant      TEXT,
    ask         TEXT   NOT NULL,
    voters      TEXT   NOT NULL,
    quorum      BIGINT NOT NULL CHECK (quorum > 0),
    requester   TEXT   NOT NULL,
    deadline    BIGINT NOT NULL,
    decision    TEXT   CHECK (decision IN ('approved', 'denied', 'withdrawn')),
    reason      TEXT,
    decided_at  BIGINT,
    created_at  BIGINT NOT NULL,
    UNIQUE (job, round, step)
);

CREATE TABLE vote (
    approval TEXT    NOT NULL,
    voter    TEXT    NOT NULL,
    yes      BOOLEAN NOT NULL,
    why      TEXT,
    at       BIGINT  NOT NULL,
    PRIMARY KEY (approval, voter)
);

-- How fast jobs of a kind, of a tenant, or of both may begin, by GCRA: `free_at` is the theoretical time of the next one.
-- The empty text stands for every kind or tenant.
CREATE TABLE job_limit (
    kind        TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    interval_us BIGINT,
    burst       BIGINT,
    free_at     BIGINT  NOT NULL,
    paused      BOOLEAN NOT NULL,
    PRIMARY KEY (kind, tenant)
);
