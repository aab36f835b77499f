-- ---
-- owner: security
-- cron: 0 8 * * 1 Europe/Berlin
-- key: [cluster, namespace, name]
-- start: baseline
-- limit: 200
-- new: notify("security", "{cluster}: the secret {namespace}/{name} has not changed for {days} days")
-- resolved: notify("security", "{cluster}: the secret {namespace}/{name} was changed, or is gone")
-- why: Whoever left with a copy of it can still use it; what is never changed is known to everybody in the end.
-- ---
WITH change AS (
  SELECT cluster, namespace, name, count(DISTINCT resource_version) AS versions, max(ingested_at) AS last_at
  FROM k8s_object_history
  WHERE kind = 'Secret' AND api_group = '' AND change = 'applied'
  GROUP BY cluster, namespace, name
), aged AS (
  SELECT s.tenant, s.cluster, s.namespace, s.name, s.object ->> 'type' AS type,
    -- What was seen changing is as old as its last change; of what never was, its birth is all there is.
    CASE WHEN c.versions > 1 THEN c.last_at ELSE s.creation_timestamp END AS changed_at
  FROM k8s_object s
  LEFT JOIN change c ON c.cluster = s.cluster AND c.namespace = s.namespace AND c.name = s.name
  WHERE s.kind = 'Secret' AND s.api_group = '' AND s.deletion_timestamp IS NULL
    AND (s.owner_kind IS DISTINCT FROM 'ExternalSecret') AND (s.annotations ->> 'cert-manager.io/certificate-name') IS NULL
    AND s.namespace NOT IN ('kube-system', 'kube-public', 'kube-node-lease')
)
SELECT tenant, cluster, namespace, name, type, changed_at,
  CAST(floor((date_part('epoch', $now) - date_part('epoch', changed_at)) / 86400) AS BIGINT) AS days
FROM aged
WHERE coalesce(type, 'Opaque') IN ('Opaque', 'kubernetes.io/basic-auth', 'kubernetes.io/ssh-auth', 'kubernetes.io/dockerconfigjson')
  AND changed_at < $now - INTERVAL '180 days'
