-- ---
-- owner: platform
-- every: 1h
-- key: [cluster, namespace, name]
-- watch: [level]
-- new: notify("platform", "{cluster}: the certificate {namespace}/{name} ({dns_names}) ends at {not_after}: {level}. {message}")
-- changed: notify("platform", "{cluster}: the certificate {namespace}/{name} ends at {not_after}: {level}. {message}")
-- resolved: notify("platform", "{cluster}: the certificate {namespace}/{name} is renewed")
-- why: Certificates renew themselves until the day on which they do not, and that day is seen only by looking at the date.
-- ---
WITH told AS (
  SELECT tenant, cluster, namespace, name, ready, coalesce(message, '') AS message, fields ->> 'dns_names' AS dns_names,
    CAST(fields ->> 'not_after' AS TIMESTAMP(6) WITH TIME ZONE) AS not_after
  FROM k8s_custom_resource
  WHERE api_group = 'cert-manager.io' AND kind = 'Certificate' AND (fields ->> 'not_after') IS NOT NULL AND deletion_timestamp IS NULL
)
SELECT tenant, cluster, namespace, name, ready, message, dns_names, not_after,
  CASE WHEN not_after <= $now THEN 'expired' WHEN not_after < $now + INTERVAL '7 days' THEN 'a week is left' ELSE 'three weeks are left' END AS level
FROM told
WHERE not_after < $now + INTERVAL '21 days'
