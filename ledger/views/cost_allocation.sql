-- A row without "AllocatedResourceId" is what nobody used.
SELECT
  x_tenant,
  "ChargePeriodStart",
  "ChargePeriodEnd",
  "AllocatedMethodId",
  "AllocatedMethodDetails",
  "ResourceId",
  "AllocatedResourceId",
  "AllocatedResourceName",
  "AllocatedTags",
  x_cluster,
  x_namespace,
  x_workload,
  x_pod,
  "BilledCost",
  "EffectiveCost",
  "BillingCurrency",
  x_estimate
FROM cost_line
WHERE "AllocatedMethodId" IS NOT NULL
