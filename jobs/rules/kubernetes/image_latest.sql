-- ---
-- owner: platform
-- every: 5m
-- key: [cluster, namespace, workload_kind, workload_name, container]
-- watch: [image]
-- limit: 200
-- start: baseline
-- new: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name} runs {image}, which is another image tomorrow")
-- changed: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name} runs {image}, which is another image tomorrow")
-- resolved: notify("platform", "{cluster}: {workload_kind} {namespace}/{workload_name} names its image")
-- why: Two pods of one workload run two programs after the next pull, nobody can say which one failed, and going back goes nowhere.
-- ---
SELECT
  tenant, cluster, namespace, workload_kind, workload_name, container, max(image) AS image, count(*) AS pods
FROM k8s_pod
WHERE phase IN ('Pending', 'Running') AND deletion_timestamp IS NULL AND image NOT LIKE '%@sha256:%'
  -- The tag says latest, or there is none: a port's colon stands before a slash.
  AND (image LIKE '%:latest' OR regexp_like(image, '(^|/)[^/:]+$'))
GROUP BY tenant, cluster, namespace, workload_kind, workload_name, container
