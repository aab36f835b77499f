-- Keys with scopes, teams, roles and an end; the directory of who and what there is, with its history; who may see what.

CREATE TABLE api_key_next (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant       TEXT   REFERENCES tenant (id),
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL CHECK (role IN ('platform', 'tenant', 'granted')),
    scopes       TEXT   NOT NULL,
    teams        TEXT   NOT NULL,
    roles        TEXT   NOT NULL,
    hash         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT,
    rotated_from TEXT,
    rotated_to   TEXT,
    revoked_at   BIGINT,
    -- A tenant's key speaks for exactly one tenant, the others for none of their own.
    CHECK ((role = 'tenant') = (tenant IS NOT NULL))
);

INSERT INTO api_key_next (id, tenant, name, role, scopes, teams, roles, hash, created_at, last_used_at, revoked_at)
SELECT id, tenant, name, role, CASE WHEN role = 'platform' THEN 'admin' ELSE 'read write' END, '', '', hash, created_at,
       last_used_at, revoked_at
FROM api_key;

DROP TABLE api_key;

ALTER TABLE api_key_next RENAME TO api_key;

CREATE INDEX api_key_tenant ON api_key (tenant);

ALTER TABLE tenant ADD COLUMN ended_at BIGINT;

-- One row for everything that the directory knows. What is the platform's own has the tenant 'platform', which no tenant is.
CREATE TABLE directory_entity (
    tenant      TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    title       TEXT,
    description TEXT,
    owner       TEXT,
    spec        TEXT   NOT NULL,
    labels      TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

CREATE TABLE team_member (
    tenant TEXT NOT NULL,
    team   TEXT NOT NULL,
    member TEXT NOT NULL,
    role   TEXT NOT NULL,
    PRIMARY KEY (tenant, team, member)
);

-- By tenant that may be seen: whoever the grantee is reads (or writes) its rows.
CREATE TABLE tenant_grant (
    tenant  TEXT NOT NULL,
    grantee TEXT NOT NULL,
    access  TEXT NOT NULL CHECK (access IN ('read', 'write')),
    source  TEXT NOT NULL,
    PRIMARY KEY (tenant, grantee, source)
);

CREATE INDEX tenant_grant_grantee ON tenant_grant (grantee);

CREATE TABLE directory_head (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO directory_head (id, version) VALUES (1, 0);

CREATE TABLE directory_version (
    version BIGINT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    origin  TEXT   NOT NULL,
    hash    TEXT   NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    deleted BIGINT NOT NULL
);

CREATE TABLE directory_change (
    version BIGINT NOT NULL,
    tenant  TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    id      TEXT   NOT NULL,
    action  TEXT   NOT NULL CHECK (action IN ('create', 'change', 'delete')),
    at      BIGINT NOT NULL,
    before  TEXT,
    after   TEXT,
    PRIMARY KEY (version, tenant, kind, id)
);

CREATE INDEX directory_change_of ON directory_change (tenant, kind, id, version);
