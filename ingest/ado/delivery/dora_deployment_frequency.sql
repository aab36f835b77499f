-- Weeks begin on Monday; a week without a deployment between the first and the last one counts as 0 days.
WITH days AS (
  SELECT DISTINCT tenant, organization, project, CAST(date_trunc('day', finished_at) AS DATE) AS on_day,
    date_trunc('week', finished_at) AS week_start
  FROM dora_deployment
  WHERE is_production AND result = 'succeeded' AND finished_at IS NOT NULL
), bounds AS (
  -- By windows, not by groups: the planner takes what was unique before an unnested list for unique behind it.
  SELECT tenant, organization, project,
    min(week_start) OVER (PARTITION BY tenant, organization, project) AS first_week,
    max(week_start) OVER (PARTITION BY tenant, organization, project) AS last_week
  FROM days
), spread AS (
  SELECT tenant, organization, project, unnest(generate_series(first_week, last_week, INTERVAL '7 days')) AS week_start
  FROM bounds
), span AS (
  SELECT DISTINCT tenant, organization, project, week_start FROM spread
), weeks AS (
  SELECT s.tenant, s.organization, s.project, s.week_start, count(d.on_day) AS deployment_days
  FROM span s
  LEFT JOIN days d ON d.tenant = s.tenant AND d.organization = s.organization AND d.project = s.project AND d.week_start = s.week_start
  GROUP BY s.tenant, s.organization, s.project, s.week_start
), dated AS (
  SELECT tenant, organization, project, deployment_days, date_trunc('month', week_start) AS month FROM weeks
), months AS (
  SELECT tenant, organization, project, month, count(*) AS weeks,
    sum(deployment_days) AS deployment_days, median(CAST(deployment_days AS DOUBLE)) AS median_days_per_week
  FROM dated GROUP BY tenant, organization, project, month
)
SELECT tenant, organization, project, month, weeks, deployment_days, median_days_per_week,
  CASE WHEN median_days_per_week >= 5 THEN 'elite' WHEN median_days_per_week >= 1 THEN 'high'
    WHEN deployment_days >= 1 THEN 'medium' ELSE 'low' END AS band
FROM months
