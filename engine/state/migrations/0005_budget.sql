-- Budgets: what they are, what was spent of them, and what nodes may hand out. Amounts are whole units: 10⁻⁹ of a
-- currency, one token, one request.

CREATE TABLE budget (
    tenant      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    -- New whenever what was counted so far would mean something else.
    id          TEXT   NOT NULL UNIQUE,
    version     BIGINT NOT NULL,
    unit        TEXT   NOT NULL,
    limit_units BIGINT NOT NULL,
    kind        TEXT   NOT NULL CHECK (kind IN ('hard', 'soft')),
    scope       TEXT   NOT NULL,
    parent      TEXT,
    span        TEXT   NOT NULL,
    zone        TEXT   NOT NULL,
    starts_at   BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    definition  TEXT   NOT NULL,
    changed_at  BIGINT NOT NULL,
    changed_by  TEXT   NOT NULL,
    -- Counts grants; whoever grants locks the row by it.
    grants      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE quota (
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    definition TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT   NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE budget_revision (
    tenant     TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    kind       TEXT   NOT NULL CHECK (kind IN ('budget', 'quota')),
    version    BIGINT NOT NULL,
    action     TEXT   NOT NULL CHECK (action IN ('created', 'changed', 'deleted')),
    definition TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT   NOT NULL,
    PRIMARY KEY (tenant, name, kind, version)
);

-- One row; grows with every change of a definition, so that other nodes notice.
CREATE TABLE budget_edition (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    edition BIGINT NOT NULL
);

INSERT INTO budget_edition (one, edition) VALUES (1, 0);

CREATE TABLE budget_window (
    budget_id      TEXT   NOT NULL,
    starts_at      BIGINT NOT NULL,
    ends_at        BIGINT NOT NULL,
    tenant         TEXT   NOT NULL,
    budget         TEXT   NOT NULL,
    unit           TEXT   NOT NULL,
    spent_units    BIGINT NOT NULL DEFAULT 0,
    billed_units   BIGINT NOT NULL DEFAULT 0,
    reserved_units BIGINT NOT NULL DEFAULT 0,
    granted_units  BIGINT NOT NULL DEFAULT 0,
    overrun_units  BIGINT NOT NULL DEFAULT 0,
    charges        BIGINT NOT NULL DEFAULT 0,
    refusals       BIGINT NOT NULL DEFAULT 0,
    wanted_at      BIGINT NOT NULL DEFAULT 0,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (budget_id, starts_at)
);

CREATE INDEX budget_window_wanted ON budget_window (wanted_at);
CREATE INDEX budget_window_ends ON budget_window (budget_id, ends_at);

-- What one node may still hand out, or has reserved.
CREATE TABLE budget_slice (
    budget_id     TEXT   NOT NULL,
    starts_at     BIGINT NOT NULL,
    node          TEXT   NOT NULL,
    granted_units BIGINT NOT NULL,
    PRIMARY KEY (budget_id, starts_at, node)
);

CREATE INDEX budget_slice_node ON budget_slice (node);

CREATE TABLE budget_node (
    node       TEXT   NOT NULL PRIMARY KEY,
    home       TEXT   NOT NULL,
    started_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE budget_reservation (
    tenant      TEXT   NOT NULL,
    request_id  TEXT   NOT NULL,
    node        TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('open', 'posted', 'voided', 'expired')),
    amounts     TEXT   NOT NULL,
    posted      TEXT,
    legs        TEXT   NOT NULL,
    reserved_at BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    settled_at  BIGINT,
    PRIMARY KEY (tenant, request_id)
);

CREATE INDEX budget_reservation_node ON budget_reservation (node, state);
CREATE INDEX budget_reservation_settled ON budget_reservation (settled_at);

-- Reservations of a node that another one settled.
CREATE TABLE budget_notice (
    node       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (node, tenant, request_id)
);

-- What calls cost by day of the budget's zone, for the forecast.
CREATE TABLE budget_day (
    budget_id   TEXT   NOT NULL,
    starts_at   BIGINT NOT NULL,
    spent_units BIGINT NOT NULL,
    PRIMARY KEY (budget_id, starts_at)
);

-- What each data directory's bill adds to a window.
CREATE TABLE budget_billed (
    budget_id TEXT   NOT NULL,
    starts_at BIGINT NOT NULL,
    home      TEXT   NOT NULL,
    units     BIGINT NOT NULL,
    PRIMARY KEY (budget_id, starts_at, home)
);

CREATE TABLE budget_forecast (
    budget_id TEXT   NOT NULL PRIMARY KEY,
    tenant    TEXT   NOT NULL,
    starts_at BIGINT NOT NULL,
    p50_units BIGINT NOT NULL,
    p90_units BIGINT NOT NULL,
    days      BIGINT NOT NULL,
    made_at   BIGINT NOT NULL
);

CREATE TABLE budget_event (
    id              TEXT   NOT NULL PRIMARY KEY,
    tenant          TEXT   NOT NULL,
    budget          TEXT   NOT NULL,
    budget_id       TEXT   NOT NULL,
    window_start    BIGINT NOT NULL,
    kind            TEXT   NOT NULL,
    measure         TEXT,
    happened_at     BIGINT NOT NULL,
    event_count     BIGINT NOT NULL,
    unit            TEXT   NOT NULL,
    threshold_units BIGINT,
    limit_units     BIGINT NOT NULL,
    spent_units     BIGINT NOT NULL,
    reserved_units  BIGINT NOT NULL,
    details         TEXT
);

CREATE INDEX budget_event_budget ON budget_event (tenant, budget);
