-- How every budget stands now. Amounts are whole units in the state database; here they are decimals of the unit.
WITH standing AS (
  SELECT
    b.tenant,
    b.name AS budget,
    b.id AS budget_id,
    b.parent,
    b.scope,
    b.unit,
    b.kind,
    b.span,
    b.zone,
    b.starts_at AS budget_starts,
    b.ends_at AS budget_ends,
    b.limit_units,
    b.changed_at,
    min(w.starts_at) AS window_start,
    max(w.ends_at) AS window_end,
    coalesce(sum(w.spent_units), 0) + coalesce(sum(w.billed_units), 0) AS spent_units,
    coalesce(sum(w.billed_units), 0) AS billed_units,
    coalesce(sum(w.reserved_units), 0) AS reserved_units,
    coalesce(sum(w.overrun_units), 0) AS overrun_units,
    coalesce(sum(w.charges), 0) AS charges,
    coalesce(sum(w.refusals), 0) AS refusals,
    CASE WHEN b.unit IN ('tokens', 'requests') THEN 1 ELSE 1000000000 END AS units_a_whole
  FROM budget b
  LEFT JOIN budget_window w ON w.budget_id = b.id AND w.starts_at <= now() AND w.ends_at > now()
  GROUP BY b.tenant, b.name, b.id, b.parent, b.scope, b.unit, b.kind, b.span, b.zone, b.starts_at, b.ends_at,
    b.limit_units, b.changed_at
)
SELECT
  s.tenant,
  s.budget,
  s.parent,
  s.scope,
  s.unit,
  s.kind,
  s.span,
  s.zone,
  s.window_start,
  s.window_end,
  CAST(s.limit_units AS DECIMAL(38, 9)) / s.units_a_whole AS limit_amount,
  CAST(s.spent_units AS DECIMAL(38, 9)) / s.units_a_whole AS spent,
  CAST(s.billed_units AS DECIMAL(38, 9)) / s.units_a_whole AS billed,
  CAST(s.reserved_units AS DECIMAL(38, 9)) / s.units_a_whole AS reserved,
  CAST(s.limit_units - s.spent_units - s.reserved_units AS DECIMAL(38, 9)) / s.units_a_whole AS remaining,
  CAST(s.overrun_units AS DECIMAL(38, 9)) / s.units_a_whole AS overrun,
  CASE WHEN s.limit_units > 0 THEN CAST(s.spent_units AS DECIMAL(38, 9)) / s.limit_units END AS ratio,
  CAST(f.p50_units AS DECIMAL(38, 9)) / s.units_a_whole AS forecast_p50,
  CAST(f.p90_units AS DECIMAL(38, 9)) / s.units_a_whole AS forecast_p90,
  s.charges,
  s.refusals,
  CASE
    WHEN now() < s.budget_starts THEN 'not_started'
    WHEN now() >= s.budget_ends THEN 'ended'
    WHEN s.spent_units > s.limit_units THEN 'over'
    WHEN s.spent_units = s.limit_units THEN 'exhausted'
    WHEN s.spent_units + s.reserved_units >= s.limit_units THEN 'reserved'
    ELSE 'open'
  END AS state,
  s.changed_at
FROM standing s
LEFT JOIN budget_forecast f ON f.budget_id = s.budget_id AND f.starts_at = s.window_start
