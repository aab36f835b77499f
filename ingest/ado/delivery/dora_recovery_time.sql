-- From the end of the deployment that an incident was laid to, to the incident's resolution; the lower median of a month.
WITH resolved AS (
  SELECT tenant, organization, project, date_trunc('month', deployed_at) AS month, recovery_minutes,
    row_number() OVER (PARTITION BY tenant, organization, project, date_trunc('month', deployed_at) ORDER BY recovery_minutes) AS place,
    count(*) OVER (PARTITION BY tenant, organization, project, date_trunc('month', deployed_at)) AS incidents
  FROM dora_incident
  WHERE recovery_minutes IS NOT NULL
)
SELECT tenant, organization, project, month, incidents, recovery_minutes AS median_recovery_minutes,
  CASE WHEN recovery_minutes < 60 THEN 'elite' WHEN recovery_minutes < 1440 THEN 'high'
    WHEN recovery_minutes < 10080 THEN 'medium' ELSE 'low' END AS band
FROM resolved
WHERE place = (incidents + 1) / 2
