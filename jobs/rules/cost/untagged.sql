-- ---
-- owner: finops
-- cron: 0 8 * * 1 Europe/Berlin
-- key: [tenant, currency, label, month]
-- watch: [step]
-- new: notify("finops", "{tenant}: {percent} % of this month's {effective_cost} {currency} carry {label}; 90 % are agreed")
-- changed: notify("finops", "{tenant}: {label} is on {percent} % of the cost by now")
-- why: Cost without these labels is charged to nobody, and what is charged to nobody grows.
-- ---
SELECT
  tenant, currency, label, month, effective_cost,
  CAST(floor(100 * CAST(coverage AS DOUBLE)) AS BIGINT) AS percent,
  -- In steps of ten, so that a week without a real change says nothing.
  CAST(floor(10 * CAST(coverage AS DOUBLE)) AS BIGINT) AS step
FROM cost_tag_coverage
WHERE month = date_trunc('month', $now) AND coverage < 0.9 AND effective_cost >= 100
