-- ---
-- owner: security
-- every: 15m
-- key: [cluster, namespace, workload_kind, workload_name, registry]
-- limit: 200
-- start: baseline
-- new: notify("security", "{cluster}: {workload_kind} {namespace}/{workload_name} pulls {image} from {registry}")
-- resolved: notify("security", "{cluster}: {workload_kind} {namespace}/{workload_name} no longer pulls from {registry}")
-- why: What comes from a registry that is not ours was scanned by nobody, and is gone or limited when it is needed most.
-- ---
WITH pulled AS (
  SELECT
    tenant, cluster, namespace, workload_kind, workload_name, image,
    -- A first part with a dot or a colon is a host; anything else is Docker Hub's.
    nullif(CASE WHEN image LIKE '%/%' AND (split_part(image, '/', 1) LIKE '%.%' OR split_part(image, '/', 1) LIKE '%:%' OR split_part(image, '/', 1) = 'localhost')
      THEN split_part(image, '/', 1) ELSE 'docker.io' END, '') AS registry
  FROM k8s_pod
  WHERE phase IN ('Pending', 'Running') AND deletion_timestamp IS NULL AND image IS NOT NULL
)
SELECT tenant, cluster, namespace, workload_kind, workload_name, registry, max(image) AS image
FROM pulled
-- Edit this list: your own registries, and those you trust.
WHERE NOT (registry LIKE '%.azurecr.io' OR registry IN ('mcr.microsoft.com', 'registry.k8s.io'))
GROUP BY tenant, cluster, namespace, workload_kind, workload_name, registry
