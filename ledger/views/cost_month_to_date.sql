-- The days of a month so far beside the same days of the month before. A correction counts in the first day of its period.
WITH told AS (
  SELECT x_tenant AS tenant, coalesce(CAST("ServiceName" AS VARCHAR), '') AS service, "BillingCurrency" AS currency,
    coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month,
    date_trunc('day', "ChargePeriodStart") AS on_day, coalesce("EffectiveCost", "BilledCost") AS cost
  FROM cost_line
), day AS (
  SELECT tenant, service, currency, month, sum(cost) AS cost,
    CASE WHEN on_day < month THEN 1 ELSE date_part('day', on_day) END AS day_of_month
  FROM told GROUP BY tenant, service, currency, month, CASE WHEN on_day < month THEN 1 ELSE date_part('day', on_day) END
), reach AS (
  SELECT tenant, currency, month, max(day_of_month) AS through_day FROM day GROUP BY tenant, currency, month
), so_far AS (
  SELECT tenant, service, currency, month, sum(cost) AS cost FROM day GROUP BY tenant, service, currency, month
), before AS (
  SELECT d.tenant, d.service, d.currency, r.month, sum(d.cost) AS whole_month,
    sum(d.cost) FILTER (WHERE d.day_of_month <= r.through_day) AS same_days
  FROM day d
  JOIN reach r ON r.tenant = d.tenant AND r.currency = d.currency AND r.month = d.month + INTERVAL '1 month'
  GROUP BY d.tenant, d.service, d.currency, r.month
), both_months AS (
  SELECT coalesce(s.month, b.month) AS month, coalesce(s.tenant, b.tenant) AS tenant, coalesce(s.service, b.service) AS service,
    coalesce(s.currency, b.currency) AS currency, coalesce(s.cost, 0) AS month_to_date,
    coalesce(b.same_days, 0) AS last_month_same_days, coalesce(b.whole_month, 0) AS last_month
  FROM so_far s
  FULL JOIN before b ON b.tenant = s.tenant AND b.service = s.service AND b.currency = s.currency AND b.month = s.month
)
SELECT
  m.month, -- First instant of the billing period.
  m.tenant, -- Tenant that pays.
  nullif(m.service, '') AS service, -- The service.
  m.currency, -- Currency of the amounts.
  r.through_day, -- Last day of the month that has a charge of the tenant.
  m.month_to_date, -- Effective cost of the month up to that day.
  m.last_month_same_days, -- Effective cost of the month before up to the same day.
  m.last_month, -- Effective cost of the whole month before.
  m.month_to_date - m.last_month_same_days AS change, -- What the month costs more.
  (m.month_to_date - m.last_month_same_days) / nullif(m.last_month_same_days, 0) AS change_ratio -- The same as a part of the month before; null where that cost nothing.
FROM both_months m
LEFT JOIN reach r ON r.tenant = m.tenant AND r.currency = m.currency AND r.month = m.month
