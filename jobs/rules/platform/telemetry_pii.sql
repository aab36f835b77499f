-- ---
-- owner: privacy
-- every: 15m
-- key: [tenant, table_name, column_name, detector]
-- new: notify("privacy", "{tenant}: {findings} times in the last day, {detector} stood in {table_name}.{column_name}; it was taken out ({actions}), and should not be sent")
-- why: Redaction is the last net, not the first: a service that writes addresses into its logs writes them elsewhere, too.
-- ---
SELECT tenant, table_name, column_name, detector, sum(findings) AS findings, array_to_string(array_sort(array_agg(DISTINCT action)), ', ') AS actions,
  max(counted_at) AS last_at
FROM redaction_finding
WHERE table_name IN ('otel_log', 'otel_span', 'otel_metric') AND counted_at >= $now - INTERVAL '1 day'
GROUP BY tenant, table_name, column_name, detector
