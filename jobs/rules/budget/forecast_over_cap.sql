-- ---
-- owner: finops
-- every: 1h
-- key: [tenant, budget, window_start]
-- for: 6h
-- keep: 1d
-- new: notify("finops", "{tenant}: the budget {budget} will not last: {forecast_p50} {unit} are expected until {window_end}, {limit_amount} are there, {spent} are spent")
-- resolved: notify("finops", "{tenant}: the budget {budget} is expected to last again")
-- why: What will not last is cheaper to change in the first week than in the last; six hours keep one odd morning from being news.
-- ---
SELECT tenant, budget, window_start, window_end, unit, spent, limit_amount, forecast_p50, forecast_p90
FROM budget_status
WHERE state IN ('open', 'reserved') AND forecast_p50 > limit_amount
