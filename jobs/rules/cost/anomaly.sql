-- ---
-- owner: finops
-- cron: 0 7 * * * Europe/Berlin
-- key: [tenant, service, currency, on_day]
-- start: baseline
-- fresh: cost_line 3d
-- new: notify("finops", "{tenant}: {service} cost {cost} {currency} on {on_day}; {expected_cost} was to be expected")
-- why: A forgotten cluster costs a month's salary by the time the invoice comes; the day after, it costs a day.
-- ---
SELECT tenant, service, currency, on_day, cost, expected_cost, round(score, 1) AS score
FROM cost_anomaly
WHERE is_anomaly AND on_day >= $now - INTERVAL '5 days'
  -- Cents that doubled are true, and nobody's concern.
  AND cost - expected_cost >= 10
