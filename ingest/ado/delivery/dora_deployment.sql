-- One row per deployment. Records of one run to one environment are one deployment, as are attempts of one release to one
-- of its environments: it ends with the last of them.
WITH told AS (
  SELECT tenant, organization, project_id, project, 'environment' AS source_kind, environment,
    CAST(run_id AS VARCHAR) AS deployment_id, run_id, definition, result, start_time AS started_at, finish_time AS finished_at
  FROM ado_environment_deployment
  UNION ALL
  SELECT tenant, organization, project_id, project, 'release', environment,
    'release ' || CAST(release_id AS VARCHAR), NULL, definition,
    CASE deployment_status WHEN 'succeeded' THEN 'succeeded' WHEN 'failed' THEN 'failed'
      WHEN 'partiallySucceeded' THEN 'partiallySucceeded' END,
    started_on, completed_on
  FROM ado_release_deployment
), one AS (
  SELECT tenant, organization, project_id, max(project) AS project, source_kind, environment, deployment_id,
    max(run_id) AS run_id, max(definition) AS definition, min(started_at) AS started_at,
    CASE WHEN count(*) = count(finished_at) THEN max(finished_at) END AS finished_at,
    CASE
      WHEN count(*) > count(result) THEN NULL
      -- A classic release may be tried again: what its last attempt says counts.
      WHEN source_kind = 'release' THEN last_value(result ORDER BY started_at)
      WHEN count(*) = count(*) FILTER (WHERE result = 'succeeded') THEN 'succeeded'
      WHEN count(*) FILTER (WHERE result = 'failed') > 0 THEN 'failed'
      ELSE last_value(result ORDER BY started_at)
    END AS result
  FROM told
  GROUP BY tenant, organization, project_id, source_kind, environment, deployment_id
)
SELECT one.tenant, one.organization, one.project_id, one.project, one.source_kind, one.environment,
  -- DevLake's default: the name says it.
  regexp_like(one.environment, 'prod', 'i') AS is_production,
  one.deployment_id, one.run_id, one.definition, b.repository_id, b.repository, b.source_branch AS ref_name,
  b.source_version AS commit_id, one.result, one.started_at, one.finished_at
FROM one
LEFT JOIN ado_build b ON b.tenant = one.tenant AND b.organization = one.organization AND b.id = one.run_id
