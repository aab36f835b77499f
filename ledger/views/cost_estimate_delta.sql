SELECT
  coalesce("BillingPeriodStart", date_trunc('month', "ChargePeriodStart")) AS month, -- First instant of the billing period.
  x_tenant AS tenant, -- Tenant that pays.
  "ServiceName" AS service, -- The service.
  "BillingCurrency" AS currency, -- Currency of billed_cost, difference and open_cost.
  sum(x_estimated_cost) FILTER (WHERE x_estimated_currency = "BillingCurrency") AS estimated_cost, -- What was estimated of what is billed by now.
  sum("BilledCost") FILTER (WHERE x_estimated_cost IS NOT NULL) AS billed_cost, -- What was billed of it.
  sum(x_estimate_delta) AS difference, -- Billed less estimated.
  sum("BilledCost") FILTER (WHERE x_estimate) AS open_cost, -- Estimates that no bill covers yet.
  count(*) FILTER (WHERE x_estimated_cost IS NOT NULL) AS billed_charges, -- Charges that were estimated before.
  count(*) FILTER (WHERE x_estimate) AS open_charges -- Charges that are estimates still.
FROM cost_line
WHERE x_estimate OR x_estimated_cost IS NOT NULL
GROUP BY 1, 2, 3, 4
