-- What went wrong in production: work items of the type Incident, and those that are tagged `incident`. Each is laid to the
-- last successful production deployment of its project before it was made.
WITH incident AS (
  SELECT tenant, organization, project, id, title, state, created_date AS created_at, closed_date AS resolved_at
  FROM ado_work_item
  WHERE NOT is_deleted AND (lower(work_item_type) = 'incident' OR regexp_like(coalesce(tag_names, ''), '(^|;)\s*incident\s*(;|$)', 'i'))
), laid AS (
  SELECT i.tenant, i.organization, i.project, i.id, max(d.finished_at) AS deployed_at,
    last_value(d.deployment_id ORDER BY d.finished_at) AS deployment_id,
    last_value(d.environment ORDER BY d.finished_at) AS environment
  FROM incident i
  JOIN dora_deployment d ON d.tenant = i.tenant AND d.organization = i.organization AND d.project = i.project
    AND d.is_production AND d.result = 'succeeded' AND d.finished_at <= i.created_at
  GROUP BY i.tenant, i.organization, i.project, i.id
)
SELECT i.tenant, i.organization, i.project, i.id, i.title, i.state, i.created_at, i.resolved_at, l.deployment_id, l.environment,
  l.deployed_at,
  CASE WHEN l.deployed_at <= i.resolved_at
    THEN (CAST(i.resolved_at AS BIGINT) - CAST(l.deployed_at AS BIGINT) + 59999999) / 60000000 END AS recovery_minutes
FROM incident i
LEFT JOIN laid l ON l.tenant = i.tenant AND l.organization = i.organization AND l.project = i.project AND l.id = i.id
