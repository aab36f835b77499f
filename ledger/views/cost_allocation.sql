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
  x_container,
  x_app,
  x_project,
  x_pipeline_run,
  "BilledCost",
  "EffectiveCost",
  "BillingCurrency",
  x_estimate,
  x_estimated_cost,
  x_estimate_delta
FROM cost_line
WHERE "AllocatedMethodId" IS NOT NULL
