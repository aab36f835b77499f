-- Of the successful production deployments of a month, the share that incidents were laid to. A project without any
-- incident on record has no rate: whether it had none or tells none cannot be known.
WITH deployment AS (
  SELECT tenant, organization, project, deployment_id, environment, date_trunc('month', finished_at) AS month
  FROM dora_deployment
  WHERE is_production AND result = 'succeeded' AND finished_at IS NOT NULL
), failed AS (
  SELECT DISTINCT tenant, organization, project, deployment_id, environment FROM dora_incident WHERE deployment_id IS NOT NULL
), told AS (
  SELECT DISTINCT tenant, organization, project FROM dora_incident
), months AS (
  SELECT d.tenant, d.organization, d.project, d.month, count(*) AS deployments, count(f.deployment_id) AS failed_deployments,
    count(t.project) > 0 AS tells_incidents
  FROM deployment d
  LEFT JOIN failed f ON f.tenant = d.tenant AND f.organization = d.organization AND f.project = d.project
    AND f.deployment_id = d.deployment_id AND f.environment = d.environment
  LEFT JOIN told t ON t.tenant = d.tenant AND t.organization = d.organization AND t.project = d.project
  GROUP BY d.tenant, d.organization, d.project, d.month
), rates AS (
  SELECT *, CASE WHEN tells_incidents THEN CAST(failed_deployments AS DOUBLE) / deployments END AS rate FROM months
)
SELECT tenant, organization, project, month, deployments, failed_deployments, rate,
  CASE WHEN rate <= 0.05 THEN 'elite' WHEN rate <= 0.10 THEN 'high' WHEN rate <= 0.15 THEN 'medium'
    WHEN rate IS NOT NULL THEN 'low' END AS band
FROM rates
