-- ---
-- owner: sre
-- every: 1m
-- key: [tenant, service_name]
-- watch: [priority]
-- keep: 10m
-- fresh: otel_span 15m
-- new: notify("sre", "{priority} {service_name} ({tenant}): the error budget burns {burn} times too fast ({errors} of {requests} requests failed in {span})")
-- changed: notify("sre", "{priority} {service_name} ({tenant}): the error budget burns {burn} times too fast ({errors} of {requests} requests failed in {span})")
-- resolved: notify("sre", "{service_name} ({tenant}): the error budget no longer burns too fast")
-- why: Two windows each: the long one says that it matters, the short one that it still goes on. 14.4 times for an hour is 2 % of a month's budget, 6 times for six hours 5 %, once for three days 10 %.
-- ---
WITH promised AS (
  -- What share of requests may fail: the documents of kind Objective in the directory. Of two for one service the stricter counts.
  SELECT tenant, service, min(1 - target_percent / 100) AS budget FROM objective GROUP BY tenant, service
), request AS (
  SELECT tenant, service_name, time,
    status_code = 'ERROR' OR coalesce(http_response_status_code, 0) >= 500 AS is_error
  FROM otel_span
  WHERE kind = 'SERVER' AND service_name IS NOT NULL AND time >= $now - INTERVAL '3 days' AND time <= $now
), counted AS (
  SELECT tenant, service_name,
    count(*) FILTER (WHERE time >= $now - INTERVAL '5 minutes') AS n_5m,
    count(*) FILTER (WHERE is_error AND time >= $now - INTERVAL '5 minutes') AS bad_5m,
    count(*) FILTER (WHERE time >= $now - INTERVAL '30 minutes') AS n_30m,
    count(*) FILTER (WHERE is_error AND time >= $now - INTERVAL '30 minutes') AS bad_30m,
    count(*) FILTER (WHERE time >= $now - INTERVAL '1 hour') AS n_1h,
    count(*) FILTER (WHERE is_error AND time >= $now - INTERVAL '1 hour') AS bad_1h,
    count(*) FILTER (WHERE time >= $now - INTERVAL '6 hours') AS n_6h,
    count(*) FILTER (WHERE is_error AND time >= $now - INTERVAL '6 hours') AS bad_6h,
    count(*) AS n_3d,
    count(*) FILTER (WHERE is_error) AS bad_3d
  FROM request
  GROUP BY tenant, service_name
), budgeted AS (
  -- The service's own objective, its tenant's for every service, the platform's of either kind, else 99.9 %.
  SELECT c.*, coalesce(own.budget, house.budget, shared.budget, every_one.budget, 0.001) AS budget
  FROM counted c
  LEFT JOIN promised own ON own.tenant = c.tenant AND own.service = c.service_name
  LEFT JOIN promised house ON house.tenant = c.tenant AND house.service = '*'
  LEFT JOIN promised shared ON shared.tenant = 'platform' AND shared.service = c.service_name
  LEFT JOIN promised every_one ON every_one.tenant = 'platform' AND every_one.service = '*'
), burnt AS (
  SELECT *,
    coalesce(CAST(bad_5m AS DOUBLE) / nullif(n_5m, 0), 0) / budget AS burn_5m,
    coalesce(CAST(bad_30m AS DOUBLE) / nullif(n_30m, 0), 0) / budget AS burn_30m,
    coalesce(CAST(bad_1h AS DOUBLE) / nullif(n_1h, 0), 0) / budget AS burn_1h,
    coalesce(CAST(bad_6h AS DOUBLE) / nullif(n_6h, 0), 0) / budget AS burn_6h,
    coalesce(CAST(bad_3d AS DOUBLE) / nullif(n_3d, 0), 0) / budget AS burn_3d
  FROM budgeted
), graded AS (
  SELECT *,
    CASE
      -- One failed request of three is no trend.
      WHEN n_1h >= 20 AND burn_1h >= 14.4 AND burn_5m >= 14.4 THEN 'P1'
      WHEN n_6h >= 50 AND burn_6h >= 6 AND burn_30m >= 6 THEN 'P2'
      WHEN n_3d >= 100 AND burn_3d >= 1 AND burn_6h >= 1 THEN 'P3'
    END AS priority
  FROM burnt
)
SELECT tenant, service_name, priority,
  CASE priority WHEN 'P1' THEN '1 h' WHEN 'P2' THEN '6 h' ELSE '3 d' END AS span,
  CASE priority WHEN 'P1' THEN n_1h WHEN 'P2' THEN n_6h ELSE n_3d END AS requests,
  CASE priority WHEN 'P1' THEN bad_1h WHEN 'P2' THEN bad_6h ELSE bad_3d END AS errors,
  round(CASE priority WHEN 'P1' THEN burn_1h WHEN 'P2' THEN burn_6h ELSE burn_3d END, 1) AS burn
FROM graded
WHERE priority IS NOT NULL
