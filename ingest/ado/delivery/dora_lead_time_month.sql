-- The lower median over the pull requests whose first production deployment ended in the month.
WITH done AS (
  SELECT tenant, organization, project, date_trunc('month', deployed_at) AS month, lead_time_minutes,
    row_number() OVER (PARTITION BY tenant, organization, project, date_trunc('month', deployed_at) ORDER BY lead_time_minutes) AS place,
    count(*) OVER (PARTITION BY tenant, organization, project, date_trunc('month', deployed_at)) AS pull_requests
  FROM dora_lead_time
  WHERE lead_time_minutes IS NOT NULL
)
SELECT tenant, organization, project, month, pull_requests, lead_time_minutes AS median_lead_time_minutes,
  CASE WHEN lead_time_minutes < 1440 THEN 'elite' WHEN lead_time_minutes < 10080 THEN 'high'
    WHEN lead_time_minutes < 43200 THEN 'medium' ELSE 'low' END AS band
FROM done
WHERE place = (pull_requests + 1) / 2
