SELECT
  coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, -- First instant of the billing period.
  x_tenant AS tenant, -- Tenant that used it.
  "ServiceName" AS service, -- The service.
  x_model AS model, -- The model, where it is one.
  x_unpriced AS reason, -- Why there is no price.
  sum(x_calls) AS calls, -- Calls of a model.
  sum("ConsumedQuantity") AS consumed_quantity, -- How much was used.
  max("ConsumedUnit") AS consumed_unit, -- Its unit.
  min("ChargePeriodStart") AS first_at, -- When it was used first.
  max("ChargePeriodEnd") AS last_at, -- And until when.
  count(*) AS charges -- Rows of `cost_line`.
FROM cost_line
WHERE x_unpriced IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
