-- ---
-- owner: finops
-- cron: 30 7 * * 1 Europe/Berlin
-- key: [tenant, kind, cluster, subject, currency, month]
-- limit: 200
-- new: notify("finops", "{tenant}: {subject} is {kind} and cost {cost} {currency} this month")
-- why: Nobody looks for what is not used, so the list has to come to its owner; below 25 the hint costs more than it saves.
-- ---
SELECT tenant, kind, cluster, subject, currency, month, cost
FROM cost_waste
WHERE kind <> 'unattached volume' AND month = date_trunc('month', $now) AND cost >= 25
