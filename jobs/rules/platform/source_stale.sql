-- ---
-- owner: platform
-- every: 5m
-- key: [source, name]
-- keep: 10m
-- new: notify("platform", "{source} {name} was last read at {last_at}: what the tables say about it is old. {reason}")
-- resolved: notify("platform", "{source} {name} is read again")
-- why: A table that nobody writes looks like a world without problems; this rule is why the others may be believed.
-- ---
WITH told AS (
  -- The API server is heard at least once a minute, be it that nothing changed.
  SELECT tenant, 'cluster' AS source, cluster AS name, min(contact_at) AS last_at, INTERVAL '15 minutes' AS patience, coalesce(max(last_failure), '') AS reason
  FROM k8s_watch WHERE state <> 'listed' GROUP BY tenant, cluster
  UNION ALL
  SELECT tenant, 'Azure DevOps' AS source, organization AS name, max(asked_at), INTERVAL '1 day', '' FROM ado_cursor GROUP BY tenant, organization
  UNION ALL
  -- Exports come once a day, and late on weekends.
  SELECT tenant, 'cost export' AS source, export AS name, max(ingested_at), INTERVAL '3 days', '' FROM cost_run
  WHERE submitted_at IS NOT NULL GROUP BY tenant, export
)
SELECT tenant, source, name, last_at, reason FROM told WHERE last_at < $now - patience
