-- Each day against the same weekdays of the eight weeks before, by median and median deviation, so that one odd day among
-- them, or a weekend, raises nothing.
WITH day AS (
  SELECT x_tenant AS tenant, "ServiceName" AS service, "BillingCurrency" AS currency,
    date_trunc('day', "ChargePeriodStart") AS on_day, sum(coalesce("EffectiveCost", "BilledCost")) AS cost
  FROM cost_line WHERE "ChargeClass" IS NULL
  GROUP BY x_tenant, "ServiceName", "BillingCurrency", date_trunc('day', "ChargePeriodStart")
), past AS (
  SELECT d.tenant, d.service, d.currency, d.on_day, d.cost, p.cost AS past_cost
  FROM day d
  JOIN day p ON p.tenant = d.tenant AND p.service = d.service AND p.currency = d.currency
    AND date_part('dow', p.on_day) = date_part('dow', d.on_day)
    AND p.on_day < d.on_day AND p.on_day >= d.on_day - INTERVAL '56 days'
), center AS (
  SELECT tenant, service, currency, on_day, max(cost) AS cost, median(past_cost) AS expected_cost, count(*) AS weeks
  FROM past GROUP BY tenant, service, currency, on_day
), spread AS (
  SELECT p.tenant, p.service, p.currency, p.on_day, max(c.cost) AS cost, max(c.expected_cost) AS expected_cost, max(c.weeks) AS weeks,
    median(abs(p.past_cost - c.expected_cost)) AS deviation
  FROM past p
  JOIN center c ON c.tenant = p.tenant AND c.service = p.service AND c.currency = p.currency AND c.on_day = p.on_day
  GROUP BY p.tenant, p.service, p.currency, p.on_day
), scored AS (
  SELECT *,
    -- 1.4826 makes the median deviation a standard deviation; what hardly ever varies may move by a twentieth, or a cent.
    CAST(cost - expected_cost AS DOUBLE) / greatest(1.4826 * CAST(deviation AS DOUBLE), 0.05 * abs(CAST(expected_cost AS DOUBLE)), 0.01) AS score
  FROM spread
)
SELECT
  on_day, -- The day.
  tenant, -- Tenant that pays.
  service, -- The service.
  currency, -- Currency of the amounts.
  cost, -- Effective cost of the day, without corrections.
  expected_cost, -- Median of the same weekdays before.
  deviation, -- Median of how far these lie from it.
  weeks, -- How many of these weekdays have a cost; fewer than four are too few to tell.
  score, -- How many deviations the day lies above what is expected.
  weeks >= 4 AND abs(score) > 3.5 AS is_anomaly -- Whether that is more than chance explains.
FROM scored
