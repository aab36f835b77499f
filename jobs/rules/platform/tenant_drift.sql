-- ---
-- owner: platform
-- every: 15m
-- key: [cluster, namespace, drift]
-- for: 30m
-- start: baseline
-- new: notify("platform", "{cluster}: the namespace {namespace} of {tenant}: {drift}")
-- resolved: notify("platform", "{cluster}: the namespace {namespace} of {tenant} is as it should be: no more “{drift}”")
-- why: A tenant's namespace without quota, limits, a closed network and a pod security level is a tenant that reaches the others.
-- ---
WITH space AS (
  SELECT n.labels ->> 'tenant' AS tenant, n.cluster, n.name AS namespace, n.pod_security_enforce
  FROM k8s_namespace n
  WHERE (n.labels ->> 'tenant') IS NOT NULL AND n.phase = 'Active'
), quota AS (
  SELECT DISTINCT cluster, namespace FROM k8s_resource_quota
), limits AS (
  SELECT DISTINCT cluster, namespace FROM k8s_limit_range
), closed AS (
  SELECT cluster, namespace, bool_or(denies_ingress) AS denies_ingress, bool_or(denies_egress) AS denies_egress
  FROM k8s_network_policy GROUP BY cluster, namespace
), found AS (
  SELECT s.*, t.id AS known, t.ended_at, q.namespace AS quota, l.namespace AS limits,
    coalesce(c.denies_ingress, FALSE) AS denies_ingress, coalesce(c.denies_egress, FALSE) AS denies_egress
  FROM space s
  LEFT JOIN tenant t ON t.id = s.tenant
  LEFT JOIN quota q ON q.cluster = s.cluster AND q.namespace = s.namespace
  LEFT JOIN limits l ON l.cluster = s.cluster AND l.namespace = s.namespace
  LEFT JOIN closed c ON c.cluster = s.cluster AND c.namespace = s.namespace
)
SELECT tenant, cluster, namespace, 'the directory knows no such tenant' AS drift FROM found WHERE known IS NULL
UNION ALL
SELECT tenant, cluster, namespace, 'the tenant has ended' FROM found WHERE ended_at <= $now
UNION ALL
SELECT tenant, cluster, namespace, 'no ResourceQuota' FROM found WHERE known IS NOT NULL AND quota IS NULL
UNION ALL
SELECT tenant, cluster, namespace, 'no LimitRange' FROM found WHERE known IS NOT NULL AND limits IS NULL
UNION ALL
SELECT tenant, cluster, namespace, 'no NetworkPolicy denies ingress by default' FROM found WHERE known IS NOT NULL AND NOT denies_ingress
UNION ALL
SELECT tenant, cluster, namespace, 'no NetworkPolicy denies egress by default' FROM found WHERE known IS NOT NULL AND NOT denies_egress
UNION ALL
SELECT tenant, cluster, namespace, 'pod security is not enforced as restricted' FROM found
WHERE known IS NOT NULL AND (pod_security_enforce IS DISTINCT FROM 'restricted')
