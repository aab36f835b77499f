-- ---
-- owner: finops
-- every: 6h
-- key: [cluster, name]
-- start: baseline
-- new: notify("finops", "{tenant}: the volume {name} in {cluster} ({size_gib} GiB, last claimed by {claim}) has been {phase} for a week: {reclaim_policy}")
-- resolved: notify("finops", "{tenant}: the volume {name} in {cluster} is used again, or gone")
-- why: A volume whose claim is gone is paid for until somebody deletes it, and with `Retain` nothing ever will.
-- ---
SELECT
  tenant, cluster, name, phase, reclaim_policy, storage_class, volume_handle,
  coalesce(claim_namespace || '/' || claim_name, 'nobody') AS claim,
  CAST(ceil(CAST(capacity_bytes AS DOUBLE) / 1073741824) AS BIGINT) AS size_gib
FROM k8s_persistent_volume
WHERE phase IN ('Available', 'Released', 'Failed') AND deletion_timestamp IS NULL
  AND creation_timestamp < $now - INTERVAL '7 days'
