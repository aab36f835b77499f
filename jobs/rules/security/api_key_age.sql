-- ---
-- owner: platform
-- cron: 0 8 * * 1-5 Europe/Berlin
-- key: [id]
-- watch: [level]
-- new: notify("platform", "the key {name} ({id}, {role}, tenant {tenant}): {level}; `stellwerk key rotate {id}` makes its successor")
-- changed: notify("platform", "the key {name} ({id}): {level}")
-- why: A key that ends tomorrow stops somebody's pipeline, and one that never ends is in somebody's shell history.
-- ---
WITH told AS (
  SELECT id, tenant, name, role, scopes, created_at, expires_at, last_used_at,
    CASE
      WHEN expires_at < $now + INTERVAL '14 days' THEN 'it ends within two weeks'
      WHEN created_at < $now - INTERVAL '365 days' AND expires_at IS NULL THEN 'it is older than a year and has no end'
      WHEN coalesce(last_used_at, created_at) < $now - INTERVAL '90 days' THEN 'nobody has used it for three months'
    END AS level
  FROM api_key
  WHERE revoked_at IS NULL AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > $now)
)
SELECT id, coalesce(tenant, 'platform') AS tenant, name, role, scopes, level, created_at, expires_at, last_used_at FROM told WHERE level IS NOT NULL
