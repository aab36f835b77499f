-- ---
-- owner: platform
-- every: 5m
-- key: [cluster, namespace, workload_kind, workload_name, container]
-- watch: [missing]
-- for: 10m
-- limit: 200
-- start: baseline
-- new: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name}, container {container}: no {missing}")
-- changed: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name}, container {container}: no {missing}")
-- resolved: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name}, container {container} has limits")
-- why: One container without a memory limit takes its node with it, and one without requests is placed where there is no room.
-- ---
WITH told AS (
  SELECT
    tenant, cluster, namespace, workload_kind, workload_name, container,
    concat_ws(', ',
      CASE WHEN cpu_request_cores IS NULL THEN 'CPU request' END,
      CASE WHEN memory_request_bytes IS NULL THEN 'memory request' END,
      CASE WHEN cpu_limit_cores IS NULL THEN 'CPU limit' END,
      CASE WHEN memory_limit_bytes IS NULL THEN 'memory limit' END) AS missing
  FROM k8s_pod
  WHERE phase IN ('Pending', 'Running') AND container_kind IN ('container', 'sidecar') AND deletion_timestamp IS NULL
    AND namespace NOT IN ('kube-system', 'kube-public', 'kube-node-lease')
)
SELECT
  tenant, cluster, namespace, workload_kind, workload_name, container, max(missing) AS missing, count(*) AS pods
FROM told
WHERE missing <> ''
GROUP BY tenant, cluster, namespace, workload_kind, workload_name, container
