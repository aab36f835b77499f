-- Peaks are those of all samples that are kept. A container is oversized where even its peak took less than half of what it asked for, of
-- cores and of memory; what it could do without is the smaller of both parts.
WITH line AS (
  SELECT coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, x_tenant AS tenant, "BillingCurrency" AS currency,
    coalesce("EffectiveCost", "BilledCost") AS cost, "AllocatedMethodId" AS method, "AllocatedResourceId" AS allocated,
    coalesce("ResourceName", "ResourceId", x_cluster) AS resource, "ResourceType" AS resource_type,
    "CommitmentDiscountId" AS commitment, "CommitmentDiscountStatus" AS commitment_status,
    "CapacityReservationId" AS reservation, "CapacityReservationStatus" AS reservation_status,
    x_cluster AS cluster, x_namespace AS namespace, x_pod AS pod, x_container AS container
  FROM cost_line
), peak AS (
  SELECT tenant, cluster, namespace, name AS pod, container, max(cpu_cores) AS cores, max(memory_bytes) AS bytes
  FROM k8s_usage WHERE kind = 'Pod' AND container <> ''
  GROUP BY tenant, cluster, namespace, name, container
), spare AS (
  SELECT p.tenant, p.cluster, p.namespace, p.pod, p.container,
    least(1 - k.cores / p.cpu_request_cores, 1 - CAST(k.bytes AS DECIMAL(38, 18)) / CAST(p.memory_request_bytes AS DECIMAL(38, 18))) AS part
  FROM k8s_pod p
  JOIN peak k ON k.tenant = p.tenant AND k.cluster = p.cluster AND k.namespace = p.namespace AND k.pod = p.pod AND k.container = p.container
  WHERE p.cpu_request_cores > 0 AND p.memory_request_bytes > 0
), told AS (
  SELECT month, tenant, currency, 'unattached volume' AS kind, cluster, resource AS subject, cost
  FROM line WHERE method IS NOT NULL AND allocated IS NULL AND resource_type = 'Volume'
  UNION ALL
  SELECT month, tenant, currency, 'idle' AS kind, cluster, resource, cost
  FROM line WHERE method IS NOT NULL AND allocated IS NULL AND (resource_type IS DISTINCT FROM 'Volume')
  UNION ALL
  SELECT month, tenant, currency, 'unused commitment' AS kind, cluster, commitment, cost
  FROM line WHERE commitment_status = 'Unused'
  UNION ALL
  SELECT month, tenant, currency, 'unused reservation' AS kind, cluster, reservation, cost
  FROM line WHERE reservation_status = 'Unused' AND (commitment_status IS DISTINCT FROM 'Unused')
  UNION ALL
  SELECT l.month, l.tenant, l.currency, 'oversized' AS kind, l.cluster, l.namespace || '/' || l.pod || '/' || l.container, l.cost * s.part
  FROM line l
  JOIN spare s ON s.tenant = l.tenant AND s.cluster = l.cluster AND s.namespace = l.namespace AND s.pod = l.pod AND s.container = l.container
  WHERE s.part > 0.5 AND l.allocated IS NOT NULL AND l.resource_type = 'Node'
)
SELECT
  month, -- First instant of the billing period.
  tenant, -- Tenant that pays.
  kind, -- `idle`, `unattached volume`, `unused commitment`, `unused reservation` or `oversized`.
  cluster, -- Kubernetes cluster, where it is of one.
  subject, -- The node, volume, commitment, reservation or container.
  currency, -- Currency of the cost.
  sum(cost) AS cost -- What was paid in vain; for an oversized container the part that its peak never took.
FROM told
GROUP BY month, tenant, kind, cluster, subject, currency
