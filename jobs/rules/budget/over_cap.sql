-- ---
-- owner: finops
-- every: 5m
-- key: [tenant, budget, window_start]
-- new: notify("finops", "{tenant}: the budget {budget} is used up: {spent} of {limit_amount} {unit} are spent, {refusals} calls were refused")
-- resolved: notify("finops", "{tenant}: the budget {budget} has room again")
-- why: A soft budget stops nobody, and a hard one stops a team's work: in both cases somebody has to decide today.
-- ---
SELECT tenant, budget, window_start, window_end, unit, kind, spent, limit_amount, refusals, state
FROM budget_status
WHERE state IN ('over', 'exhausted')
