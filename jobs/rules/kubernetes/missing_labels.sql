-- ---
-- owner: platform
-- every: 15m
-- key: [cluster, namespace, kind, name]
-- watch: [missing]
-- limit: 200
-- start: baseline
-- new: notify("platform", "{cluster}: {kind} {namespace}/{name} lacks the labels {missing}")
-- changed: notify("platform", "{cluster}: {kind} {namespace}/{name} lacks {missing}")
-- resolved: notify("platform", "{cluster}: {kind} {namespace}/{name} has its labels")
-- why: tenant, env, app, version and cost-center join the bill, the telemetry and the cluster; without them a workload is in none of the three.
-- ---
WITH told AS (
  SELECT
    tenant, cluster, namespace, kind, name,
    concat_ws(', ',
      CASE WHEN (labels ->> 'tenant') IS NULL THEN 'tenant' END,
      CASE WHEN env IS NULL THEN 'env' END,
      CASE WHEN app IS NULL THEN 'app' END,
      CASE WHEN version IS NULL THEN 'version' END,
      CASE WHEN cost_center IS NULL THEN 'cost-center' END) AS missing
  FROM k8s_object
  WHERE kind IN ('Deployment', 'StatefulSet', 'DaemonSet', 'CronJob') AND api_group IN ('apps', 'batch')
    AND namespace NOT IN ('kube-system', 'kube-public', 'kube-node-lease') AND deletion_timestamp IS NULL
)
SELECT tenant, cluster, namespace, kind, name, missing FROM told WHERE missing <> ''
