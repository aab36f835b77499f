-- ---
-- owner: finops
-- every: 5m
-- key: [tenant, budget, window_start]
-- watch: [level]
-- new: notify("finops", "{tenant}: {percent} % of the budget {budget} are spent ({spent} of {limit_amount} {unit}), until {window_end}")
-- changed: notify("finops", "{tenant}: {percent} % of the budget {budget} are spent by now ({spent} of {limit_amount} {unit})")
-- why: Whoever hears at 80 % can still choose; at 100 % a hard budget chooses for them.
-- ---
SELECT
  tenant, budget, window_start, window_end, unit, spent, limit_amount,
  CAST(floor(100 * CAST(ratio AS DOUBLE)) AS BIGINT) AS percent,
  CASE WHEN ratio >= 0.9 THEN '90 %' ELSE '80 %' END AS level
FROM budget_status
WHERE state IN ('open', 'reserved') AND ratio >= 0.8 AND ratio < 1
