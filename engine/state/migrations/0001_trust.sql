-- Tenants, the keys that speak for them, and the leases of the process's own work.
-- The SQL is what SQLite and PostgreSQL read alike: TEXT, BIGINT, BOOLEAN; instants are microseconds since 1970, UTC.

CREATE TABLE tenant (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_key (
    id           TEXT   NOT NULL PRIMARY KEY,
    tenant       TEXT   REFERENCES tenant (id),
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL CHECK (role IN ('platform', 'tenant')),
    hash         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT,
    -- A platform key speaks for no tenant, a tenant's key for exactly one.
    CHECK ((role = 'platform') = (tenant IS NULL))
);

CREATE INDEX api_key_tenant ON api_key (tenant);

CREATE TABLE lease (
    name       TEXT   NOT NULL PRIMARY KEY,
    holder     TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
