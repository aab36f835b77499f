-- The months of every monthly budget in a currency beside its limit: what calls spent and bills added, the share of the month
-- that has passed, the month before, and the forecast of the month that runs.
WITH month AS (
  SELECT b.tenant, b.name AS budget, b.id AS budget_id, b.kind, b.scope, b.unit AS currency, b.limit_units,
    w.starts_at, w.ends_at, sum(w.spent_units + w.billed_units) AS cost_units, sum(w.reserved_units) AS reserved_units,
    CASE WHEN now() >= w.ends_at THEN 1.0 WHEN now() <= w.starts_at THEN 0.0
      ELSE (date_part('epoch', now()) - date_part('epoch', w.starts_at))
        / (date_part('epoch', w.ends_at) - date_part('epoch', w.starts_at)) END AS passed
  FROM budget b
  JOIN budget_window w ON w.budget_id = b.id
  WHERE b.span = 'month' AND b.unit NOT IN ('tokens', 'requests')
  GROUP BY b.tenant, b.name, b.id, b.kind, b.scope, b.unit, b.limit_units, w.starts_at, w.ends_at
)
SELECT
  m.starts_at AS month, -- First instant of the month in the budget's time zone.
  m.tenant, -- Whose charges count; `*` is every tenant's.
  m.budget, -- The budget.
  m.kind, -- `hard` refuses what would break it, `soft` only tells.
  m.scope, -- Which charges count.
  m.currency, -- Currency of the amounts.
  CAST(m.limit_units AS DECIMAL(38, 9)) / 1000000000 AS limit_amount, -- What the month may cost.
  CAST(m.cost_units AS DECIMAL(38, 9)) / 1000000000 AS month_to_date, -- What it has cost so far.
  CAST(m.reserved_units AS DECIMAL(38, 9)) / 1000000000 AS reserved, -- What open reservations hold beside it.
  CAST(m.limit_units - m.cost_units - m.reserved_units AS DECIMAL(38, 9)) / 1000000000 AS remaining, -- What is left of the limit.
  CASE WHEN m.limit_units > 0 THEN CAST(m.cost_units AS DECIMAL(38, 9)) / m.limit_units END AS ratio, -- The cost as a part of the limit.
  CAST(m.passed AS DECIMAL(9, 6)) AS month_passed, -- The part of the month that has passed.
  CAST(m.limit_units AS DECIMAL(38, 9)) / 1000000000 * CAST(m.passed AS DECIMAL(9, 6)) AS even_pace, -- What the limit allows until now, were it spent evenly.
  CAST(p.cost_units AS DECIMAL(38, 9)) / 1000000000 AS last_month, -- What the month before cost; null where it was not counted.
  CAST(f.p50_units AS DECIMAL(38, 9)) / 1000000000 AS forecast_p50, -- What the month will cost, as likely more as less.
  CAST(f.p90_units AS DECIMAL(38, 9)) / 1000000000 AS forecast_p90, -- What it will cost more than in one of ten cases.
  CASE WHEN m.cost_units > m.limit_units THEN 'over' WHEN f.p90_units > m.limit_units THEN 'at_risk'
    WHEN m.cost_units > m.limit_units * m.passed THEN 'ahead' ELSE 'within' END AS standing -- `over` its limit; `at_risk` by its forecast; `ahead` of an even pace; `within`.
FROM month m
LEFT JOIN month p ON p.budget_id = m.budget_id AND p.ends_at = m.starts_at
LEFT JOIN budget_forecast f ON f.budget_id = m.budget_id AND f.starts_at = m.starts_at
